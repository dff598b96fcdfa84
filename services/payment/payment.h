/* Payments: authorised, then captured, voided or refunded; with a simulated acquirer. */
#ifndef PAYMENT_H
#define PAYMENT_H

#include <weir/weir.h>

#include "shop/payment/v1/payment.weir.h"

struct weir_app *payment_app(int argc, char **argv);

/* What the simulated acquirer is told to do; section "acquirer" of the configuration. */
struct acquirer {
    const char *declines;   /* customers whose payments are declined, separated by commas */
    int64_t delay_ms;       /* before it answers */
    int64_t fails_permille; /* of authorisations that fail before anything is stored */
};

struct payment {
    struct weir_sql *db;
    struct acquirer acquirer;
};

extern const struct payment_handlers payment_handlers;

void acquirer_configure(struct weir_app *app, struct acquirer *acquirer);
/* OK, FAILED_PRECONDITION (declined) or UNAVAILABLE (failed); takes as long as it was told to. */
enum weir_status acquirer_authorize(struct weir_call *call, const struct acquirer *acquirer,
                                    const char *customer_id);

/* Timer: open authorisations whose seven days are over are voided. */
bool payment_expire(struct weir_call *call);

#endif
