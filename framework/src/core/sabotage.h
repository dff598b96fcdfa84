/* One of weir's promises switched off, so that a test sees its checker notice (./dev torture --sabotage). Only in a build
 * with the CMake option WEIR_SABOTAGE, by the environment variable TORTURE_SABOTAGE: inbox, outbox, idempotency or offsets.
 * In every other build SABOTAGED() is false and what it guards is not compiled. */
#ifndef WEIR_CORE_SABOTAGE_H
#define WEIR_CORE_SABOTAGE_H

#include <stdbool.h>

#ifdef WEIR_SABOTAGE
#include <stdlib.h>
#include <string.h>

static inline bool sabotage_is(const char *promise)
{
    const char *chosen = getenv("TORTURE_SABOTAGE");
    return chosen && strcmp(chosen, promise) == 0;
}
#define SABOTAGED(promise) sabotage_is(#promise)
#else
#define SABOTAGED(promise) false
#endif

#endif
