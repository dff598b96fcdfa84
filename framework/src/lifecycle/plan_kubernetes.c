/* --plan=kubernetes: what a pod must say for the plan to come true.
 *
 * The kubelet counts preStop within terminationGracePeriodSeconds and sends SIGTERM after it (Kubernetes,
 * "Pod Lifecycle", Termination of Pods). preStop's `sleep` is KEP-3960. */
#include <string.h>

#include "lifecycle/plan.h"
#include "lifecycle/plan_platform.h"
#include "lifecycle/text.h"

#define ENDPOINTS_MS 5000 /* until load balancers have heard that the pod ends */

static void probe(const char *name, const char *path, const char *port, int period, int64_t failures,
                  struct weir_buffer *out)
{
    weir_buffer_printf(out,
                       "      %s:\n        httpGet: {path: %s, port: %s}\n        periodSeconds: %d\n"
                       "        timeoutSeconds: 2\n        failureThreshold: %lld\n",
                       name, path, port, period, (long long)failures);
}

static void probes(const char *listen, int64_t start, struct weir_buffer *out)
{
    const char *colon = listen ? strrchr(listen, ':') : NULL;
    if (!colon || !strncmp(listen, "unix:", 5)) {
        weir_buffer_append_text(out, "      # no probes: admin.listen must be an address with a port\n");
        return;
    }
    if (!strncmp(listen, "127.", 4) || !strncmp(listen, "[::1]", 5) || !strncmp(listen, "localhost", 9))
        weir_buffer_printf(out,
                           "      # admin.listen is %s: the kubelet does not reach it; set it to 0.0.0.0%s\n",
                           listen, colon);
    weir_buffer_printf(
        out,
        "      # a start that hangs is given up, and rolled back, by the service itself within "
        "%lld s\n",
        (long long)start);
    probe("startupProbe", "/ready", colon + 1, 1, start, out);
    weir_buffer_append_text(out, "      # ready until SIGTERM and not after it\n");
    probe("readinessProbe", "/ready", colon + 1, 2, 1, out);
    weir_buffer_append_text(out, "      # alive from the start to the end of a stop\n");
    probe("livenessProbe", "/healthz", colon + 1, 10, 3, out);
}

void plan_kubernetes(const struct plan *plan, const char *app_name, const char *admin_listen,
                     struct weir_buffer *out)
{
    const int64_t announced = plan->options.pre_drain_ms;
    const int64_t before = announced < ENDPOINTS_MS ? platform_seconds(ENDPOINTS_MS - announced) : 0;
    const int64_t grace = platform_grace_s(plan);
    weir_buffer_append_text(out, "# of a pod's template; all in seconds\nspec:\n");
    weir_buffer_printf(out, "  # preStop %lld + app.deadline_ms %lld + %d to leave\n", (long long)before,
                       (long long)grace - PLATFORM_LEAVE_S, PLATFORM_LEAVE_S);
    weir_buffer_printf(out, "  terminationGracePeriodSeconds: %lld\n  containers:\n    - name: ",
                       (long long)before + (long long)grace);
    text_json(out, app_name);
    weir_buffer_printf(
        out,
        "\n      env:\n        # from SIGTERM to SIGKILL: a longer deadline is refused at start\n"
        "        - {name: WEIR_PLATFORM_GRACE_MS, value: \"%lld\"}\n",
        (long long)grace * 1000);
    if (before)
        weir_buffer_printf(
            out,
            "      # serves on until load balancers have heard of the end; app.pre_drain_ms is "
            "%lld (sleep: Kubernetes 1.30)\n"
            "      lifecycle:\n        preStop: {sleep: {seconds: %lld}}\n",
            (long long)announced, (long long)before);
    else
        weir_buffer_printf(out,
                           "      # no preStop: app.pre_drain_ms announces the end for %s s, serving on\n",
                           text_seconds(announced).text);
    probes(admin_listen, platform_start_s(plan), out);
}
