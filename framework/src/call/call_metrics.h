/* Every call counts: weir_calls_total, weir_call_seconds, weir_calls_in_flight, by service, method and
 * transport. Any thread. */
#ifndef WEIR_CALL_CALL_METRICS_H
#define WEIR_CALL_CALL_METRICS_H

struct weir_call;

void call_metrics_begin(struct weir_call *call);
/* Its status is final. Exactly one for each begin. */
void call_metrics_end(const struct weir_call *call);

#endif
