#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <weir/clock.h>
#include <weir/id.h>

#include "core/random.h"

/* Each thread asks the kernel for a pool at a time: a span id must not cost a system call. A child of fork
 * would hand out its parent's pool again, so it is thrown away there. */
static _Thread_local uint8_t pool[512];
static _Thread_local size_t pool_left;

static void forget_pool(void)
{
    pool_left = 0;
}

static void forget_pool_after_fork(void)
{
    pthread_atfork(NULL, NULL, forget_pool);
}

static void fill_pool(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, forget_pool_after_fork);
    while (pool_left < sizeof pool) {
        ssize_t got = getrandom(pool + pool_left, sizeof pool - pool_left, 0);
        if (got < 0)
            abort(); /* the kernel is older than the libraries that we need */
        pool_left += (size_t)got;
    }
}

void random_bytes(void *ret_bytes, size_t size)
{
    uint8_t *next = ret_bytes;
    while (size > 0) {
        if (pool_left == 0)
            fill_pool();
        size_t part = size < pool_left ? size : pool_left;
        pool_left -= part;
        memcpy(next, pool + pool_left, part);
        next += part;
        size -= part;
    }
}

void hex_of_bytes(const uint8_t *bytes, size_t size, char *ret_text)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < size; i++) {
        *ret_text++ = digits[bytes[i] >> 4];
        *ret_text++ = digits[bytes[i] & 15];
    }
    *ret_text = 0;
}

/* RFC 9562, 6.2, method 3: 12 bits of sub-millisecond time in rand_a, counted on where the clock stands
 * still. */
char *weir_id_new(char ret_id[WEIR_ID_SIZE])
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static uint64_t last;

    int64_t now = weir_unix_ns();
    uint64_t ms = (uint64_t)(now / WEIR_NS_PER_MS);
    uint64_t fraction = (uint64_t)(now % WEIR_NS_PER_MS) * 4096 / WEIR_NS_PER_MS;
    uint64_t tick = ms << 12 | fraction;

    pthread_mutex_lock(&lock);
    if (tick <= last)
        tick = last + 1;
    last = tick;
    pthread_mutex_unlock(&lock);

    uint8_t bytes[16];
    for (int i = 0; i < 6; i++)
        bytes[i] = (uint8_t)(tick >> (52 - 8 * i));
    bytes[6] = (uint8_t)(0x70 | (tick >> 8 & 0x0f));
    bytes[7] = (uint8_t)tick;
    random_bytes(bytes + 8, 8);
    bytes[8] = (uint8_t)(0x80 | (bytes[8] & 0x3f));

    char hex[33];
    hex_of_bytes(bytes, sizeof bytes, hex);
    static const int group[] = {8, 4, 4, 4, 12};
    char *out = ret_id;
    const char *in = hex;
    for (int i = 0; i < 5; i++) {
        memcpy(out, in, (size_t)group[i]);
        out += group[i];
        in += group[i];
        *out++ = i < 4 ? '-' : 0;
    }
    return ret_id;
}

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

bool weir_id_valid(const char *text)
{
    for (int i = 0; i < 36; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? text[i] != '-' : !is_hex(text[i]))
            return false;
    }
    return text[36] == 0;
}
