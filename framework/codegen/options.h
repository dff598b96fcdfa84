/* Reads the options that descriptor.proto does not know: weir's, google.api.http, protobuf-c's. */
#ifndef CODEGEN_OPTIONS_H
#define CODEGEN_OPTIONS_H

#include <protobuf-c/protobuf-c.h>

#include "model.h"

enum {
    OPTION_HTTP = 72295728,
    OPTION_TOPIC = 51000,
    OPTION_CONSUME = 51000,
    OPTION_IDEMPOTENT = 51001,
    OPTION_IDEMPOTENCY_KEY = 51002,
    OPTION_SENSITIVE = 51000,
};

/* `options` may be NULL everywhere: nothing is set. */
void options_of_file(struct weir_arena *arena, const ProtobufCMessage *options, struct file *file);
const struct topic *options_topic(struct weir_arena *arena, const ProtobufCMessage *options,
                                  struct place place);
const char *options_consume(struct weir_arena *arena, const ProtobufCMessage *options);
/* Of a bool or an enum; 0: not set. */
uint64_t options_number(const ProtobufCMessage *options, uint32_t number);
const struct binding *options_http(struct weir_arena *arena, const ProtobufCMessage *options,
                                   size_t *ret_count);

#endif
