/* Idempotency keys: how a call has one, and what remembers answers by them.
 *
 * The header is a structured-field string, "..." (draft-ietf-httpapi-idempotency-key-header, RFC 9651 3.3.3); bare text is the
 * same key. Kafka's message id is a key as it is. */
#ifndef WEIR_CALL_IDEMPOTENCY_H
#define WEIR_CALL_IDEMPOTENCY_H

#include <stdbool.h>

#include <weir/status.h>

struct weir_call;

#define IDEMPOTENCY_KEY "idempotency-key"
#define IDEMPOTENCY_KEY_MAX 255

/* Reply metadata: this is the answer of an earlier call ("true"); and why a refusal is one, for REST's status. */
#define IDEMPOTENT_REPLAYED "idempotent-replayed"
#define REASON_METADATA "weir-reason"
#define REASON_KEY_REUSED "idempotency-key-reused"

/* What data/ does, for a call of a method with (weir.idempotency_key) that has a key and a store. Both may block. */
struct idempotency_ops {
    /* Before the handler, the request is unpacked. OK lets it run, and `after` is called; with *ret_answered the
     * call is over with OK or what is returned, its reply and error set. */
    enum weir_status (*before)(struct weir_call *call, bool *ret_answered);
    /* The handler ended with `status`, the reply is packed. Returns the call's status; may replace reply and error. */
    enum weir_status (*after)(struct weir_call *call, enum weir_status status);
};

/* Before anything starts. Borrows. */
void idempotency_set_ops(const struct idempotency_ops *ops);
const struct idempotency_ops *idempotency_ops(void);

/* The method takes a key: makes call->message_id the key, or refuses what is none, or that there is none. */
enum weir_status idempotency_take_key(struct weir_call *call);

#endif
