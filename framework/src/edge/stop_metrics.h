/* The stop as numbers: how the last run ended, from its report; how far the present stop is; what starting took. */
#ifndef WEIR_EDGE_STOP_METRICS_H
#define WEIR_EDGE_STOP_METRICS_H

#include <weir/app.h>

struct stop_metrics;

/* Once all components have been added. Borrows the app. */
struct stop_metrics *stop_metrics_new(struct weir_app *app);
void stop_metrics_destroy(struct stop_metrics *metrics); /* NULL is fine */

#endif
