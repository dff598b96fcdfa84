/* SHA-256 (FIPS 180-4). */
#ifndef WEIR_CORE_SHA256_H
#define WEIR_CORE_SHA256_H

#include <stddef.h>
#include <stdint.h>

#define SHA256_SIZE 32

struct sha256 {
    uint32_t state[8];
    uint64_t size; /* bytes so far */
    uint8_t block[64];
};

void sha256_init(struct sha256 *sha256);
void sha256_add(struct sha256 *sha256, const void *data, size_t size);
void sha256_end(struct sha256 *sha256, uint8_t ret_digest[SHA256_SIZE]);

#endif
