/* Waiting for what other threads and processes do: never by sleeping for a time that should do. */
#ifndef KIT_WAIT_H
#define KIT_WAIT_H

#include <stdbool.h>

#define KIT_PATIENCE_MS 15000

/* kit_wait(condition, arg): looks every millisecond until condition(arg) holds; ends the test after 15 s, naming the
 * condition. */
#define kit_wait(condition, ...)                                                                             \
    do {                                                                                                     \
        if (!kit_wait_in_time(condition, __VA_ARGS__))                                                       \
            fail_msg("waited in vain for %s", #condition);                                                   \
    } while (0)

/* False after 15 s. For threads other than the test's, and outside of cmocka. */
bool kit_wait_in_time(bool (*condition)(void *arg), void *arg);

/* A condition. `app`: a struct weir_app. */
bool kit_app_is_ready(void *app);

#endif
