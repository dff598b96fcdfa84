/* Reading a FileDescriptorSet (google/protobuf/descriptor.proto) by its wire format: the few fields that
 * matter, without generated code, whose symbols would meet those of a user's contracts.
 *
 * schema.c holds the registry, schema_messages.c makes tables of messages and enums, schema_services.c of
 * services. */
#ifndef WEIR_CODEC_SCHEMA_READ_H
#define WEIR_CODEC_SCHEMA_READ_H

#include <weir/arena.h>
#include <weir/schema.h>

#include "codec/wire.h"

/* Walks the members of one message. A bad byte ends it and sets *bad. */
struct reader {
    const uint8_t *at, *end;
    struct wire_member member;
    bool *bad;
};

static inline struct reader reader_of(struct weir_bytes bytes, bool *bad)
{
    return (struct reader){
        .at = bytes.data, .end = bytes.size ? bytes.data + bytes.size : bytes.data, .bad = bad};
}

static inline bool reader_next(struct reader *reader)
{
    const char *fault;
    if (reader->at == reader->end)
        return false;
    reader->member = (struct wire_member){0};
    reader->at = wire_read_tag(reader->at, reader->end, &reader->member);
    if (reader->at)
        reader->at = wire_read_value(reader->at, reader->end, &reader->member, &fault);
    if (reader->at)
        return true;
    reader->at = reader->end;
    *reader->bad = true;
    return false;
}

enum definition_kind { DEFINES_MESSAGE, DEFINES_ENUM, DEFINES_SERVICE };

/* Something with a full name, and the bytes that describe it. */
struct definition {
    const char *full_name;
    struct weir_bytes proto;
    enum definition_kind kind;
    bool proto3;
    bool map_entry;
    size_t order; /* in the set */
    union {
        struct weir_message *message;
        struct weir_enum *enumeration;
        struct weir_service_type *service;
    };
};

struct weir_schema {
    struct weir_arena *arena;
    struct definition *definitions; /* sorted by name once all are known */
    size_t count, capacity;
    const struct weir_service_type **services; /* in the order of the set */
    size_t service_count;
    struct weir_topic *topics;
    size_t topic_count;
    bool bad;
    struct weir_error *err;
};

/* A terminated copy. */
const char *schema_text(struct weir_schema *schema, struct weir_bytes text);
/* NULL when unknown, or something else. A leading dot is passed over. */
struct definition *schema_find(const struct weir_schema *schema, const char *name, enum definition_kind kind);

/* Fills what the definition's table points to. On failure the schema's error is set. */
enum weir_status schema_read_message(struct weir_schema *schema, const struct definition *definition);
void schema_read_enum(struct weir_schema *schema, const struct definition *definition);
enum weir_status schema_read_service(struct weir_schema *schema, const struct definition *definition);
/* The option (weir.topic) of a message; name is NULL when it has none. */
struct weir_topic schema_read_topic(struct weir_schema *schema, const struct definition *definition);

#endif
