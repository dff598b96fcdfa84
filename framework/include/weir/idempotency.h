/* A call that is sent again with its Idempotency-Key has no effect of its own and gets the first one's answer. Declared by
 * `option (weir.idempotency_key)` of the method, with `.idempotency = db` of its service.
 *
 * A handler whose effect is one transaction needs nothing of this: the reply, as it is filled when weir_sql_commit() is
 * called, is kept in that transaction. One with several says which of them are not the last:
 *
 *     struct weir_tx *tx = weir_sql_begin(call, db);
 *     weir_sql_exec(tx, "INSERT INTO orders ...", order_id);
 *     weir_idempotency_later(tx);
 *     status = weir_sql_commit(tx);
 *     ... calls to other services ...
 *     tx = weir_sql_begin(call, db);
 *     weir_sql_exec(tx, "UPDATE orders SET state = 'confirmed' ...");
 *     reply->order_id = order_id;
 *     return weir_sql_commit(tx);
 *
 * After a crash in between the next call with the key runs, and must find what the first one left:
 * weir_idempotency_id(). All of these do nothing for a call without a key, so the handler is the same.
 *
 * A failure is kept, too, once a transaction was begun; but not one that says: try again (weir_status_is_transient()), and
 * none of a Kafka message, which comes again until it succeeds. */
#ifndef WEIR_IDEMPOTENCY_H
#define WEIR_IDEMPOTENCY_H

#include <stdbool.h>

#include <weir/call.h>
#include <weir/export.h>
#include <weir/id.h>
#include <weir/sql.h>

/* This transaction, once committed, is not the answer: a later one is. It claims the key: until the call's deadline nobody
 * else runs with it, then the next one may. */
WEIR_API void weir_idempotency_later(struct weir_tx *tx);

/* For a handler that leaves its transactions to others (a saga): none is the answer but the one in which
 * weir_idempotency_keep() is said; where none says so, the answer is kept by itself when the handler has returned. What
 * comes behind the answer is the author's matter. Before the first transaction. */
WEIR_API void weir_idempotency_choose(struct weir_call *call);
WEIR_API void weir_idempotency_keep(struct weir_tx *tx);

/* This transaction is to be committed, and the call's answer is this refusal. Sets the call's error; returns status:
 *
 *     enum weir_status refusal = weir_idempotency_refuse(tx, WEIR_FAILED_PRECONDITION, "order %s: declined", id);
 *     enum weir_status stored = weir_sql_commit(tx);
 *     return stored != WEIR_OK ? stored : refusal; */
WEIR_API enum weir_status weir_idempotency_refuse(struct weir_tx *tx, enum weir_status status,
                                                  const char *format, ...) WEIR_PRINTF(3, 4);

/* An id for what the call makes: the same for every call with its method, principal and key (UUID version 8, RFC 9562,
 * 5.8). False, and nothing is written: the call has no key. */
WEIR_API bool weir_idempotency_id(const struct weir_call *call, char ret_id[WEIR_ID_SIZE]);

#endif
