/* --plan=kubernetes: what a pod must say for the plan to come true.
 *
 * The kubelet counts preStop within terminationGracePeriodSeconds and sends SIGTERM after it (Kubernetes,
 * "Pod Lifecycle", Termination of Pods). preStop's `sleep` is KEP-3960. */
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "lifecycle/plan.h"
#include "lifecycle/text.h"

#define ENDPOINTS_S 5 /* until load balancers have heard that the pod ends */
#define MARGIN_S 2    /* the process leaves at its deadline: for the kubelet's own clock */

static int64_t up_to_seconds(int64_t ms)
{
    return (ms + 999) / 1000;
}

/* The longest chain of start timeouts, in ms. */
static int64_t start_ms(const struct plan *plan)
{
    int64_t longest = 0, base = 0;
    int64_t *until = memory_zalloc((plan->count + 1) * sizeof *until);
    for (uint32_t i = 0; i < plan->count; i++) { /* base stands first in a plan's order */
        const struct plan_part *part = &plan->parts[plan->order[i]];
        int64_t begin = part->base ? 0 : base;
        for (uint32_t k = 0; k < part->need_count; k++)
            if (until[part->needs[k]] > begin)
                begin = until[part->needs[k]];
        int64_t end = begin + (part->has[OP_START] ? part->start_timeout : 0);
        until[plan->order[i]] = end;
        longest = end > longest ? end : longest;
        base = part->base && end > base ? end : base;
    }
    free(until);
    return plan->options.start_total_ms ? plan->options.start_total_ms : longest;
}

static void probe(const char *name, const char *path, const char *port, int period, int failures,
                  struct weir_buffer *out)
{
    weir_buffer_printf(out,
                       "      %s:\n        httpGet: {path: %s, port: %s}\n        periodSeconds: %d\n"
                       "        timeoutSeconds: 2\n        failureThreshold: %d\n",
                       name, path, port, period, failures);
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
    weir_buffer_append_text(out, "      # ready until SIGTERM and not after it\n");
    probe("readinessProbe", "/ready", colon + 1, 2, 1, out);
    weir_buffer_printf(
        out,
        "      # alive from the start to the end of a stop. No startupProbe: a start that hangs "
        "is given up within %lld s\n",
        (long long)up_to_seconds(start));
    probe("livenessProbe", "/healthz", colon + 1, 10, 3, out);
}

void plan_kubernetes(const struct plan *plan, const char *app_name, const char *admin_listen,
                     struct weir_buffer *out)
{
    const struct plan_options *options = &plan->options;
    int64_t stop = up_to_seconds(options->deadline_ms), before = options->pre_drain_ms ? 0 : ENDPOINTS_S;
    weir_buffer_append_text(out, "# of a pod's template; all in seconds\nspec:\n");
    weir_buffer_printf(out, "  # preStop %lld + app.deadline_ms %lld + %d to leave\n", (long long)before,
                       (long long)stop, MARGIN_S);
    weir_buffer_printf(out, "  terminationGracePeriodSeconds: %lld\n  containers:\n    - name: ",
                       (long long)before + (long long)stop + MARGIN_S);
    text_json(out, app_name);
    weir_buffer_printf(
        out,
        "\n      env:\n        # from SIGTERM to SIGKILL: a longer deadline is refused at start\n"
        "        - {name: WEIR_PLATFORM_GRACE_MS, value: \"%lld\"}\n",
        (long long)stop * 1000 + (long long)MARGIN_S * 1000);
    if (before)
        weir_buffer_printf(out,
                           "      # app.pre_drain_ms is 0: serves on while load balancers hear of the end\n"
                           "      lifecycle:\n        preStop: {sleep: {seconds: %lld}}\n",
                           (long long)before);
    else
        weir_buffer_printf(out,
                           "      # no preStop: app.pre_drain_ms announces the end for %s s, serving on\n",
                           text_seconds(options->pre_drain_ms).text);
    probes(admin_listen, start_ms(plan), out);
}
