#include "transports/rest/outbound.h"

#include <string.h>

#include <weir/codec.h>

#include "transports/rest/percent.h"
#include "transports/rest/router.h"
#include "transports/rest/template.h"
#include "transports/rest/transcode.h"

#define DEPTH_MAX 8
#define NAME_MAX_SIZE 256

struct writer {
    const struct weir_method *method;
    const struct weir_http_binding *binding;
    struct path_template template;
    struct weir_buffer *target;
    struct weir_buffer text; /* of one value */
    struct weir_error *err;
    bool has_query;
};

static bool has_inner_fields(const struct weir_field *field)
{
    return field->type == WEIR_TYPE_MESSAGE && field->message->well_known == WEIR_WELL_KNOWN_NONE;
}

/* The payloads of all records of a field behind one another: of a message, its merged bytes. The last one
 * alone is what a string is. */
static void take_payload(struct weir_bytes wire, uint32_t number, bool last_only,
                         struct weir_buffer *ret_payload)
{
    struct wire_record record;
    for (size_t at = 0; at < wire.size && transcode_next_record(wire, &at, &record);) {
        if (record.number != number)
            continue;
        if (last_only)
            weir_buffer_clear(ret_payload);
        weir_buffer_append(ret_payload, record.payload.data, record.payload.size);
    }
}

/* A single value as text: a string as it is, everything else as its JSON without quotes. */
static enum weir_status read_value(struct writer *writer, const struct weir_message *message,
                                   const struct weir_field *field, struct weir_bytes wire)
{
    const struct weir_json_options options = {.with_defaults = true, .proto_names = true};
    weir_buffer_clear(&writer->text);
    if (field->type == WEIR_TYPE_STRING) {
        take_payload(wire, field->number, true, &writer->text);
        return WEIR_OK;
    }
    enum weir_status status = transcode_field(message, field, wire, &options, &writer->text, writer->err);
    struct weir_buffer *text = &writer->text;
    if (status == WEIR_OK && text->size >= 2 && text->data[0] == '"') {
        memmove(text->data, text->data + 1, text->size - 2);
        text->size -= 2;
    }
    return status;
}

/* ---- Path ---- */

static enum weir_status read_variable(struct writer *writer, const char *path, struct weir_bytes wire)
{
    const struct weir_message *message = writer->method->request;
    struct weir_buffer inner = {0};
    enum weir_status status;
    for (const char *at = path, *dot;; at = dot + 1) {
        char name[NAME_MAX_SIZE];
        dot = strchr(at, '.');
        size_t size = dot ? (size_t)(dot - at) : strlen(at);
        if (size >= sizeof name)
            size = sizeof name - 1;
        memcpy(name, at, size);
        name[size] = 0;
        const struct weir_field *field = router_field(message, name);
        if (!field) {
            status = weir_fail(writer->err, WEIR_INTERNAL, "%s has no field %s", message->full_name, name);
            break;
        }
        if (!dot) {
            status = read_value(writer, message, field, wire);
            break;
        }
        struct weir_buffer payload = {0};
        take_payload(wire, field->number, false, &payload);
        weir_buffer_free(&inner);
        inner = payload;
        wire = weir_buffer_bytes(&inner);
        message = field->message;
    }
    weir_buffer_free(&inner);
    return status;
}

static const struct template_variable *variable_at(const struct path_template *template, size_t segment)
{
    for (size_t i = 0; i < template->variable_count; i++)
        if (template->variables[i].from == segment)
            return &template->variables[i];
    return NULL;
}

