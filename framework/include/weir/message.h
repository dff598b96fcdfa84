/* The table of a message: what JSON, the check before unpacking, and logging must know of it. One format,
 * whether protoc-gen-weir generated it or it was built at run time from a FileDescriptorSet.
 *
 * A table is immutable and lives as long as the program or its schema. Any thread. */
#ifndef WEIR_MESSAGE_H
#define WEIR_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/export.h>

/* Numbered as google.protobuf.FieldDescriptorProto.Type. Groups (10) are not supported. */
enum weir_field_type {
    WEIR_TYPE_DOUBLE = 1,
    WEIR_TYPE_FLOAT = 2,
    WEIR_TYPE_INT64 = 3,
    WEIR_TYPE_UINT64 = 4,
    WEIR_TYPE_INT32 = 5,
    WEIR_TYPE_FIXED64 = 6,
    WEIR_TYPE_FIXED32 = 7,
    WEIR_TYPE_BOOL = 8,
    WEIR_TYPE_STRING = 9,
    WEIR_TYPE_MESSAGE = 11,
    WEIR_TYPE_BYTES = 12,
    WEIR_TYPE_UINT32 = 13,
    WEIR_TYPE_ENUM = 14,
    WEIR_TYPE_SFIXED32 = 15,
    WEIR_TYPE_SFIXED64 = 16,
    WEIR_TYPE_SINT32 = 17,
    WEIR_TYPE_SINT64 = 18,
};

/* Messages whose JSON is not an object of their fields (ProtoJSON). */
enum weir_well_known {
    WEIR_WELL_KNOWN_NONE = 0,
    WEIR_WELL_KNOWN_TIMESTAMP,
    WEIR_WELL_KNOWN_DURATION,
    WEIR_WELL_KNOWN_FIELD_MASK,
    WEIR_WELL_KNOWN_ANY,
    WEIR_WELL_KNOWN_STRUCT,
    WEIR_WELL_KNOWN_VALUE,
    WEIR_WELL_KNOWN_LIST_VALUE,
    WEIR_WELL_KNOWN_WRAPPER, /* DoubleValue ... BytesValue: the JSON of their field 1 */
    WEIR_WELL_KNOWN_EMPTY,
};

struct weir_enum_value {
    const char *name;
    int32_t number;
};

struct weir_enum {
    const char *full_name;                /* "shop.order.v1.OrderState" */
    const struct weir_enum_value *values; /* in the order of the .proto; aliases may repeat a number */
    size_t value_count;
    bool is_null_value; /* google.protobuf.NullValue */
};

struct weir_message;

struct weir_field {
    const char *name;      /* as in the .proto */
    const char *json_name; /* lowerCamelCase, or as json_name says */
    uint32_t number;
    uint8_t type; /* enum weir_field_type */
    bool repeated;
    bool packed;    /* repeated scalars: written packed */
    bool map;       /* repeated entries with key = 1, value = 2 */
    bool optional;  /* explicit presence: proto3 optional, a member of a real oneof, or a message */
    bool required;  /* proto2 */
    bool sensitive; /* (weir.sensitive): masked in JSON that is made with `mask` */
    int16_t oneof;  /* index of the real oneof it belongs to; -1: none (proto3 optional is none) */
    const struct weir_message *message;  /* type MESSAGE */
    const struct weir_enum *enumeration; /* type ENUM */
};

struct weir_message {
    const char *full_name;           /* "shop.order.v1.Order" */
    const struct weir_field *fields; /* sorted by number */
    size_t field_count;
    /* Indices into `fields`, sorted by strcmp of json_name, and of name: for binary search. */
    const uint16_t *by_json_name;
    const uint16_t *by_name;
    uint16_t oneof_count;
    enum weir_well_known well_known;
    size_t struct_size; /* of protobuf-c's struct: what one element costs unpacked; 0 when there is none */
};

WEIR_API const struct weir_field *weir_message_field(const struct weir_message *message, uint32_t number);

#endif
