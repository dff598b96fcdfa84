/* One conversion of wire bytes to JSON, shared by wire_to_json.c and json_out_members.c. */
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

#endif
