/* Messages whose JSON is not an object of their fields. */
#include "codec/json_in.h"
#include "codec/message.h"
#include "codec/well_known.h"
#include "codec/wire.h"

static enum weir_status read_text(struct json_in *in, const struct weir_message *message)
{
    struct weir_bytes text;
    enum json_kind kind = json_peek(&in->scan);
    const uint8_t *begin = in->scan.at;
    if (kind != JSON_STRING)
        return json_in_fail(in, begin, WEIR_INVALID_ARGUMENT, "expected a string (%s)", message->full_name);
    if (!json_string(&in->scan, &text))
        return json_in_fault(in);
    size_t before = in->out->size;
    const char *fault = well_known_parse(message->well_known, text, in->out);
    if (fault)
        return json_in_fail_value(in, begin, fault);
    if (message->well_known != WEIR_WELL_KNOWN_FIELD_MASK)
        return WEIR_OK;

    /* A field mask's paths are elements like any other's. */
    const uint8_t *end = in->out->data + in->out->size;
    for (const uint8_t *at = in->out->data + before; at && at < end;) {
        struct wire_member member = {0};
        at = wire_read_tag(at, end, &member);
        at = at ? wire_read_value(at, end, &member, &fault) : NULL;
        if (!budget_elements(&in->budget, 1) || !budget_memory(&in->budget, 16) ||
            !budget_memory(&in->budget, member.content.size + 1) || !budget_member(&in->budget, in->members))
            return json_in_exhausted(in, begin);
    }
    return WEIR_OK;
}

/* Value: the field that fits what stands there. */
static enum weir_status read_value(struct json_in *in, const struct weir_message *message, size_t level)
{
    static const uint32_t numbers[] = {
        [JSON_OBJECT] = 5, [JSON_ARRAY] = 6, [JSON_STRING] = 3, [JSON_NUMBER] = 2,
        [JSON_TRUE] = 4,   [JSON_FALSE] = 4, [JSON_NULL] = 1,
    };
    enum json_kind kind = json_peek(&in->scan);
    if (kind == JSON_NOTHING)
        return json_in_fail(in, in->scan.at, WEIR_INVALID_ARGUMENT, "%s",
                            in->scan.at == in->scan.end ? "the text ends here" : "not a JSON value");
    return json_in_single(in, weir_message_field(message, numbers[kind]), level, true, NULL);
}

static enum weir_status expect_object(struct json_in *in)
{
    return json_peek(&in->scan) == JSON_OBJECT
               ? WEIR_OK
               : json_in_fail(in, in->scan.at, WEIR_INVALID_ARGUMENT, "expected an object");
}

struct any_type {
    struct weir_buffer url;
    const uint8_t *begin, *end; /* in the JSON text, with its quotes */
};

/* The value of "@type", wherever it stands. Leaves the scanner where it was. */
static enum weir_status find_type(struct json_in *in, struct any_type *type)
{
    const uint8_t *begin = in->scan.at;
    in->scan.at++;
    do {
        struct weir_bytes text;
        if (json_peek(&in->scan) != JSON_STRING)
            return json_in_fail(in, in->scan.at, WEIR_INVALID_ARGUMENT, "expected a key in quotes");
        if (!json_string(&in->scan, &text))
            return json_in_fault(in);
        bool found = weir_bytes_equal_text(text, "@type");
        if (!json_expect(&in->scan, ':', "expected ':'"))
            return json_in_fault(in);
        if (!found) {
            if (!json_skip(&in->scan, 2 * in->budget.limits.depth))
                return json_in_fault(in);
            continue;
        }
        if (json_peek(&in->scan) != JSON_STRING)
            return json_in_fail(in, in->scan.at, WEIR_INVALID_ARGUMENT, "\"@type\" is not a string");
        type->begin = in->scan.at;
        if (!json_string(&in->scan, &text))
            return json_in_fault(in);
        type->end = in->scan.at;
        buffer_append(&type->url, text.data, text.size);
        in->scan.at = begin;
        return WEIR_OK;
    } while (json_take(&in->scan, ','));
    return json_in_fail(in, begin, WEIR_INVALID_ARGUMENT, "an Any without \"@type\"");
}

