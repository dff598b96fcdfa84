#include "common.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir/arena.h>

#include "codec.weir.h"
#include "google/protobuf/any.weir.h"
#include "google/protobuf/duration.weir.h"
#include "google/protobuf/struct.weir.h"
#include "google/protobuf/wrappers.weir.h"
#include "old.weir.h"

static const struct {
    const struct weir_message *message;
    const ProtobufCMessageDescriptor *descriptor;
} types[] = {
    {&weir__codec__v1__all__table, &weir__codec__v1__all__descriptor},
    {&weir__codec__v1__item__table, &weir__codec__v1__item__descriptor},
    {&google__protobuf__any__table, &google__protobuf__any__descriptor},
    {&google__protobuf__struct__table, &google__protobuf__struct__descriptor},
    {&google__protobuf__value__table, &google__protobuf__value__descriptor},
    {&google__protobuf__duration__table, &google__protobuf__duration__descriptor},
    {&weir__codec__v1__old__table, &weir__codec__v1__old__descriptor},
    {&weir__codec__v1__all__table, &weir__codec__v1__all__descriptor},
};

static const struct weir_message *find_message(const void *unused, const char *full_name)
{
    (void)unused;
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (strcmp(types[i].message->full_name, full_name) == 0)
            return types[i].message;
    }
    return NULL;
}

bool fuzz_input(const uint8_t *data, size_t size, struct fuzz_input *ret_input)
{
    if (size == 0)
        return false;
    *ret_input = (struct fuzz_input){
        .message = types[data[0] & 7].message,
        .descriptor = types[data[0] & 7].descriptor,
        .options = {.ignore_unknown = data[0] & 8,
                    .with_defaults = data[0] & 16,
                    .proto_names = data[0] & 32,
                    .enums_as_numbers = data[0] & 64,
                    .indent = data[0] & 128,
                    .find_message = find_message},
        .bytes = weir_bytes(data + 1, size - 1),
    };
    return true;
}

void fuzz_fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    abort();
}

static void *take(void *arena, size_t size)
{
    return weir_arena_alloc(arena, size);
}

static void give_back(void *arena, void *memory)
{
    (void)arena;
    (void)memory;
}

void fuzz_unpack(const struct fuzz_input *input, struct weir_bytes wire, size_t memory)
{
    struct weir_arena *arena = weir_arena_new();
    ProtobufCAllocator allocator = {.alloc = take, .free = give_back, .allocator_data = arena};
    const ProtobufCMessage *message =
        protobuf_c_message_unpack(input->descriptor, &allocator, wire.size, wire.data);
    FUZZ_MUST(message, "the check passed %s, but it does not unpack", input->message->full_name);
    FUZZ_MUST(weir_arena_used(arena) <= memory, "the check said %zu bytes, unpacking took %zu", memory,
              weir_arena_used(arena));
    weir_arena_destroy(arena);
}
