/* One conversion of wire bytes to JSON, shared by the files that do it: wire_to_json.c objects, fields,
 * arrays and maps, json_out_special.c the messages whose JSON is not an object of their fields,
 * json_out_members.c what stands on the wire. */
#ifndef WEIR_CODEC_JSON_OUT_H
#define WEIR_CODEC_JSON_OUT_H

#include <weir/codec.h>

#include "codec/limits.h"
#include "codec/path.h"
#include "codec/wire.h"

struct json_out {
    const struct weir_json_options *options;
    struct budget budget;
    struct weir_buffer *out;
    size_t begin;               /* of what is written */
    struct weir_buffer members; /* a stack of struct json_out_member */
    size_t indent;
    const struct path *path;
    struct weir_error *err;
};

/* One known member of a message. */
struct json_out_member {
    uint32_t field; /* its index in the table */
    uint32_t order; /* on the wire */
    enum wire_type wire_type;
    uint64_t raw;
    struct weir_bytes content;
};

enum weir_status json_out_fail(const struct json_out *out, enum weir_status status, const char *text);
enum weir_status json_out_exhausted(const struct json_out *out);

/* Pushes the members of a message, sorted by field, in the order of the wire within one; of a oneof only the
 * last that was set. Checks tags, wire types and the limits. They are out->members from *ret_first. */
enum weir_status json_out_list(struct json_out *out, const struct weir_message *message,
                               struct weir_bytes wire, size_t *ret_first, size_t *ret_count);
struct json_out_member json_out_member(const struct json_out *out, size_t index);
/* Only its field: what loops ask. */
static inline uint32_t json_out_field(const struct json_out *out, size_t index)
{
    return ((const struct json_out_member *)(const void *)out->members.data)[index].field;
}
void json_out_drop(struct json_out *out, size_t first);

/* Brackets and what stands between; `first`: nothing was written in this bracket yet. */
void json_out_open(struct json_out *out, char bracket);
void json_out_close(struct json_out *out, char bracket, bool empty);
void json_out_separate(struct json_out *out, bool *first);
void json_out_colon(struct json_out *out);

/* The members [first, first + count) of a singular field as one: the last, or for messages all of them in a
 * row, which is how the wire merges. `room` is the caller's to free. */
struct json_out_member json_out_merge(struct json_out *out, const struct weir_field *field, size_t first,
                                      size_t count, struct weir_buffer *room);

/* `level`: how many messages are around it. */
enum weir_status json_out_value(struct json_out *out, const struct weir_field *field,
                                const struct json_out_member *member, size_t level);
enum weir_status json_out_array(struct json_out *out, const struct weir_field *field, size_t first_member,
                                size_t count, size_t level);
enum weir_status json_out_map(struct json_out *out, const struct weir_field *field, size_t first_member,
                              size_t count, size_t level);
enum weir_status json_out_message(struct json_out *out, const struct weir_message *message,
                                  struct weir_bytes wire, size_t level);
/* The members of an object, without its brackets. */
enum weir_status json_out_fields(struct json_out *out, const struct weir_message *message,
                                 struct weir_bytes wire, size_t level, bool *first);
enum weir_status json_out_special(struct json_out *out, const struct weir_message *message,
                                  struct weir_bytes wire, size_t level);

#endif
