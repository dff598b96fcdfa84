/* The contracts of codec.proto, read at run time, and short ways to convert by them. */
#ifndef CODEC_FIXTURE_H
#define CODEC_FIXTURE_H

#include "test.h"

#include <weir/codec.h>
#include <weir/schema.h>

/* Loaded once, freed at exit. */
const struct weir_schema *contracts(void);
const struct weir_message *message_named(const char *name); /* within weir.codec.v1 */
/* Options that know every message of the contracts, for Any. */
struct weir_json_options known(void);

/* JSON in, the JSON of its wire bytes out: must be `expected`. Checks the bytes on the way. */
void assert_json(const char *json, const char *expected);
void assert_json_with(const char *name, const struct weir_json_options *options, const char *json,
                      const char *expected);
/* JSON in: must be refused in these words, leaving nothing behind. */
void assert_refused(const char *json, const char *error);
void assert_refused_with(const char *name, const struct weir_json_options *options, const char *json,
                         enum weir_status status, const char *error);

/* Bytes given as hexadecimal, with spaces. Caller frees. */
struct weir_buffer from_hex(const char *hex);
/* Wire bytes out as JSON. */
void assert_prints(const char *message, const char *hex, const char *expected);
void assert_does_not_print(const char *message, const char *hex, const char *error);
/* JSON in: must be these bytes. */
void assert_wire(const char *json, const char *hex);

#endif
