/* The inbox: one row per message and method that had an effect, in the effect's transaction. keeper.c forgets
 * old ones. */
#include <weir/call.h>
#include <weir/clock.h>
#include <weir/outbox.h>

#include "core/sabotage.h"

bool weir_inbox_first(struct weir_tx *tx)
{
    struct weir_call *call = weir_sql_call(tx);
    const char *message_id = call ? weir_call_message_id(call) : NULL;
    const struct weir_method *method = call ? weir_call_method(call) : NULL;
    if (!message_id || !message_id[0]) {
        weir_sql_fail(tx, WEIR_INVALID_ARGUMENT,
                      "the message has no id (idempotency-key, or ce_id on Kafka)");
        return false;
    }
    int64_t stored =
        weir_sql_exec(tx,
                      "INSERT INTO weir_inbox (method, message_id, at_ms) VALUES (?, ?, ?) "
                      "ON CONFLICT (method, message_id) DO NOTHING",
                      method ? method->full_name : "", message_id, weir_unix_ns() / WEIR_NS_PER_MS);
    return stored == 1 || (SABOTAGED(inbox) && stored == 0);
}