static enum weir_status write_path(struct writer *writer, struct weir_bytes wire)
{
    const struct path_template *template = &writer->template;
    for (size_t i = 0; i < template->segment_count;) {
        const struct template_variable *variable = variable_at(template, i);
        weir_buffer_append_byte(writer->target, '/');
        if (!variable) {
            if (template->segments[i].kind != SEGMENT_LITERAL)
                return weir_fail(writer->err, WEIR_UNIMPLEMENTED,
                                 "%s: its path %s has a \"*\" that is no variable", writer->method->full_name,
                                 writer->binding->path);
            weir_buffer_append(writer->target, template->segments[i].literal.data,
                               template->segments[i].literal.size);
            i++;
            continue;
        }
        enum weir_status status = read_variable(writer, variable->field, wire);
        if (status != WEIR_OK)
            return status;
        if (writer->text.size == 0)
            return weir_fail(writer->err, WEIR_INVALID_ARGUMENT, "%s must be set: it is part of the path %s",
                             variable->field, writer->binding->path);
        percent_encode(weir_buffer_bytes(&writer->text), variable->many, writer->target);
        i = variable->to;
    }
    if (template->verb.size > 0)
        weir_buffer_printf(writer->target, ":%.*s", (int)template->verb.size,
                           (const char *)template->verb.data);
    return WEIR_OK;
}

/* ---- Query ---- */

static void write_parameter(struct writer *writer, const char *name, struct weir_bytes value)
{
    weir_buffer_printf(writer->target, "%c%s=", writer->has_query ? '&' : '?', name);
    percent_encode(value, false, writer->target);
    writer->has_query = true;
}

static bool is_bound(const struct writer *writer, const char *name)
{
    for (size_t i = 0; i < writer->template.variable_count; i++)
        if (strcmp(writer->template.variables[i].field, name) == 0)
            return true;
    return strcmp(writer->binding->body, name) == 0;
}

/* [1,2] or ["A","B"], whose values have neither commas nor escapes. */
static enum weir_status write_list(struct writer *writer, const char *name,
                                   const struct weir_message *message, const struct weir_field *field,
                                   struct weir_bytes wire)
{
    const struct weir_json_options options = {.proto_names = true};
    weir_buffer_clear(&writer->text);
    enum weir_status status = transcode_field(message, field, wire, &options, &writer->text, writer->err);
    if (status != WEIR_OK)
        return status;
    const char *at = weir_buffer_text(&writer->text);
    while (*(at += strspn(at, "[],\"")) && strcmp(at, "null") != 0) {
        size_t size = strcspn(at, "],\"");
        write_parameter(writer, name, weir_bytes(at, size));
        at += size;
    }
    return WEIR_OK;
}

static void write_strings(struct writer *writer, const char *name, const struct weir_field *field,
                          struct weir_bytes wire)
{
    struct wire_record record;
    for (size_t at = 0; at < wire.size && transcode_next_record(wire, &at, &record);)
        if (record.number == field->number)
            write_parameter(writer, name, record.payload);
}

static enum weir_status write_fields(struct writer *writer, const struct weir_message *message,
                                     const char *prefix, struct weir_bytes wire, int depth);

static enum weir_status write_field(struct writer *writer, const struct weir_message *message,
                                    const struct weir_field *field, const char *name, struct weir_bytes wire,
                                    int depth)
{
    enum weir_well_known known =
        field->type == WEIR_TYPE_MESSAGE ? field->message->well_known : WEIR_WELL_KNOWN_NONE;
    bool no_text = known == WEIR_WELL_KNOWN_ANY || known == WEIR_WELL_KNOWN_STRUCT ||
                   known == WEIR_WELL_KNOWN_VALUE || known == WEIR_WELL_KNOWN_LIST_VALUE ||
                   known == WEIR_WELL_KNOWN_EMPTY;
    if (field->map || no_text || depth > DEPTH_MAX || (field->repeated && field->type == WEIR_TYPE_MESSAGE))
        return weir_fail(writer->err, WEIR_INVALID_ARGUMENT,
                         "%s cannot be sent as a query parameter of %s %s", name, writer->binding->verb,
                         writer->binding->path);
    if (has_inner_fields(field)) {
        struct weir_buffer inner = {0};
        take_payload(wire, field->number, false, &inner);
        enum weir_status status =
            write_fields(writer, field->message, name, weir_buffer_bytes(&inner), depth + 1);
        weir_buffer_free(&inner);
        return status;
    }
    if (field->repeated && field->type == WEIR_TYPE_STRING) {
        write_strings(writer, name, field, wire);
        return WEIR_OK;
    }
    if (field->repeated)
        return write_list(writer, name, message, field, wire);
    enum weir_status status = read_value(writer, message, field, wire);
    if (status == WEIR_OK)
        write_parameter(writer, name, weir_buffer_bytes(&writer->text));
    return status;
}

