/* One conversion of JSON to wire bytes, shared by the files that do it: json_to_wire.c objects, fields and
 * scalars, json_map.c maps, json_special.c the messages whose JSON is not an object of their fields.
 *
 * `level` is how many messages are around the value on the wire. Every function returns with the scanner
 * behind the value, or with the error set. */
#ifndef WEIR_CODEC_JSON_IN_H
#define WEIR_CODEC_JSON_IN_H

#include <weir/codec.h>

#include "codec/json_scan.h"
#include "codec/limits.h"
#include "codec/path.h"

struct json_in {
    struct json_scan scan;
    const struct weir_json_options *options;
    struct budget budget;
    struct budget_members *members; /* of the message that is written */
    struct weir_buffer *out;
    struct weir_buffer seen;    /* a stack of bit sets, one per open object */
    struct weir_buffer entries; /* a stack of map entries, see json_map.c */
    const struct path *path;
    struct weir_error *err;
};

/* "line 1, column 17: items[3].quantity: ..." */
enum weir_status json_in_fail(struct json_in *in, const uint8_t *at, enum weir_status status,
                              const char *format, ...) WEIR_PRINTF(4, 5);
/* The same, with the JSON value that begins at `at` in front: "1.5 is not an integer". */
enum weir_status json_in_fail_value(struct json_in *in, const uint8_t *at, const char *reason);
/* What the scanner found. */
enum weir_status json_in_fault(struct json_in *in);
enum weir_status json_in_exhausted(struct json_in *in, const uint8_t *at);

/* The content of a message, without tag and length. */
enum weir_status json_in_message(struct json_in *in, const struct weir_message *message, size_t level);
/* As an object of its fields, whatever else its JSON may be. `pass_type`: it is inside an Any, pass over
 * "@type". */
enum weir_status json_in_object(struct json_in *in, const struct weir_message *message, size_t level,
                                bool pass_type);
enum weir_status json_in_special(struct json_in *in, const struct weir_message *message, size_t level);

/* Tag and value of one element; `always`: also where it is the default. ret_dropped: an unknown name of an
 * enum was passed over, nothing is written (NULL: then that is an error even where unknown is ignored). */
enum weir_status json_in_single(struct json_in *in, const struct weir_field *field, size_t level, bool always,
                                bool *ret_dropped);
enum weir_status json_in_array(struct json_in *in, const struct weir_field *field, size_t level);
enum weir_status json_in_map(struct json_in *in, const struct weir_field *field, size_t level);

#endif
