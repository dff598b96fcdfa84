/* --plan=systemd: a drop-in with what a unit must say for the plan to come true.
 *
 * systemd.service(5): TimeoutStartSec ends with READY=1, TimeoutStopSec runs from SIGTERM to SIGKILL, WatchdogSec
 * between two WATCHDOG=1, which the thread that runs the lifecycle sends. */
#include "lifecycle/plan.h"
#include "lifecycle/plan_platform.h"

#define WATCHDOG_S 20 /* that thread runs no component's code: so late is not slow, but stuck */

void plan_systemd(const struct plan *plan, const char *app_name, struct weir_buffer *out)
{
    const long long grace = platform_grace_s(plan), start = platform_start_s(plan);
    weir_buffer_printf(out, "# What the plan of %s asks of systemd: printed by --plan=systemd\n[Service]\n",
                       app_name);
    weir_buffer_printf(
        out,
        "# start timeouts %lld + TimeoutStopSec: a start that hangs is given up, and rolled back, by "
        "the service itself\nTimeoutStartSec=%lld\n",
        start - grace, start);
    weir_buffer_printf(
        out, "# app.deadline_ms %lld + %d to leave: the report comes before SIGKILL\nTimeoutStopSec=%lld\n",
        grace - PLATFORM_LEAVE_S, PLATFORM_LEAVE_S, grace);
    weir_buffer_printf(out,
                       "# from SIGTERM to SIGKILL: a longer deadline is refused at start\n"
                       "Environment=WEIR_PLATFORM_GRACE_MS=%lld\n",
                       grace * 1000);
    weir_buffer_printf(out, "# a process that is frozen is ended and started again\nWatchdogSec=%lld\n",
                       WATCHDOG_S + (long long)platform_seconds(plan->options.report_ms));
}
