/* The check before unpacking, with what it found out. */
#ifndef WEIR_CODEC_WIRE_CHECK_H
#define WEIR_CODEC_WIRE_CHECK_H

#include <weir/codec.h>

/* weir_wire_check(); ret_memory: at most so many bytes unpacking will take from an arena. */
enum weir_status wire_check(const struct weir_message *message, struct weir_bytes wire,
                            const struct weir_codec_limits *limits, size_t *ret_memory,
                            struct weir_error *err);

#endif
