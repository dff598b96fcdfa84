/* A service: the struct of its handlers, the thunks that call them with the right types, its table. */
#include "emit.h"
#include "names.h"
#include "text.h"

static bool streams(const struct method *method)
{
    return method->client_streaming || method->server_streaming;
}

/* ---- The header ---- */

static const char unary_member[] =
    "    struct {\n"
    "        enum weir_status (*fn)(struct weir_call *call, const $request$ *request, $reply$ *reply);\n"
    "        bool inline_; /* must not block: runs on the transport's own thread */\n"
    "        struct weir_method_limits limits; /* of those that are not inline */\n"
    "    } $member$;\n";

/* The callback that is used most stands first. */
static const char incoming_members[] =
    "        enum weir_status (*message)(struct weir_call *call, const $request$ *message);\n"
    "        enum weir_status (*half_close)(struct weir_call *call);\n"
    "        enum weir_status (*open)(struct weir_call *call);\n";
static const char open_member[] =
    "        enum weir_status (*open)(struct weir_call *call, const $request$ *request);\n";
static const char stream_members[] =
    "        void (*cancel)(struct weir_call *call);\n"
    "        void (*draining)(struct weir_call *call, int64_t left_ms);\n"
    "        void (*writable)(struct weir_call *call);\n"
    "        bool inline_; /* callbacks must not block: they run on the transport's own thread */\n"
    "        struct weir_method_limits limits; /* of those that are not inline */\n"
    "    } $member$;\n";

static const char adding[] =
    "extern const struct weir_service_type $prefix$_service_type;\n\n"
    "struct $prefix$_service_options {\n"
    "    const struct $prefix$_handlers *handlers; /* Required. Borrows until the app is destroyed */\n"
    "    void *self; /* Optional. What weir_call_self() gives. Borrows */\n"
    "    struct weir_sql *idempotency; /* Required where a method has (weir.idempotency_key) */\n"
    "    const void *needs[WEIR_NEEDS_MAX];\n"
    "};\n\n"
    "static inline struct weir_service *$prefix$_service_add(struct weir_app *app,\n"
    "                                                        const struct $prefix$_service_options "
    "*options)\n"
    "{\n"
    "    struct weir_service_options untyped = {\n"
    "        .handlers = options->handlers, .self = options->self, .idempotency = options->idempotency};\n"
    "    for (int i = 0; i < WEIR_NEEDS_MAX; i++)\n"
    "        untyped.needs[i] = options->needs[i];\n"
    "    return weir_service_add(app, &$prefix$_service_type, &untyped);\n"
    "}\n\n";

static void emit_handlers(struct weir_buffer *out, const struct service *service)
{
    text_of_service(out, service,
                    "/* ---- $full_name$ ---- */\n\n"
                    "/* A method without a handler answers UNIMPLEMENTED. */\n"
                    "struct $prefix$_handlers {\n");
    for (size_t i = 0; i < service->method_count; i++) {
        const struct method *method = &service->methods[i];
        if (!streams(method)) {
            text_of_method(out, method, unary_member);
            continue;
        }
        weir_buffer_append_text(out, "    struct {\n");
        text_of_method(out, method, method->client_streaming ? incoming_members : open_member);
        text_of_method(out, method, stream_members);
    }
    if (service->method_count == 0)
        weir_buffer_append_text(out, "    char none; /* C has no empty struct */\n");
    weir_buffer_append_text(out, "};\n\n");
}

void emit_service_declarations(struct output *out, const struct service *service)
{
    emit_handlers(&out->header, service);
    text_of_service(&out->header, service, adding);
    if (service->method_count > 0)
        text_of_service(&out->header, service,
                        "extern const struct weir_method $prefix$_methods[$count$];\n\n");
}

/* ---- Thunks ---- */

static const char unary_thunk[] =
    "static enum weir_status $method$_call_unary(struct weir_call *call, const void *handlers, const void "
    "*request,\n"
    "                                            void *reply)\n"
    "{\n"
    "    return ((const struct $prefix$_handlers *)handlers)->$member$.fn(call, request, reply);\n"
    "}\n\n";

static const char incoming_thunks[] =
    "static enum weir_status $method$_call_open(struct weir_call *call, const void *handlers, const void "
    "*request)\n"
    "{\n"
    "    const struct $prefix$_handlers *table = handlers;\n"
    "    (void)request;\n"
    "    return table->$member$.open ? table->$member$.open(call) : WEIR_OK;\n"
    "}\n\n"
    "static enum weir_status $method$_call_message(struct weir_call *call, const void *handlers,\n"
    "                                              const void *message)\n"
    "{\n"
    "    return ((const struct $prefix$_handlers *)handlers)->$member$.message(call, message);\n"
    "}\n\n"
    "static enum weir_status $method$_call_half_close(struct weir_call *call, const void *handlers)\n"
    "{\n"
    "    const struct $prefix$_handlers *table = handlers;\n"
    "    return table->$member$.half_close ? table->$member$.half_close(call) : WEIR_OK;\n"
    "}\n\n";

static const char open_thunk[] =
    "static enum weir_status $method$_call_open(struct weir_call *call, const void *handlers, const void "
    "*request)\n"
    "{\n"
    "    return ((const struct $prefix$_handlers *)handlers)->$member$.open(call, request);\n"
    "}\n\n";

