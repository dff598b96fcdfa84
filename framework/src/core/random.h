/* Bytes that nobody can guess, and hexadecimal. Any thread. */
#ifndef WEIR_CORE_RANDOM_H
#define WEIR_CORE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

void random_bytes(void *ret_bytes, size_t size);

/* Writes 2 * size lower-case digits and a terminator. */
void hex_of_bytes(const uint8_t *bytes, size_t size, char *ret_text);

#endif
