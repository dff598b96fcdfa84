#include "codec/schema_read.h"

/* Numbers of extensions: google/api/annotations.proto, weir/options.proto. */
enum {
    OPTION_HTTP = 72295728,
    OPTION_CONSUME = 51000,
    OPTION_IDEMPOTENT = 51001,
    OPTION_IDEMPOTENCY_KEY = 51002,
    IDEMPOTENCY_LEVEL = 34
};

struct http_rule {
    struct weir_http_binding *bindings; /* room for all */
    size_t count;
};

static void read_custom(struct weir_schema *schema, struct weir_bytes proto,
                        struct weir_http_binding *binding)
{
    for (struct reader reader = reader_of(proto, &schema->bad); reader_next(&reader);) {
        if (reader.member.number == 1)
            binding->verb = schema_text(schema, reader.member.content);
        else if (reader.member.number == 2)
            binding->path = schema_text(schema, reader.member.content);
    }
}

/* One google.api.HttpRule, without what is nested in it. */
static void read_binding(struct weir_schema *schema, struct weir_bytes proto,
                         struct weir_http_binding *binding)
{
    static const char *const verbs[] = {
        [2] = "GET", [3] = "PUT", [4] = "POST", [5] = "DELETE", [6] = "PATCH"};
    for (struct reader reader = reader_of(proto, &schema->bad); reader_next(&reader);) {
        uint32_t number = reader.member.number;
        if (number == 8) {
            read_custom(schema, reader.member.content, binding);
        } else if (number >= 2 && number <= 6) {
            binding->verb = verbs[number];
            binding->path = schema_text(schema, reader.member.content);
        } else if (number == 7) {
            binding->body = schema_text(schema, reader.member.content);
        } else if (number == 12) {
            binding->response_body = schema_text(schema, reader.member.content);
        }
    }
}

static void read_http(struct weir_schema *schema, struct weir_bytes proto, struct weir_method *method)
{
    static const struct weir_http_binding empty = {"", "", "", ""};
    size_t count = 1;
    for (struct reader reader = reader_of(proto, &schema->bad); reader_next(&reader);)
        count += reader.member.number == 11;
    struct weir_http_binding *bindings = weir_arena_alloc(schema->arena, count * sizeof *bindings);
    bindings[0] = empty;
    read_binding(schema, proto, &bindings[0]);
    size_t at = 1;
    for (struct reader reader = reader_of(proto, &schema->bad); reader_next(&reader) && at < count;) {
        if (reader.member.number != 11)
            continue;
        bindings[at] = empty;
        read_binding(schema, reader.member.content, &bindings[at++]);
    }
    method->http = bindings;
    method->http_count = count;
}

static void read_consume(struct weir_schema *schema, struct weir_bytes proto, struct weir_method *method)
{
    for (struct reader reader = reader_of(proto, &schema->bad); reader_next(&reader);) {
        if (reader.member.number != 1)
            continue;
        const char *name = schema_text(schema, reader.member.content);
        for (size_t i = 0; i < schema->topic_count; i++) {
            if (strcmp(schema->topics[i].name, name) == 0)
                method->topic = &schema->topics[i];
        }
    }
}

static void read_options(struct weir_schema *schema, struct weir_bytes options, struct weir_method *method)
{
    struct weir_buffer http = {0}; /* an option that is set in parts comes in parts, which join */
    for (struct reader reader = reader_of(options, &schema->bad); reader_next(&reader);) {
        const struct wire_member *member = &reader.member;
        if (member->number == OPTION_HTTP)
            weir_buffer_append(&http, member->content.data, member->content.size);
        else if (member->number == OPTION_CONSUME)
            read_consume(schema, member->content, method);
        else if (member->number == OPTION_IDEMPOTENT || member->number == IDEMPOTENCY_LEVEL)
            method->idempotent = method->idempotent || member->raw != 0;
        else if (member->number == OPTION_IDEMPOTENCY_KEY)
            method->idempotency_key = (uint8_t)member->raw;
    }
    if (http.size > 0)
        read_http(schema, weir_buffer_bytes(&http), method);
    weir_buffer_free(&http);
}

static enum weir_status read_method(struct weir_schema *schema, const struct definition *service,
                                    struct weir_bytes proto, struct weir_method *method)
{
    const char *request = "", *reply = "";
    bool client_streams = false, server_streams = false;
    method->name = "";
    for (struct reader reader = reader_of(proto, &schema->bad); reader_next(&reader);) {
        const struct wire_member *member = &reader.member;
        if (member->number == 1)
            method->name = schema_text(schema, member->content);
        else if (member->number == 2)
            request = schema_text(schema, member->content);
        else if (member->number == 3)
            reply = schema_text(schema, member->content);
        else if (member->number == 4)
            read_options(schema, member->content, method);
        else if (member->number == 5)
            client_streams = member->raw != 0;
        else if (member->number == 6)
            server_streams = member->raw != 0;
    }
    method->full_name = weir_arena_printf(schema->arena, "%s/%s", service->full_name, method->name);
    method->kind =
        (uint8_t)((client_streams ? WEIR_CLIENT_STREAM : 0) | (server_streams ? WEIR_SERVER_STREAM : 0));
    const struct definition *request_type = schema_find(schema, request, DEFINES_MESSAGE);
    const struct definition *reply_type = schema_find(schema, reply, DEFINES_MESSAGE);
    if (!request_type || !reply_type)
        return weir_fail(schema->err, WEIR_INVALID_ARGUMENT,
                         "descriptor set: %s, which %s uses, is missing (made without imports?)",
                         request_type ? reply : request, method->full_name);
    method->request = request_type->message;
    method->reply = reply_type->message;
    return WEIR_OK;
}

enum weir_status schema_read_service(struct weir_schema *schema, const struct definition *definition)
{
    size_t count = 0;
    for (struct reader reader = reader_of(definition->proto, &schema->bad); reader_next(&reader);)
        count += reader.member.number == 2;
    if (count > UINT16_MAX)
        return weir_fail(schema->err, WEIR_INVALID_ARGUMENT, "descriptor set: %s has too many methods",
                         definition->full_name);
    struct weir_method *methods = weir_arena_zalloc(schema->arena, (count + 1) * sizeof *methods);
    size_t at = 0;
    for (struct reader reader = reader_of(definition->proto, &schema->bad); reader_next(&reader);) {
        if (reader.member.number != 2)
            continue;
        methods[at].index = (uint16_t)at;
        enum weir_status status = read_method(schema, definition, reader.member.content, &methods[at]);
        if (status != WEIR_OK)
            return status;
        at++;
    }
    *definition->service = (struct weir_service_type){
        .full_name = definition->full_name, .methods = methods, .method_count = count};
    return WEIR_OK;
}
