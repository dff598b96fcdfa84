#include <weir/weir.h>

#include "payment/payment.h"
#include "payment_sql.h"

struct weir_app *payment_app(int argc, char **argv)
{
    static struct payment payment;
    payment = (struct payment){0}; /* a test makes several */
    struct weir_app *app = weir_app_new("payment", argc, argv);

    payment.db = weir_sql_add(app, "db", &(struct weir_sql_options){.schema = &payment_sql});
    acquirer_configure(app, &payment.acquirer);
    struct weir_producer *events = weir_producer_add(app, "events", NULL);
    struct weir_outbox *outbox = weir_outbox_add(app, "outbox", payment.db, events, NULL);

    struct weir_service *service = payment_service_add(app, &(struct payment_service_options){
                                                                .handlers = &payment_handlers,
                                                                .self = &payment,
                                                                .needs = {payment.db, outbox},
                                                            });
    weir_grpc_server_add(app, "grpc", service, NULL);
    weir_timer_add(app, "expiry", payment_expire,
                   &(struct weir_timer_options){.every_ms = 60000, .self = &payment, .needs = {payment.db}});
    return app;
}
