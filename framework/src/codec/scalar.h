/* One scalar as text and as the bits on the wire ("raw": what goes into the varint or the fixed field). */
#ifndef WEIR_CODEC_SCALAR_H
#define WEIR_CODEC_SCALAR_H

#include <stdbool.h>
#include <stdint.h>

#include <weir/bytes.h>
#include <weir/message.h>

/* Type is a number's. `text` must be a JSON number to the last byte, or NaN, Infinity, -Infinity for floats.
 * Exact: 1.0 and 10e-1 are the integer 1, 1.5 is none. NULL, or what is wrong: "is not an integer". */
const char *scalar_parse_number(uint8_t type, struct weir_bytes text, uint64_t *ret_raw);

/* As ProtoJSON prints it: 64-bit integers, NaN and infinities quoted. */
void scalar_print_number(struct weir_buffer *out, uint8_t type, uint64_t raw);

/* False when it is no JSON number. */
bool scalar_is_number(struct weir_bytes text);

/* In both alphabets, with or without padding. NULL, or what is wrong. */
const char *base64_decode(struct weir_bytes text, struct weir_buffer *out);
void base64_encode(struct weir_bytes content, struct weir_buffer *out);

/* In quotes. The text is UTF-8. */
void json_quote(struct weir_bytes text, struct weir_buffer *out);

#endif
