/* JSON <-> protobuf bytes by the ProtoJSON rules, and the check before unpacking. All driven by the tables of
 * message.h; nothing here knows protobuf-c. Functions are pure. Any thread. */
#ifndef WEIR_CODEC_H
#define WEIR_CODEC_H

#include <stdbool.h>
#include <stddef.h>

#include <weir/bytes.h>
#include <weir/error.h>
#include <weir/export.h>
#include <weir/message.h>

/* Zero members take the default. */
struct weir_codec_limits {
    size_t depth;         /* of nested messages and JSON values. Default 100 */
    size_t elements;      /* repeated elements, map entries and sub-messages in all. Default 100,000 */
    size_t memory;        /* bytes that unpacking would allocate. Default 16 MiB */
    size_t unknown_bytes; /* of unknown fields in all, on the wire. Default 64 KiB */
};

struct weir_json_options {
    struct weir_codec_limits limits;
    bool ignore_unknown;   /* in: pass over unknown keys instead of failing */
    bool with_defaults;    /* out: print fields without presence that have their default value too */
    bool proto_names;      /* out: names as in the .proto instead of lowerCamelCase */
    bool enums_as_numbers; /* out */
    bool indent;           /* out: for people */
    bool mask;             /* out: "***" in place of what is (weir.sensitive) */
    /* The message inside a google.protobuf.Any, by its full name; NULL when unknown, which is an error.
     * Optional: without it no type is known. Borrows `types`. */
    const struct weir_message *(*find_message)(const void *types, const char *full_name);
    const void *types;
};

/* The check: truncated or overlong varints, wrong wire types, depth, UTF-8, NUL in strings, what unpacking
 * would cost. After WEIR_OK protobuf-c's unpack is safe. INVALID_ARGUMENT, or RESOURCE_EXHAUSTED for a limit;
 * the text has the path of the field: "items[3].sku: not UTF-8". */
WEIR_API enum weir_status weir_wire_check(const struct weir_message *message, struct weir_bytes wire,
                                          const struct weir_codec_limits *limits, struct weir_error *err);

/* Appends the wire bytes of a JSON text to `ret_wire`, in one pass. An error says line, column and path:
 * "line 3, column 17: items[3].quantity: 1.5 is not an integer". On error ret_wire is as it was. */
WEIR_API enum weir_status weir_json_to_wire(const struct weir_message *message, struct weir_bytes json,
                                            const struct weir_json_options *options,
                                            struct weir_buffer *ret_wire, struct weir_error *err);

/* Appends the JSON of wire bytes. Checks as it goes: bad bytes are an error, never a crash. */
WEIR_API enum weir_status weir_wire_to_json(const struct weir_message *message, struct weir_bytes wire,
                                            const struct weir_json_options *options,
                                            struct weir_buffer *ret_json, struct weir_error *err);

/* One value given as text (a path or query parameter): "items.sku" = "tea". Adds the field to ret_wire, which
 * holds this message and nothing else; its parents are those that are there already, or new ones. A repeated
 * scalar may be given several times. Scalars, enums and those well-known types whose JSON is a string, number
 * or bool. `name` is matched as JSON keys are. */
WEIR_API enum weir_status weir_text_to_wire(const struct weir_message *message, const char *name,
                                            struct weir_bytes value, struct weir_buffer *ret_wire,
                                            struct weir_error *err);

#endif
