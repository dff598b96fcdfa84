/* The contracts as the generator and the checks see them: linked, named, with their options read. Everything
 * lives in the model's arena. */
#ifndef CODEGEN_MODEL_H
#define CODEGEN_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <google/protobuf/descriptor.pb-c.h>

#include <weir/arena.h>
#include <weir/bytes.h>
#include <weir/message.h>
#include <weir/method.h>

struct model;
struct file;
struct message;

/* Where something stands in its file: the path of SourceCodeInfo. */
struct place {
    const struct file *file;
    const int32_t *path;
    size_t size;
};

struct enum_value {
    const char *name;
    int32_t number;
    struct place place;
};

struct enumeration {
    const struct file *file;
    const char *name;
    const char *full_name;
    const char *c_lower; /* protobuf-c's lower name */
    const char *c_type;
    const struct enum_value *values;
    size_t value_count;
    struct place place;
};

struct field {
    const char *name;
    const char *json_name;
    const char *member; /* of the C struct */
    int32_t number;
    enum weir_field_type type;
    const char *type_name; /* full name, without the dot; "" for scalars */
    bool repeated;
    bool required;
    bool proto3_optional;
    bool packed;
    bool sensitive;
    int32_t oneof;          /* index of its real oneof; -1 */
    const char *oneof_name; /* real or made for `optional`; NULL */
    const struct message *message;
    const struct enumeration *enumeration;
    struct place place;
};

struct topic {
    const char *name;
    const char *key;
    struct place place;
};

struct message {
    const struct file *file;
    const char *name;
    const char *full_name;
    const char *c_type, *c_lower, *c_upper;
    const char *snake; /* of the C type: "order_paid" */
    struct field *fields;
    size_t field_count;
    size_t oneof_count; /* real ones */
    bool map_entry;
    const struct topic *topic; /* NULL: none */
    struct place place;
};

/* One binding of google.api.http. */
struct binding {
    const char *verb; /* "": none was given */
    const char *path;
    const char *body;
    const char *response_body;
    bool nested; /* an additional binding with additional bindings, which is not allowed */
};

struct service;

struct method {
    const struct service *service;
    const char *name;
    const char *full_name; /* "package.Service/Method" */
    const char *member;    /* of the handlers' struct */
    const char *snake;     /* "inventory_reserve" */
    const struct message *request, *reply;
    bool client_streaming, server_streaming;
    bool idempotent;
    uint8_t idempotency_key; /* enum weir_idempotency_key */
    const struct binding *http;
    size_t http_count;
    const char *consume;            /* topic; NULL: none */
    const struct message *consumed; /* the message that declares that topic; NULL: none does */
    struct place place;
};

struct service {
    const struct file *file;
    const char *name;
    const char *full_name;
    const char *prefix; /* "inventory" */
    struct method *methods;
    size_t method_count;
    struct place place;
};

struct file {
    const struct model *model;
    const Google__Protobuf__FileDescriptorProto *proto;
    const char *name; /* "shop/order/v1/order.proto" */
    const char *stem; /* "shop/order/v1/order" */
    const char *package;
    const char *c_package; /* NULL: none */
    bool proto3;
    bool no_generate;
    struct message *messages; /* nested ones too */
    size_t message_count;
    struct enumeration *enums; /* nested ones too */
    size_t enum_count;
    struct service *services;
    size_t service_count;
};

struct model {
    struct weir_arena *arena;
    struct file *files;
    size_t file_count;
};

/* Borrows the protos until the model is destroyed. They are as protoc gives them: linked, dependencies first.
 * NULL when a type is not among them; the caller owns `ret_missing`: its name and that of what wants it. */
struct model *model_new(Google__Protobuf__FileDescriptorProto *const *protos, size_t count,
                        char **ret_missing);
void model_destroy(struct model *model);

const struct file *model_file(const struct model *model, const char *name);
const struct message *model_message(const struct model *model, const char *full_name);
const struct enumeration *model_enum(const struct model *model, const char *full_name);
const struct service *model_service(const struct model *model, const char *full_name);
const struct field *model_field(const struct message *message, const char *name);

/* The place of something within it: an option, say. */
struct place place_in(struct weir_arena *arena, struct place place, int32_t tag, int32_t index_or_option);
/* Line and column, counted from 1; of the nearest thing around when there is none. Zero without source info.
 */
void place_find(struct place place, int *ret_line, int *ret_column);

/* Numbers of descriptor.proto that make up paths. */
enum {
    PATH_FILE_MESSAGE = 4,
    PATH_FILE_ENUM = 5,
    PATH_FILE_SERVICE = 6,
    PATH_MESSAGE_FIELD = 2,
    PATH_MESSAGE_NESTED = 3,
    PATH_MESSAGE_ENUM = 4,
    PATH_MESSAGE_OPTIONS = 7,
    PATH_ENUM_VALUE = 2,
    PATH_SERVICE_METHOD = 2,
    PATH_METHOD_OPTIONS = 4,
};

#endif
