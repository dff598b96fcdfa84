/* The quiet end of listening: what listener_quiesce() says, and accepting all that is queued. */
#include <errno.h>
#include <time.h>

#include "engines/microhttpd/internal.h"

static void pass_ms(int64_t ms)
{
    struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = (ms % 1000) * 1000000};
    while (nanosleep(&left, &left) < 0 && errno == EINTR)
        continue;
}

enum weir_status http_engine_quiesce(struct http_engine *engine, struct weir_error *err)
{
    (void)err;
    if (engine->quiesced || !engine->listener.open)
        return WEIR_OK;
    engine->quiesced = true;
    http_engine_announce(engine);
    if (listener_quiesce(&engine->listener) && http_engine_connections(engine) > 0)
        pass_ms(LISTENER_SETTLE_MS);
    atomic_store(&engine->accepting, ACCEPTING_OVER);
    for (int i = 0; i < engine->loop_count; i++) {
        atomic_store(&engine->loops[i].stop_accepting, true);
        loop_wake(&engine->loops[i]);
    }
    for (int i = 0; i < engine->loop_count; i++)
        while (sem_wait(&engine->stopped_accepting) < 0)
            continue;
    listener_close(&engine->listener);
    return WEIR_OK;
}
