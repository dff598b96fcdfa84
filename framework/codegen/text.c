#include "text.h"

#include <stdlib.h>
#include <string.h>

struct variable {
    const char *name, *value;
};

static void expand(struct weir_buffer *out, const char *text, const struct variable *variables)
{
    for (const char *open = strchr(text, '$'); open; open = strchr(text, '$')) {
        const char *close = strchr(open + 1, '$');
        size_t size = close ? (size_t)(close - open - 1) : 0;
        const struct variable *variable = variables;
        while (variable->name &&
               (strlen(variable->name) != size || memcmp(variable->name, open + 1, size) != 0))
            variable++;
        if (!variable->name || !variable->value)
            abort(); /* a mistake in the generator's own text */
        weir_buffer_append(out, text, (size_t)(open - text));
        weir_buffer_append_text(out, variable->value);
        text = close + 1;
    }
    weir_buffer_append_text(out, text);
}

static const char *number(const struct file *file, size_t value)
{
    return weir_arena_printf(file->model->arena, "%zu", value);
}

static const char *kind_of(const struct method *method)
{
    if (method->client_streaming)
        return method->server_streaming ? "WEIR_BIDI_STREAM" : "WEIR_CLIENT_STREAM";
    return method->server_streaming ? "WEIR_SERVER_STREAM" : "WEIR_UNARY";
}

void text_of_method(struct weir_buffer *out, const struct method *method, const char *text)
{
    const struct service *service = method->service;
    expand(out, text,
           (const struct variable[]){
               {"method", method->snake},
               {"member", method->member},
               {"name", method->name},
               {"full_name", method->full_name},
               {"kind", kind_of(method)},
               {"index", number(service->file, (size_t)(method - service->methods))},
               {"prefix", service->prefix},
               {"request", method->request->c_type},
               {"reply", method->reply->c_type},
               {"request_lower", method->request->c_lower},
               {"reply_lower", method->reply->c_lower},
               {NULL, NULL},
           });
}

void text_of_service(struct weir_buffer *out, const struct service *service, const char *text)
{
    expand(out, text,
           (const struct variable[]){
               {"prefix", service->prefix},
               {"full_name", service->full_name},
               {"count", number(service->file, service->method_count)},
               {NULL, NULL},
           });
}

void text_of_message(struct weir_buffer *out, const struct message *message, const char *text)
{
    const struct field *key = message->topic ? model_field(message, message->topic->key) : NULL;
    expand(out, text,
           (const struct variable[]){
               {"type", message->c_type},
               {"lower", message->c_lower},
               {"snake", message->snake},
               {"full_name", message->full_name},
               {"count", number(message->file, message->field_count)},
               {"topic", message->topic ? message->topic->name : NULL},
               {"key", message->topic ? message->topic->key : NULL},
               {"key_member", key ? key->member : NULL},
               {NULL, NULL},
           });
}
