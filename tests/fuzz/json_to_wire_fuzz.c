/* JSON that is accepted gives bytes that pass the check under the same limits, can be unpacked, and print as
 * JSON that gives itself again. */
#include "common.h"

#include "codec/wire_check.h"

static void check_bytes(const struct fuzz_input *input, struct weir_bytes wire)
{
    struct weir_error err = {0};
    size_t memory;
    enum weir_status status = wire_check(input->message, wire, &input->options.limits, &memory, &err);
    if (status == WEIR_OK) {
        fuzz_unpack(input, wire, memory);
        return;
    }
    /* proto2: JSON may leave out what is required. */
    FUZZ_MUST(status == WEIR_INVALID_ARGUMENT && strstr(err.text, "required, but missing"),
              "JSON was accepted, its bytes are not: %s", err.text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input;
    if (!fuzz_input(data, size, &input))
        return 0;
    struct weir_error err = {0};
    struct weir_buffer wire = {0}, json = {0}, again = {0};
    if (weir_json_to_wire(input.message, input.bytes, &input.options, &wire, &err) == WEIR_OK) {
        check_bytes(&input, weir_buffer_bytes(&wire));
        enum weir_status status =
            weir_wire_to_json(input.message, weir_buffer_bytes(&wire), &input.options, &json, &err);
        FUZZ_MUST(status == WEIR_OK, "JSON was accepted, but does not print: %s", err.text);
        weir_buffer_clear(&wire);
        status = weir_json_to_wire(input.message, weir_buffer_bytes(&json), &input.options, &wire, &err);
        FUZZ_MUST(status == WEIR_OK, "own JSON is refused: %s", err.text);
        status = weir_wire_to_json(input.message, weir_buffer_bytes(&wire), &input.options, &again, &err);
        FUZZ_MUST(status == WEIR_OK && weir_bytes_equal(weir_buffer_bytes(&json), weir_buffer_bytes(&again)),
                  "%s\nprints differently the second time:\n%s", weir_buffer_text(&json),
                  weir_buffer_text(&again));
    } else {
        FUZZ_MUST(err.text[0] && wire.size == 0, "refused without a word, or with bytes left");
    }
    weir_buffer_free(&wire);
    weir_buffer_free(&json);
    weir_buffer_free(&again);
    return 0;
}
