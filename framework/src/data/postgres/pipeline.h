/* What goes over a connection: the queue of what was sent, and the wait for the answers, for the connection's context.
 *
 * When the server or the context is gone the connection is broken, and err says which; UNKNOWN during a commit. */
#ifndef WEIR_DATA_POSTGRES_PIPELINE_H
#define WEIR_DATA_POSTGRES_PIPELINE_H

#include "data/postgres/connection.h"

/* The connection is broken, by what libpq says. Returns err's status. */
enum weir_status pg_lost(struct pg_connection *connection, struct weir_error *err);

/* Until the socket is ready for one of `events` (poll(2)). */
enum weir_status pg_wait_for_socket(struct pg_connection *connection, short events, struct weir_error *err);
/* Until all was sent. */
enum weir_status pg_flush(struct pg_connection *connection, struct weir_error *err);
/* Caller owns the result; NULL: there is none of this statement any more. */
enum weir_status pg_next_result(struct pg_connection *connection, PGresult **ret_result,
                                struct weir_error *err);

/* Notes what PQsend...() was given; `sent` is what that returned. `sql` is copied when it is `own`, and else lives until
 * the next synchronisation. There is room for PG_QUEUE_MAX. */
enum weir_status pg_was_queued(struct pg_connection *connection, int sent, const char *sql, bool own,
                               struct weir_error *err);
/* Of weir's own, without parameters; the text is static. */
enum weir_status pg_queue_control(struct pg_connection *connection, const char *sql, struct weir_error *err);
void pg_clear_queue(struct pg_connection *connection);
/* Sends what is queued and waits for all its results; the one at `wanted` is the caller's, -1: none. The first failure
 * counts: the server skips what stands behind it. `ret_result` may be NULL. */
enum weir_status pg_synchronise(struct pg_connection *connection, int wanted, PGresult **ret_result,
                                struct weir_error *err);

#endif