/* {"@type": ..., "value": ...}, for types with a JSON of their own. */
static enum weir_status read_any_value(struct json_in *in, const struct weir_message *message, size_t level)
{
    const uint8_t *begin = in->scan.at;
    bool type_seen = false, value_seen = false;
    in->scan.at++;
    do {
        struct weir_bytes key;
        if (json_peek(&in->scan) != JSON_STRING)
            return json_in_fail(in, in->scan.at, WEIR_INVALID_ARGUMENT, "expected a key in quotes");
        const uint8_t *at = in->scan.at;
        if (!json_string(&in->scan, &key))
            return json_in_fault(in);
        bool is_value = weir_bytes_equal_text(key, "value"), is_type = weir_bytes_equal_text(key, "@type");
        if (!json_expect(&in->scan, ':', "expected ':'"))
            return json_in_fault(in);
        if ((is_value && value_seen) || (is_type && type_seen))
            return json_in_fail(in, at, WEIR_INVALID_ARGUMENT, "%s is given twice",
                                is_value ? "\"value\"" : "\"@type\"");
        if (!is_value && !is_type && !in->options->ignore_unknown)
            return json_in_fail(in, at, WEIR_INVALID_ARGUMENT, "expected \"@type\" and \"value\" only");
        value_seen = value_seen || is_value;
        type_seen = type_seen || is_type;
        enum weir_status status = WEIR_OK;
        if (is_value)
            status = json_in_message(in, message, level);
        else if (!json_skip(&in->scan, in->budget.limits.depth))
            status = json_in_fault(in);
        if (status != WEIR_OK)
            return status;
    } while (json_take(&in->scan, ','));
    if (!json_expect(&in->scan, '}', "expected ',' or '}'"))
        return json_in_fault(in);
    return value_seen ? WEIR_OK
                      : json_in_fail(in, begin, WEIR_INVALID_ARGUMENT, "an Any of %s without \"value\"",
                                     message->full_name);
}

static const struct weir_message *find_message(const struct json_in *in, struct weir_buffer *url)
{
    const char *text = weir_buffer_text(url);
    const char *slash = strrchr(text, '/');
    if (!slash || strlen(text) != url->size || !in->options->find_message)
        return NULL;
    return in->options->find_message(in->options->types, slash + 1);
}

static enum weir_status read_any_of(struct json_in *in, struct any_type *type, size_t level)
{
    const uint8_t *begin = in->scan.at;
    const struct weir_message *message = find_message(in, &type->url);
    if (!message) {
        in->scan.at = type->end;
        return json_in_fail_value(in, type->begin, "is no message that is known here");
    }
    if (level >= in->budget.limits.depth)
        return json_in_exhausted(in, begin);
    wire_write_bytes(in->out, 1, weir_buffer_bytes(&type->url));
    wire_write_tag(in->out, 2, WIRE_BYTES);
    size_t length = wire_open_length(in->out);
    enum weir_status status;
    if (message->well_known == WEIR_WELL_KNOWN_NONE) {
        struct budget_members members = {0}, *outer = in->members;
        in->members = &members;
        status = json_in_object(in, message, level + 1, true);
        in->members = outer;
    } else {
        status = read_any_value(in, message, level + 1);
    }
    if (status != WEIR_OK)
        return status;
    size_t size = in->out->size - length;
    wire_close_length(in->out, length);
    return budget_memory(&in->budget, type->url.size + 1) && budget_memory(&in->budget, size)
               ? WEIR_OK
               : json_in_exhausted(in, begin);
}

/* Looked at twice: once for its type, once for its content. */
static enum weir_status read_any(struct json_in *in, size_t level)
{
    enum weir_status status = expect_object(in);
    if (status != WEIR_OK)
        return status;
    const uint8_t *begin = in->scan.at;
    in->scan.at++;
    if (json_take(&in->scan, '}'))
        return WEIR_OK;
    in->scan.at = begin;

    struct any_type type = {0};
    status = find_type(in, &type);
    if (status == WEIR_OK)
        status = read_any_of(in, &type, level);
    weir_buffer_free(&type.url);
    return status;
}

enum weir_status json_in_special(struct json_in *in, const struct weir_message *message, size_t level)
{
    enum weir_status status;
    switch (message->well_known) {
    case WEIR_WELL_KNOWN_TIMESTAMP:
    case WEIR_WELL_KNOWN_DURATION:
    case WEIR_WELL_KNOWN_FIELD_MASK:
        return read_text(in, message);
    case WEIR_WELL_KNOWN_ANY:
        return read_any(in, level);
    case WEIR_WELL_KNOWN_STRUCT:
        status = expect_object(in);
        return status == WEIR_OK ? json_in_map(in, weir_message_field(message, 1), level) : status;
    case WEIR_WELL_KNOWN_VALUE:
        return read_value(in, message, level);
    case WEIR_WELL_KNOWN_LIST_VALUE:
        return json_in_array(in, weir_message_field(message, 1), level);
    case WEIR_WELL_KNOWN_WRAPPER:
        return json_in_single(in, weir_message_field(message, 1), level, false, NULL);
    case WEIR_WELL_KNOWN_NONE:
    case WEIR_WELL_KNOWN_EMPTY:
        break;
    }
    return json_in_object(in, message, level, false);
}
