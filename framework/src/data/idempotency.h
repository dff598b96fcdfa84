/* What a transaction tells of itself to the answers that are kept. See <weir/idempotency.h>. */
#ifndef WEIR_DATA_IDEMPOTENCY_H
#define WEIR_DATA_IDEMPOTENCY_H

#include <stdbool.h>

#include <weir/sql.h>

/* After sql_begin() for an author. */
void idempotency_begun(struct weir_tx *tx);
/* Before it is committed: writes the answer into it, or fails it. */
void idempotency_keep(struct weir_tx *tx);
/* It is durable. */
void idempotency_committed(struct weir_tx *tx);

/* Calls keep their answers from now on. */
void idempotency_init(void);

#endif
