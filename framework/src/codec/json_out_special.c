/* Messages whose JSON is not an object of their fields. */
#include "codec/json_out.h"
#include "codec/message.h"
#include "codec/scalar.h"
#include "codec/utf8.h"
#include "codec/well_known.h"

/* The members of the message's field 1; or for a Value, the one that is set. */
static enum weir_status write_inner(struct json_out *out, const struct weir_message *message,
                                    struct weir_bytes wire, size_t level)
{
    size_t first, count;
    enum weir_status status = json_out_list(out, message, wire, &first, &count);
    if (status != WEIR_OK)
        return status;
    const struct weir_field *field = weir_message_field(message, 1);
    if (message->well_known == WEIR_WELL_KNOWN_VALUE && count > 0)
        field = &message->fields[json_out_field(out, first)];

    if (field->map) {
        status = json_out_map(out, field, first, count, level);
    } else if (field->repeated) {
        status = json_out_array(out, field, first, count, level);
    } else {
        struct json_out_member member = {.wire_type = wire_type_of(field->type)};
        struct weir_buffer room = {0};
        if (count > 0)
            member = json_out_merge(out, field, first, count, &room);
        double number;
        memcpy(&number, &member.raw, sizeof number);
        bool finite = number - number == 0;
        if (message->well_known == WEIR_WELL_KNOWN_VALUE && field->type == WEIR_TYPE_DOUBLE && !finite)
            status = json_out_fail(out, WEIR_INVALID_ARGUMENT,
                                   "a Value that is NaN or infinite, which JSON cannot express");
        else
            status = json_out_value(out, field, &member, level);
        weir_buffer_free(&room);
    }
    json_out_drop(out, first);
    return status;
}

static const struct weir_message *any_message(const struct json_out *out, struct weir_bytes url)
{
    size_t slash = url.size;
    while (slash > 0 && url.data[slash - 1] != '/')
        slash--;
    if (!out->options->find_message || slash == 0 || utf8_fault(url))
        return NULL;
    struct weir_buffer name = {0};
    buffer_append(&name, url.data + slash, url.size - slash);
    const struct weir_message *message =
        out->options->find_message(out->options->types, weir_buffer_text(&name));
    weir_buffer_free(&name);
    return message;
}

static enum weir_status write_any_of(struct json_out *out, struct weir_bytes url, struct weir_bytes content,
                                     size_t level)
{
    const struct weir_message *message = any_message(out, url);
    if (!message)
        return json_out_fail(out, WEIR_INVALID_ARGUMENT, "an Any of a type that is not known here");
    if (level >= out->budget.limits.depth)
        return json_out_exhausted(out);
    bool first = true;
    enum weir_status status;
    json_out_open(out, '{');
    json_out_separate(out, &first);
    json_quote(weir_bytes_of_text("@type"), out->out);
    json_out_colon(out);
    json_quote(url, out->out);
    if (message->well_known == WEIR_WELL_KNOWN_NONE) {
        status = json_out_fields(out, message, content, level + 1, &first);
    } else {
        json_out_separate(out, &first);
        json_quote(weir_bytes_of_text("value"), out->out);
        json_out_colon(out);
        status = json_out_message(out, message, content, level + 1);
    }
    json_out_close(out, '}', false);
    return status;
}

static enum weir_status write_any(struct json_out *out, const struct weir_message *message,
                                  struct weir_bytes wire, size_t level)
{
    size_t first, count;
    enum weir_status status = json_out_list(out, message, wire, &first, &count);
    if (status != WEIR_OK)
        return status;
    struct weir_bytes parts[2] = {{0}, {0}};
    for (size_t i = first; i < first + count; i++) {
        struct json_out_member member = json_out_member(out, i);
        parts[message->fields[member.field].number == 2] = member.content;
    }
    json_out_drop(out, first);
    if (parts[0].size > 0 || parts[1].size > 0)
        return write_any_of(out, parts[0], parts[1], level);
    weir_buffer_append_text(out->out, "{}");
    return WEIR_OK;
}

enum weir_status json_out_special(struct json_out *out, const struct weir_message *message,
                                  struct weir_bytes wire, size_t level)
{
    if (message->well_known == WEIR_WELL_KNOWN_ANY)
        return write_any(out, message, wire, level);
    if (!well_known_is_text(message->well_known))
        return write_inner(out, message, wire, level);
    const char *fault = well_known_print(message->well_known, wire, out->out);
    return fault ? json_out_fail(out, WEIR_INVALID_ARGUMENT, fault) : WEIR_OK;
}
