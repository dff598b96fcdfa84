#include "wait.h"

#include <time.h>

#include <weir/app.h>
#include <weir/clock.h>

bool kit_wait_in_time(bool (*condition)(void *arg), void *arg)
{
    int64_t deadline = weir_deadline_in_ms(KIT_PATIENCE_MS);
    while (!condition(arg)) {
        if (weir_now_ns() > deadline)
            return false;
        nanosleep(&(struct timespec){.tv_nsec = WEIR_NS_PER_MS}, NULL);
    }
    return true;
}

bool kit_app_is_ready(void *app)
{
    return weir_app_ready(app);
}
