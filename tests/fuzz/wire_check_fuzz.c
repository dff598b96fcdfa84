/* Whatever passes the check can be unpacked, within the memory that it counted. */
#include "common.h"

#include "codec/wire_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input;
    size_t memory;
    if (!fuzz_input(data, size, &input))
        return 0;
    struct weir_error err = {0};
    if (wire_check(input.message, input.bytes, NULL, &memory, &err) == WEIR_OK)
        fuzz_unpack(&input, input.bytes, memory);
    else
        FUZZ_MUST(err.text[0], "refused without a word");
    return 0;
}
