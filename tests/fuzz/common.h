/* What the fuzz targets share. The first byte of an input picks the message and the options. */
#ifndef FUZZ_COMMON_H
#define FUZZ_COMMON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

#include <weir/codec.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz_input {
    const struct weir_message *message;
    const ProtobufCMessageDescriptor *descriptor;
    struct weir_json_options options;
    struct weir_bytes bytes;
};

/* False when there is not even the first byte. */
bool fuzz_input(const uint8_t *data, size_t size, struct fuzz_input *ret_input);

/* Ends the program with a message. */
#define FUZZ_MUST(condition, ...)                                                                            \
    do {                                                                                                     \
        if (!(condition))                                                                                    \
            fuzz_fail(__VA_ARGS__);                                                                          \
    } while (0)
void fuzz_fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* Checked bytes: protobuf-c must unpack them, with no more memory than the check has said. */
void fuzz_unpack(const struct fuzz_input *input, struct weir_bytes wire, size_t memory);

#endif
