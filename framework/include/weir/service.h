/* A service is a table of handlers bound to what they work on; servers and consumers serve it. Users call the
 * generated, typed form: inventory_service_add(app, &(struct inventory_service_options){...}). */
#ifndef WEIR_SERVICE_H
#define WEIR_SERVICE_H

#include <weir/component.h>
#include <weir/export.h>
#include <weir/method.h>

struct weir_service;
struct weir_channel;
struct weir_sql;

struct weir_service_options {
    const void *handlers; /* Required. The generated struct. Borrows until the app is destroyed */
    void *self;           /* Optional. What weir_call_self() gives. Borrows */
    /* Where the answers of methods with (weir.idempotency_key) are kept: the database of their effects.
     * Required where there is such a method. */
    struct weir_sql *idempotency;
    const void *needs[WEIR_NEEDS_MAX];
};

/* A component named after the type ("shop.inventory.v1.InventoryService"). */
WEIR_API struct weir_service *weir_service_add(struct weir_app *app, const struct weir_service_type *type,
                                               const struct weir_service_options *options);

/* A service without handlers: every call is passed on, as bytes, over `channel` to a server that has them.
 * With its deadline, trace, principal; its status and text come back as they are. */
WEIR_API struct weir_service *weir_proxy_add(struct weir_app *app, const struct weir_service_type *type,
                                             struct weir_channel *channel);

#endif