static const char stream_thunks[] =
    "static void $method$_call_cancel(struct weir_call *call, const void *handlers)\n"
    "{\n"
    "    const struct $prefix$_handlers *table = handlers;\n"
    "    if (table->$member$.cancel)\n"
    "        table->$member$.cancel(call);\n"
    "}\n\n"
    "static void $method$_call_draining(struct weir_call *call, const void *handlers, int64_t left_ms)\n"
    "{\n"
    "    const struct $prefix$_handlers *table = handlers;\n"
    "    if (table->$member$.draining)\n"
    "        table->$member$.draining(call, left_ms);\n"
    "}\n\n"
    "static void $method$_call_writable(struct weir_call *call, const void *handlers)\n"
    "{\n"
    "    const struct $prefix$_handlers *table = handlers;\n"
    "    if (table->$member$.writable)\n"
    "        table->$member$.writable(call);\n"
    "}\n\n";

static const char inline_thunk[] =
    "static bool $method$_is_inline(const void *handlers)\n"
    "{\n"
    "    return ((const struct $prefix$_handlers *)handlers)->$member$.inline_;\n"
    "}\n\n"
    "static const struct weir_method_limits *$method$_limits(const void *handlers)\n"
    "{\n"
    "    return &((const struct $prefix$_handlers *)handlers)->$member$.limits;\n"
    "}\n\n"
    "static bool $method$_is_present(const void *handlers)\n"
    "{\n"
    "    return ((const struct $prefix$_handlers *)handlers)->$member$.";

static void emit_thunks(struct weir_buffer *out, const struct method *method)
{
    const char *main_callback = "fn";
    if (!streams(method)) {
        text_of_method(out, method, unary_thunk);
    } else {
        main_callback = method->client_streaming ? "message" : "open";
        text_of_method(out, method, method->client_streaming ? incoming_thunks : open_thunk);
        text_of_method(out, method, stream_thunks);
    }
    text_of_method(out, method, inline_thunk);
    weir_buffer_printf(out, "%s != NULL;\n}\n\n", main_callback);
}

/* ---- Tables ---- */

static void emit_http(struct weir_buffer *out, const struct method *method)
{
    struct weir_arena *arena = method->service->file->model->arena;
    if (method->http_count == 0)
        return;
    weir_buffer_printf(out, "static const struct weir_http_binding %s_http[%zu] = {\n", method->snake,
                       method->http_count);
    for (size_t i = 0; i < method->http_count; i++) {
        const struct binding *binding = &method->http[i];
        weir_buffer_printf(out,
                           "    {.verb = \"%s\", .path = \"%s\", .body = \"%s\", .response_body = \"%s\"},\n",
                           names_literal(arena, binding->verb), names_literal(arena, binding->path),
                           names_literal(arena, binding->body), names_literal(arena, binding->response_body));
    }
    weir_buffer_append_text(out, "};\n\n");
}

static const char method_head[] = "    {\n"
                                  "        .name = \"$name$\",\n"
                                  "        .full_name = \"$full_name$\",\n"
                                  "        .index = $index$,\n"
                                  "        .kind = $kind$,\n"
                                  "        .request = &$request_lower$__table,\n"
                                  "        .reply = &$reply_lower$__table,\n"
                                  "        .request_descriptor = &$request_lower$__descriptor,\n"
                                  "        .reply_descriptor = &$reply_lower$__descriptor,\n";
static const char method_incoming[] = "        .message = $method$_call_message,\n"
                                      "        .half_close = $method$_call_half_close,\n";
static const char method_stream[] = "        .open = $method$_call_open,\n"
                                    "        .cancel = $method$_call_cancel,\n"
                                    "        .draining = $method$_call_draining,\n"
                                    "        .writable = $method$_call_writable,\n";
static const char method_tail[] = "        .is_inline = $method$_is_inline,\n"
                                  "        .limits = $method$_limits,\n"
                                  "        .is_present = $method$_is_present,\n"
                                  "    },\n";

static void emit_method(struct weir_buffer *out, const struct method *method)
{
    text_of_method(out, method, method_head);
    if (method->idempotent)
        weir_buffer_append_text(out, "        .idempotent = true,\n");
    if (method->idempotency_key)
        weir_buffer_printf(out, "        .idempotency_key = WEIR_IDEMPOTENCY_KEY_%s,\n",
                           method->idempotency_key == WEIR_IDEMPOTENCY_KEY_REQUIRED ? "REQUIRED"
                                                                                    : "OPTIONAL");
    if (method->http_count > 0)
        weir_buffer_printf(out, "        .http = %s_http,\n        .http_count = %zu,\n", method->snake,
                           method->http_count);
    if (method->consumed)
        weir_buffer_printf(out, "        .topic = &%s_topic,\n", method->consumed->snake);
    if (!streams(method))
        text_of_method(out, method, "        .unary = $method$_call_unary,\n");
    else
        text_of_method(out, method, method_stream);
    if (method->client_streaming)
        text_of_method(out, method, method_incoming);
    text_of_method(out, method, method_tail);
}

void emit_service_tables(struct output *out, const struct service *service)
{
    struct weir_buffer *to = &out->source;
    for (size_t i = 0; i < service->method_count; i++) {
        emit_thunks(to, &service->methods[i]);
        emit_http(to, &service->methods[i]);
    }
    if (service->method_count > 0) {
        text_of_service(to, service, "const struct weir_method $prefix$_methods[$count$] = {\n");
        for (size_t i = 0; i < service->method_count; i++)
            emit_method(to, &service->methods[i]);
        weir_buffer_append_text(to, "};\n\n");
    }
    text_of_service(to, service,
                    "const struct weir_service_type $prefix$_service_type = {\n"
                    "    .full_name = \"$full_name$\",\n");
    if (service->method_count > 0)
        text_of_service(to, service, "    .methods = $prefix$_methods,\n    .method_count = $count$,\n");
    weir_buffer_append_text(to, "};\n\n");
}
