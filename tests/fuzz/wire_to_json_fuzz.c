/* Bytes that print as JSON are the same message as what that JSON gives. */
#include "common.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input;
    if (!fuzz_input(data, size, &input))
        return 0;
    struct weir_error err = {0};
    struct weir_buffer wire = {0}, json = {0}, again = {0};
    enum weir_status status = weir_wire_to_json(input.message, input.bytes, &input.options, &json, &err);
    if (status == WEIR_OK) {
        status = weir_json_to_wire(input.message, weir_buffer_bytes(&json), &input.options, &wire, &err);
        FUZZ_MUST(status == WEIR_OK, "own JSON is refused: %s\n%s", err.text, weir_buffer_text(&json));
        status = weir_wire_to_json(input.message, weir_buffer_bytes(&wire), &input.options, &again, &err);
        FUZZ_MUST(status == WEIR_OK && weir_bytes_equal(weir_buffer_bytes(&json), weir_buffer_bytes(&again)),
                  "%s\nprints differently the second time:\n%s", weir_buffer_text(&json),
                  weir_buffer_text(&again));
    } else {
        FUZZ_MUST(err.text[0] && json.size == 0, "refused without a word, or with text left");
    }
    weir_buffer_free(&wire);
    weir_buffer_free(&json);
    weir_buffer_free(&again);
    return 0;
}