static bool is_present(const struct weir_field *field, struct weir_bytes wire)
{
    struct wire_record record;
    for (size_t at = 0; at < wire.size && transcode_next_record(wire, &at, &record);)
        if (record.number == field->number)
            return true;
    return false;
}

static enum weir_status write_fields(struct writer *writer, const struct weir_message *message,
                                     const char *prefix, struct weir_bytes wire, int depth)
{
    enum weir_status status = WEIR_OK;
    for (size_t i = 0; i < message->field_count && status == WEIR_OK; i++) {
        const struct weir_field *field = &message->fields[i];
        struct weir_buffer name = {0};
        weir_buffer_printf(&name, "%s%s%s", prefix, prefix[0] ? "." : "", field->name);
        if (is_present(field, wire) && !is_bound(writer, weir_buffer_text(&name)))
            status = write_field(writer, message, field, weir_buffer_text(&name), wire, depth);
        weir_buffer_free(&name);
    }
    return status;
}

/* ---- Body ---- */

/* What is in the path is not in the body. */
static enum weir_status write_whole(struct writer *writer, struct weir_bytes wire, struct weir_buffer *body)
{
    struct weir_buffer rest = {0};
    struct wire_record record;
    for (size_t at = 0; at < wire.size && transcode_next_record(wire, &at, &record);) {
        const struct weir_field *field = weir_message_field(writer->method->request, record.number);
        if (!field || !is_bound(writer, field->name))
            weir_buffer_append(&rest, record.whole.data, record.whole.size);
    }
    enum weir_status status =
        weir_wire_to_json(writer->method->request, weir_buffer_bytes(&rest), NULL, body, writer->err);
    weir_buffer_free(&rest);
    return status;
}

static enum weir_status write_body(struct writer *writer, struct weir_bytes wire, struct weir_buffer *body)
{
    const char *name = writer->binding->body;
    if (!name[0])
        return WEIR_OK;
    if (strcmp(name, "*") == 0)
        return write_whole(writer, wire, body);
    const struct weir_message *message = writer->method->request;
    const struct weir_field *field = router_field(message, name);
    if (!field)
        return weir_fail(writer->err, WEIR_INTERNAL, "%s has no field %s", message->full_name, name);
    if (!is_present(field, wire) && has_inner_fields(field) && !field->repeated) {
        weir_buffer_append_text(body, "{}");
        return WEIR_OK;
    }
    return transcode_field(message, field, wire,
                           &(struct weir_json_options){.with_defaults = field->repeated}, body, writer->err);
}

enum weir_status outbound_request(const struct weir_method *method, const struct weir_http_binding *binding,
                                  struct weir_bytes wire, struct weir_buffer *ret_target,
                                  struct weir_buffer *ret_body, struct weir_error *err)
{
    struct writer writer = {.method = method, .binding = binding, .target = ret_target, .err = err};
    enum weir_status status = template_parse(binding->path, &writer.template, err);
    if (status != WEIR_OK)
        return status;
    status = write_path(&writer, wire);
    if (status == WEIR_OK && strcmp(binding->body, "*") != 0)
        status = write_fields(&writer, method->request, "", wire, 0);
    if (status == WEIR_OK)
        status = write_body(&writer, wire, ret_body);
    template_clean_up(&writer.template);
    weir_buffer_free(&writer.text);
    return status;
}

enum weir_status outbound_reply(const struct weir_method *method, const struct weir_http_binding *binding,
                                struct weir_bytes json, struct weir_buffer *ret_wire, struct weir_error *err)
{
    const struct weir_json_options options = {.ignore_unknown = true};
    if (!binding->response_body[0])
        return weir_json_to_wire(method->reply, json, &options, ret_wire, err);
    struct weir_buffer whole = {0};
    weir_buffer_printf(&whole, "{\"%s\":", binding->response_body);
    weir_buffer_append(&whole, json.data, json.size);
    weir_buffer_append_byte(&whole, '}');
    enum weir_status status =
        weir_json_to_wire(method->reply, weir_buffer_bytes(&whole), &options, ret_wire, err);
    weir_buffer_free(&whole);
    return status;
}
