/* An app is one process: configuration, one lifecycle, its components. See component.h for the rest.
 *
 * Not thread-safe unless it says "Any thread". */
#ifndef WEIR_APP_H
#define WEIR_APP_H

#include <stdbool.h>

#include <weir/component.h>
#include <weir/export.h>

/* Reads NAME.yaml (or --config FILE), the environment and the flags. What they ask for (--help, --version,
 * --check-config, --print-config, --plan, --migrate), and what is wrong with them, is told by weir_app_run(), when all
 * components have been added: so between the two do nothing that --help should not. Adds the base component
 * "admin" (health, readiness, metrics) and the "executor". Never NULL. Caller owns the result, until
 * weir_app_run(). */
WEIR_API struct weir_app *weir_app_new(const char *name, int argc, char **argv);

/* Answers --help and the like, and returns; else starts everything, serves until a signal, weir_app_stop() or
 * a failed component, stops everything, says what it cost, destroys everything and the app. Returns the exit
 * status (sysexits.h): 0 clean; 78 bad configuration or plan; 69 could not start; 70 a component failed; 75
 * stopped, but work was cut or lost. */
WEIR_API int weir_app_run(struct weir_app *app);

/* Begins an orderly stop; `reason` is shown in the report. Copies. Any thread, callbacks included. */
WEIR_API void weir_app_stop(struct weir_app *app, const char *reason);

/* All components are up and no stop has begun, other than a handover: then the successor is ready. Any thread. */
WEIR_API bool weir_app_ready(const struct weir_app *app);

WEIR_API const char *weir_app_name(const struct weir_app *app);

#endif
