#include "data/postgres/pipeline.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include <weir/clock.h>

#include "core/memory.h"
#include "data/postgres/error.h"

/* A cancellation wakes nobody here, so it is looked at as often. */
#define LOOK_MS 20

static enum weir_status context_status(struct pg_connection *connection)
{
    if (weir_now_ns() >= connection->until_ns)
        return WEIR_DEADLINE_EXCEEDED;
    if (!connection->context)
        return WEIR_OK;
    if (connection->cut && atomic_load_explicit(connection->cut, memory_order_relaxed))
        return WEIR_CANCELLED;
    enum weir_status status = weir_context_status(connection->context);
    if (status != WEIR_OK && connection->grace_ns > 0) {
        connection->until_ns = weir_now_ns() + connection->grace_ns;
        connection->context = NULL; /* from now on that limit alone */
        return WEIR_OK;
    }
    return status;
}

void pg_work_for(struct pg_connection *connection, struct weir_context *context)
{
    connection->context = context;
    connection->until_ns = WEIR_NEVER;
    connection->grace_ns = 0;
}

/* ---- Waiting ---- */

enum weir_status pg_lost(struct pg_connection *connection, struct weir_error *err)
{
    char text[300];
    connection->broken = true;
    if (connection->committing)
        return weir_fail(err, WEIR_UNKNOWN,
                         "%s: the connection to the database was lost during the commit: outcome unknown",
                         connection->name);
    pg_one_line(PQerrorMessage(connection->handle), text, sizeof text);
    return weir_fail(err, WEIR_UNAVAILABLE, "%s: the connection to the database was lost%s%s",
                     connection->name, text[0] ? ": " : "", text);
}

static enum weir_status interrupted(struct pg_connection *connection, enum weir_status status,
                                    struct weir_error *err)
{
    connection->broken = true;
    if (connection->committing)
        return weir_fail(err, WEIR_UNKNOWN, "%s: the time was over during the commit: outcome unknown",
                         connection->name);
    return weir_fail(err, status, "%s: a statement was interrupted: %s", connection->name,
                     status == WEIR_CANCELLED ? "nobody waits for it any more" : "its time is over");
}

enum weir_status pg_wait_for_socket(struct pg_connection *connection, short events, struct weir_error *err)
{
    for (;;) {
        enum weir_status over = context_status(connection);
        if (over != WEIR_OK)
            return interrupted(connection, over, err);
        int64_t deadline_ns =
            connection->context ? weir_context_deadline_ns(connection->context) : WEIR_NEVER;
        if (connection->until_ns < deadline_ns)
            deadline_ns = connection->until_ns;
        int64_t left_ms = (deadline_ns - weir_now_ns()) / WEIR_NS_PER_MS + 1;
        struct pollfd socket = {.fd = PQsocket(connection->handle), .events = events};
        if (poll(&socket, 1, left_ms < LOOK_MS ? (int)left_ms : LOOK_MS) > 0)
            return WEIR_OK;
    }
}

enum weir_status pg_flush(struct pg_connection *connection, struct weir_error *err)
{
    int left;
    while ((left = PQflush(connection->handle)) == 1) {
        if (pg_wait_for_socket(connection, POLLIN | POLLOUT, err) != WEIR_OK)
            return err->status;
        if (!PQconsumeInput(connection->handle)) /* else both sides may wait for each other */
            return pg_lost(connection, err);
    }
    return left == 0 ? WEIR_OK : pg_lost(connection, err);
}

enum weir_status pg_next_result(struct pg_connection *connection, PGresult **ret_result,
                                struct weir_error *err)
{
    while (PQisBusy(connection->handle)) {
        if (pg_wait_for_socket(connection, POLLIN, err) != WEIR_OK)
            return err->status;
        if (!PQconsumeInput(connection->handle))
            return pg_lost(connection, err);
    }
    *ret_result = PQgetResult(connection->handle);
    if (!*ret_result && PQstatus(connection->handle) == CONNECTION_BAD)
        return pg_lost(connection, err);
    return WEIR_OK;
}

/* ---- The queue ---- */

void pg_clear_queue(struct pg_connection *connection)
{
    for (int i = 0; i < connection->queued; i++) {
        free(connection->owned[i]);
        connection->owned[i] = NULL;
    }
    connection->queued = 0;
}

/* What libpq refuses to send is the connection's end. */
enum weir_status pg_was_queued(struct pg_connection *connection, int sent, const char *sql, bool own,
                               struct weir_error *err)
{
    if (!sent)
        return pg_lost(connection, err);
    connection->owned[connection->queued] = own ? memory_strdup(sql) : NULL;
    connection->queue[connection->queued] = own ? connection->owned[connection->queued] : sql;
    connection->queued++;
    return WEIR_OK;
}

enum weir_status pg_queue_control(struct pg_connection *connection, const char *sql, struct weir_error *err)
{
    return pg_was_queued(connection, PQsendQueryParams(connection->handle, sql, 0, NULL, NULL, NULL, NULL, 0),
                         sql, false, err);
}

static void note_failure(struct pg_connection *connection, const PGresult *result, int at,
                         struct weir_error *err)
{
    if (pg_is_out_of_date(result))
        connection->forget_statements = true;
    connection->committing = false; /* the server has skipped it, or says that it failed */
    if (err->status == WEIR_OK)
        pg_fail(connection->name, result, at < connection->queued ? connection->queue[at] : "", err);
}

/* FATAL ends the connection; whether the commit was before it nobody knows. */
static bool is_fatal(const PGresult *result)
{
    const char *severity = PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);
    return !severity || strcmp(severity, "ERROR") != 0;
}

/* The server's answer to COMMIT where a statement had failed. */
static void was_rolled_back(struct pg_connection *connection, struct weir_error *err)
{
    connection->committing = false;
    if (err->status == WEIR_OK)
        weir_fail(err, WEIR_ABORTED, "%s: the database has rolled the transaction back", connection->name);
}

enum weir_status pg_synchronise(struct pg_connection *connection, int wanted, PGresult **ret_result,
                                struct weir_error *err)
{
    int at = 0;
    struct weir_error failure = {0};
    PGresult *result = NULL, *found = NULL;
    if (!PQpipelineSync(connection->handle) || pg_flush(connection, err) != WEIR_OK) {
        pg_clear_queue(connection);
        return err->status != WEIR_OK ? err->status : pg_lost(connection, err);
    }
    for (;;) {
        if (pg_next_result(connection, &result, err) != WEIR_OK)
            break;
        ExecStatusType status = result ? PQresultStatus(result) : PGRES_EMPTY_QUERY;
        if (!result)
            at++;
        else if (status == PGRES_PIPELINE_SYNC)
            break;
        else if (status == PGRES_FATAL_ERROR && is_fatal(result) && connection->committing)
            connection->broken = true;
        else if (status == PGRES_FATAL_ERROR)
            note_failure(connection, result, at, &failure);
        else if (connection->committing && strcmp(PQcmdStatus(result), "COMMIT") == 0)
            connection->committing = false;
        else if (connection->committing && strcmp(PQcmdStatus(result), "ROLLBACK") == 0)
            was_rolled_back(connection, &failure);
        if (result && at == wanted && !found && status != PGRES_FATAL_ERROR)
            found = result;
        else
            PQclear(result);
    }
    if (err->status == WEIR_OK)
        PQclear(result);
    pg_clear_queue(connection);
    if (failure.status != WEIR_OK)
        *err = failure;
    if (err->status == WEIR_OK && ret_result)
        *ret_result = found;
    else
        PQclear(found);
    return err->status;
}
