#include "call/idempotency.h"

#include <string.h>

#include "call/call.h"

static const struct idempotency_ops *used_ops;

void idempotency_set_ops(const struct idempotency_ops *ops)
{
    used_ops = ops;
}

const struct idempotency_ops *idempotency_ops(void)
{
    return used_ops;
}

/* "a \"b\"" becomes a "b"; what may follow are parameters, which say nothing to us. NULL: no string. */
static char *unquote(struct weir_arena *arena, const char *text)
{
    char *key = weir_arena_strdup(arena, text), *out = key;
    const char *at = text + 1;
    for (; *at && *at != '"'; at++) {
        if (*at == '\\' && *++at != '"' && *at != '\\')
            return NULL;
        *out++ = *at;
    }
    if (*at++ != '"')
        return NULL;
    at += strspn(at, " ");
    *out = 0;
    return *at == 0 || *at == ';' ? key : NULL;
}

static bool is_printable(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || (unsigned char)*text > 0x7e)
            return false;
    return true;
}

static enum weir_status refuse(struct weir_call *call, const char *what)
{
    return weir_call_fail(call, WEIR_INVALID_ARGUMENT, "Idempotency-Key: %s", what);
}

static enum weir_status parse(struct weir_call *call, const char *text, const char **ret_key)
{
    for (const struct metadata *metadata = call->metadata; metadata; metadata = metadata->next)
        if (strcmp(metadata->name, IDEMPOTENCY_KEY) == 0 && strcmp(metadata->value, text) != 0)
            return refuse(call, "there are two, which differ");
    if (!is_printable(text))
        return refuse(call, "only printable ASCII is allowed");
    text += strspn(text, " ");
    const char *key = text;
    if (text[0] == '"') {
        key = unquote(call->arena, text);
        if (!key)
            return refuse(call, "a text in quotes must end with one; \\\" and \\\\ stand for \" and \\");
    }
    if (!key[0])
        return refuse(call, "it is empty");
    if (strlen(key) > IDEMPOTENCY_KEY_MAX)
        return refuse(call, "more than 255 characters");
    *ret_key = key;
    return WEIR_OK;
}

enum weir_status idempotency_take_key(struct weir_call *call)
{
    const char *text = weir_call_metadata(call, IDEMPOTENCY_KEY);
    if (text) {
        const char *key = NULL;
        enum weir_status status = parse(call, text, &key);
        if (status == WEIR_OK && !call->service->proxy_to) /* a proxy passes on what came */
            call->message_id = key;
        return status;
    }
    if (!call->message_id && call->method->idempotency_key == WEIR_IDEMPOTENCY_KEY_REQUIRED)
        return weir_call_fail(call, WEIR_INVALID_ARGUMENT,
                              "%s requires an Idempotency-Key: the header of that name, or the metadata "
                              "\"idempotency-key\"",
                              call->method->full_name);
    return WEIR_OK;
}
