/* Stands in for the company that moves the money, and can be told to misbehave as such companies do. */
#include <stdatomic.h>
#include <string.h>

#include "payment/payment.h"

void acquirer_configure(struct weir_app *app, struct acquirer *acquirer)
{
    static const struct weir_config_key keys[] = {
        {.name = "declines",
         .type = WEIR_CONFIG_TEXT,
         .offset = offsetof(struct acquirer, declines),
         .fallback = "mallory",
         .help = "customers whose payments are declined, separated by commas"},
        {.name = "delay_ms",
         .type = WEIR_CONFIG_INT,
         .offset = offsetof(struct acquirer, delay_ms),
         .fallback = "0",
         .max = 60000,
         .help = "how long the acquirer takes to answer, in ms"},
        {.name = "fails_permille",
         .type = WEIR_CONFIG_INT,
         .offset = offsetof(struct acquirer, fails_permille),
         .fallback = "0",
         .max = 1000,
         .help = "authorisations of a thousand that fail before anything is stored"},
        {0},
    };
    weir_config_section(app, "acquirer", keys, acquirer);
}

static bool is_listed(const char *list, const char *name)
{
    size_t length = strlen(name);
    for (const char *entry = list; entry; entry = strchr(entry, ',')) {
        entry += *entry == ',';
        if (strncmp(entry, name, length) == 0 && (entry[length] == 0 || entry[length] == ','))
            return true;
    }
    return false;
}

enum weir_status acquirer_authorize(struct weir_call *call, const struct acquirer *acquirer,
                                    const char *customer_id)
{
    if (acquirer->delay_ms > 0) {
        enum weir_status status = weir_context_sleep(weir_call_context(call), acquirer->delay_ms);
        if (status != WEIR_OK)
            return weir_call_fail(call, status, "the acquirer did not answer in time");
    }
    static atomic_uint asked;
    if ((int64_t)(atomic_fetch_add(&asked, 1) * 617 % 1000) < acquirer->fails_permille)
        return weir_call_fail(call, WEIR_UNAVAILABLE, "the acquirer failed");
    if (is_listed(acquirer->declines, customer_id))
        return weir_call_fail(call, WEIR_FAILED_PRECONDITION, "payment declined");
    return WEIR_OK;
}
