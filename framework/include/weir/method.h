/* The tables of services, methods and topics that protoc-gen-weir generates: what transports, channels and
 * consumers serve and call by. Users see them only as arguments. Immutable. Any thread. */
#ifndef WEIR_METHOD_H
#define WEIR_METHOD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/message.h>
#include <weir/status.h>

struct weir_call;
struct ProtobufCMessageDescriptor;

enum weir_method_kind {
    WEIR_UNARY = 0,
    WEIR_CLIENT_STREAM = 1, /* many requests, one reply */
    WEIR_SERVER_STREAM = 2, /* one request, many replies */
    WEIR_BIDI_STREAM = 3,
};

/* (weir.idempotency_key), numbered as there. */
enum weir_idempotency_key {
    WEIR_IDEMPOTENCY_KEY_NONE = 0,
    WEIR_IDEMPOTENCY_KEY_OPTIONAL = 1,
    WEIR_IDEMPOTENCY_KEY_REQUIRED = 2,
};

/* One google.api.http binding. */
struct weir_http_binding {
    const char *verb;          /* "GET" */
    const char *path;          /* the template: "/v1/orders/{order_id}:cancel" */
    const char *body;          /* "" none, "*" the rest, else the name of a field */
    const char *response_body; /* "" the whole reply, else the name of a field */
};

/* How much of the executor a method may take, so that one whose calls hang leaves threads to the others. A handler says
 * it beside its function: {.fn = place_order, .limits = {.threads_max = 8}}. Zero: what the configuration says
 * (executor.method_threads, executor.method_queue), by default three quarters of all. */
struct weir_method_limits {
    int threads_max; /* executions at once; of a stream: callbacks at once */
    int queue_max;   /* calls that wait for one of these; more are refused with UNAVAILABLE */
};

/* A topic and what it carries: from the message option (weir.topic). */
struct weir_topic {
    const char *name;      /* "order.paid" */
    const char *key_field; /* of the message: "order_id" */
    const struct weir_message *message;
    const struct ProtobufCMessageDescriptor *descriptor;
    /* The key of an unpacked message; borrows from it. Generated. */
    const char *(*key)(const void *message);
};

struct weir_method {
    const char *name;        /* "Reserve" */
    const char *full_name;   /* "shop.inventory.v1.InventoryService/Reserve" */
    uint16_t index;          /* within its service */
    uint8_t kind;            /* enum weir_method_kind */
    bool idempotent;         /* (weir.idempotent) or idempotency_level: a client may retry it */
    uint8_t idempotency_key; /* enum weir_idempotency_key: a repeated key gets the first call's answer */
    const struct weir_message *request, *reply;
    const struct ProtobufCMessageDescriptor *request_descriptor, *reply_descriptor;
    const struct weir_http_binding *http; /* the rule and its additional bindings; none: not on REST */
    size_t http_count;
    const struct weir_topic *topic; /* (weir.consume): what the method consumes; NULL: not on Kafka */

    /* Generated; call the author's handler in the table `handlers` with the right types.
     * `open` is NULL unless the kind streams; `unary` is NULL if it does. */
    enum weir_status (*unary)(struct weir_call *call, const void *handlers, const void *request, void *reply);
    /* Server stream: with the request. Others: with NULL, before the first message. */
    enum weir_status (*open)(struct weir_call *call, const void *handlers, const void *request);
    enum weir_status (*message)(struct weir_call *call, const void *handlers, const void *message);
    enum weir_status (*half_close)(struct weir_call *call, const void *handlers);
    void (*cancel)(struct weir_call *call, const void *handlers);
    void (*draining)(struct weir_call *call, const void *handlers, int64_t left_ms);
    void (*writable)(struct weir_call *call, const void *handlers);
    /* Declared `.inline_ = true`: runs on the transport's own thread and must not block. */
    bool (*is_inline)(const void *handlers);
    const struct weir_method_limits *(*limits)(const void *handlers);
    /* The author gave a handler at all; a method without one answers UNIMPLEMENTED. */
    bool (*is_present)(const void *handlers);
};

struct weir_service_type {
    const char *full_name; /* "shop.inventory.v1.InventoryService" */
    const struct weir_method *methods;
    size_t method_count;
};

#endif
