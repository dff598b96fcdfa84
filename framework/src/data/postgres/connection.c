#include "data/postgres/connection.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir/clock.h>

#include "core/memory.h"
#include "data/postgres/error.h"
#include "data/postgres/pipeline.h"
#include "data/postgres/text.h"
#include "data/postgres/values.h"

/* A commit under way may take so much longer than its call: an unknown outcome is worse than a little wait. */
#define COMMIT_GRACE_NS (100 * WEIR_NS_PER_MS)
/* Of what nobody waits for any more. */
#define ROLLBACK_NS (500 * WEIR_NS_PER_MS)

/* ---- Open and close ---- */

/* What the server does for a connection of weir's: it looks whether somebody still waits while it works (where it can,
 * from 14 on), and does not keep a transaction of a client that is gone. */
static const char settings[] =
    "SET client_min_messages = warning; SET standard_conforming_strings = on; SET lock_timeout = 0;"
    "SELECT set_config(name, '250', false) FROM pg_settings WHERE name = 'client_connection_check_interval';"
    "SELECT set_config(name, '10', false) FROM pg_settings WHERE name = 'tcp_keepalives_idle';"
    "SELECT set_config(name, '5', false) FROM pg_settings WHERE name = 'tcp_keepalives_interval';"
    "SELECT set_config(name, '3', false) FROM pg_settings WHERE name = 'tcp_keepalives_count';"
    "SELECT set_config(name, '20000', false) FROM pg_settings WHERE name = 'tcp_user_timeout'";

static PGconn *start_connecting(const char *url, const char *name)
{
    /* What stands in the URL, behind, overrides these. */
    const char *const keywords[] = {
        "fallback_application_name", "client_encoding",  "keepalives_idle", "keepalives_interval",
        "keepalives_count",          "tcp_user_timeout", "dbname",          NULL};
    const char *const values[] = {name, "UTF8", "10", "5", "3", "15000", url, NULL};
    return PQconnectStartParams(keywords, values, 1);
}

static enum weir_status finish_connecting(struct pg_connection *connection, struct weir_error *err)
{
    PostgresPollingStatusType step = PGRES_POLLING_WRITING;
    while (step != PGRES_POLLING_OK) {
        if (step == PGRES_POLLING_FAILED || PQstatus(connection->handle) == CONNECTION_BAD) {
            char text[400];
            return weir_fail(err, WEIR_UNAVAILABLE, "%s: cannot connect to the database: %s",
                             connection->name,
                             pg_one_line(PQerrorMessage(connection->handle), text, sizeof text));
        }
        if (pg_wait_for_socket(connection, step == PGRES_POLLING_READING ? POLLIN : POLLOUT, err) != WEIR_OK)
            return weir_fail(err, err->status, "%s: the database does not answer", connection->name);
        step = PQconnectPoll(connection->handle);
    }
    return WEIR_OK;
}

/* Not there, or not ready yet; not: there, but it does not want us. */
static bool is_away(const struct pg_connection *connection)
{
    static const char *const refusals[] = {
        "password authentication failed", "no password supplied",  "does not exist",
        "no pg_hba.conf entry",           "authentication failed", "too many clients",
        "remaining connection slots",     "too many connections",  "invalid"};
    const char *text = PQerrorMessage(connection->handle);
    if (!strstr(text, "FATAL"))
        return true; /* no answer, or no server */
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++)
        if (strstr(text, refusals[i]))
            return false;
    return true;
}

static void ignore_notice(void *self, const PGresult *result)
{
    (void)self, (void)result;
}

enum weir_status pg_open(struct pg_connection *connection, const char *url, const char *name,
                         struct weir_context *context, bool *ret_away, struct weir_error *err)
{
    *connection = (struct pg_connection){.name = name};
    pg_work_for(connection, context);
    connection->handle = start_connecting(url, name);
    if (!connection->handle)
        return weir_fail(err, WEIR_RESOURCE_EXHAUSTED, "%s: out of memory", name);
    enum weir_status status = finish_connecting(connection, err);
    *ret_away = status != WEIR_OK && is_away(connection);
    if (status == WEIR_OK) {
        PQsetnonblocking(connection->handle, 1);
        PQsetNoticeReceiver(connection->handle, ignore_notice, NULL);
        status = pg_script(connection, settings, err);
        *ret_away = status != WEIR_OK;
    }
    if (status == WEIR_OK && !PQenterPipelineMode(connection->handle))
        status = pg_lost(connection, err);
    connection->context = NULL;
    if (status != WEIR_OK)
        pg_close(connection);
    return status;
}

static void drop_statement(struct pg_statement *statement)
{
    free(statement->sql);
    memset(statement, 0, sizeof *statement);
}

void pg_close(struct pg_connection *connection)
{
    pg_clear_queue(connection);
    for (int i = 0; i < PG_STATEMENTS_MAX; i++)
        drop_statement(&connection->statements[i]);
    PQfinish(connection->handle);
    connection->handle = NULL;
}

/* An idle server says nothing, unless that it ends. */
bool pg_is_alive(struct pg_connection *connection)
{
    struct pollfd socket = {.fd = PQsocket(connection->handle), .events = POLLIN};
    if (poll(&socket, 1, 0) == 0)
        return true;
    return PQconsumeInput(connection->handle) && PQstatus(connection->handle) == CONNECTION_OK &&
           !(socket.revents & (POLLHUP | POLLERR));
}

/* ---- Statements ---- */

static uint64_t hash_of(const char *text)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (; *text; text++)
        hash = (hash ^ (uint8_t)*text) * UINT64_C(0x100000001b3);
    return hash;
}

/* The one with this text; else one that is free now. */
static struct pg_statement *find(struct pg_connection *connection, const char *sql, uint64_t hash)
{
    struct pg_statement *oldest = &connection->statements[0];
    for (int i = 0; i < PG_STATEMENTS_MAX; i++) {
        struct pg_statement *statement = &connection->statements[i];
        if (statement->sql && statement->hash == hash && strcmp(statement->sql, sql) == 0)
            return statement;
        if (statement->used < oldest->used)
            oldest = statement;
    }
    return oldest;
}

static enum weir_status queue_deallocate(struct pg_connection *connection, const char *name,
                                         struct weir_error *err)
{
    char text[48];
    snprintf(text, sizeof text, "DEALLOCATE %s", name);
    return pg_was_queued(connection,
                         PQsendQueryParams(connection->handle, text, 0, NULL, NULL, NULL, NULL, 0), text,
                         true, err);
}

/* Asks the server for the types of the parameters; those in `types` that are not 0 are given. */
static enum weir_status prepare(struct pg_connection *connection, struct pg_statement *statement,
                                const char *text, const Oid *types, struct weir_error *err)
{
    snprintf(statement->name, sizeof statement->name, "w%lld", (long long)connection->next_name++);
    PGresult *described = NULL;
    if (pg_was_queued(connection,
                      PQsendPrepare(connection->handle, statement->name, text, statement->parameters, types),
                      statement->sql, false, err) != WEIR_OK ||
        pg_was_queued(connection, PQsendDescribePrepared(connection->handle, statement->name), statement->sql,
                      false, err) != WEIR_OK ||
        pg_synchronise(connection, connection->queued - 1, &described, err) != WEIR_OK)
        return err->status;
    for (int i = 0; i < statement->parameters; i++)
        statement->types[i] = PQparamtype(described, i);
    PQclear(described);
    return WEIR_OK;
}

/* An int is 64 bits, also where the server would take it for 32: in `? * 2`. Where it must be 32 (a function's
 * argument) it stays so. */
static enum weir_status prepare_wider(struct pg_connection *connection, struct pg_statement *statement,
                                      const char *text, const struct weir_value *values,
                                      struct weir_error *err)
{
    Oid types[PG_PARAMETERS_MAX];
    struct pg_statement narrow = *statement;
    if (!pg_values_widen(statement->types, values, statement->parameters, types))
        return WEIR_OK;
    struct weir_error ignored = {0};
    if (pg_queue_control(connection, "SAVEPOINT weir", err) != WEIR_OK)
        return err->status;
    enum weir_status status = prepare(connection, statement, text, types, &ignored);
    if (connection->broken) {
        *err = ignored;
        return err->status;
    }
    if (status != WEIR_OK) {
        memcpy(statement->name, narrow.name, sizeof narrow.name);
        if (pg_queue_control(connection, "ROLLBACK TO weir", err) != WEIR_OK)
            return err->status;
    } else if (queue_deallocate(connection, narrow.name, err) != WEIR_OK) {
        return err->status;
    }
    return pg_queue_control(connection, "RELEASE weir", err);
}

static enum weir_status forget_statements(struct pg_connection *connection, struct weir_error *err)
{
    connection->forget_statements = false;
    for (int i = 0; i < PG_STATEMENTS_MAX; i++)
        drop_statement(&connection->statements[i]);
    return pg_queue_control(connection, "DEALLOCATE ALL", err);
}

static enum weir_status check_text(const struct pg_connection *connection, const char *sql, int parameters,
                                   int count, struct weir_error *err)
{
    if (postgres_text_controls(sql))
        return weir_fail(
            err, WEIR_INTERNAL,
            "%s: transactions are begun and ended by weir_sql_begin() and weir_sql_commit(), and "
            "ATTACH is not for services: %.160s",
            connection->name, sql);
    if (postgres_text_is_empty(sql))
        return weir_fail(err, WEIR_INTERNAL, "%s: an empty statement: %.160s", connection->name, sql);
    if (parameters != count || parameters > PG_PARAMETERS_MAX)
        return weir_fail(err, WEIR_INTERNAL,
                         "%s: the statement has %d parameters, %d values were given: %.160s",
                         connection->name, parameters, count, sql);
    return WEIR_OK;
}

static enum weir_status prepare_new(struct pg_connection *connection, struct pg_statement *statement,
                                    const char *sql, uint64_t hash, const struct weir_value *values,
                                    int count, struct weir_error *err)
{
    int parameters = 0;
    char *text = postgres_text(sql, &parameters);
    enum weir_status status = check_text(connection, sql, parameters, count, err);
    if (status == WEIR_OK && statement->sql)
        status = queue_deallocate(connection, statement->name, err);
    if (status == WEIR_OK) {
        drop_statement(statement);
        statement->sql = memory_strdup(sql);
        statement->hash = hash;
        statement->parameters = parameters;
        status = prepare(connection, statement, text, NULL, err);
        if (status == WEIR_OK)
            status = prepare_wider(connection, statement, text, values, err);
        if (status != WEIR_OK)
            drop_statement(statement);
    }
    free(text);
    return status;
}

enum weir_status pg_describe(struct pg_connection *connection, const char *sql, const Oid *types, int count,
                             PGresult **ret_result, struct weir_error *err)
{
    int parameters = 0;
    char *text = postgres_text(sql, &parameters);
    if (check_text(connection, sql, parameters, count, err) == WEIR_OK &&
        pg_was_queued(connection, PQsendPrepare(connection->handle, "", text, count, types), sql, false,
                      err) == WEIR_OK &&
        pg_was_queued(connection, PQsendDescribePrepared(connection->handle, ""), sql, false, err) == WEIR_OK)
        (void)pg_synchronise(connection, connection->queued - 1, ret_result, err);
    free(text);
    return err->status;
}

/* Has BEGIN sent before it, when that is due. */
static enum weir_status queue_statement(struct pg_connection *connection, const char *sql,
                                        const struct weir_value *values, int count, struct weir_error *err)
{
    if (connection->broken)
        return pg_lost(connection, err);
    if (connection->begin) {
        const char *how = connection->begin;
        connection->begin = NULL;
        if (pg_queue_control(connection, how, err) != WEIR_OK)
            return err->status;
    }
    if (connection->queued > PG_QUEUE_MAX - 8 && pg_synchronise(connection, -1, NULL, err) != WEIR_OK)
        return err->status;
    if (connection->forget_statements && forget_statements(connection, err) != WEIR_OK)
        return err->status;
    uint64_t hash = hash_of(sql);
    struct pg_statement *statement = find(connection, sql, hash);
    bool known = statement->sql && statement->hash == hash && strcmp(statement->sql, sql) == 0;
    if (!known && prepare_new(connection, statement, sql, hash, values, count, err) != WEIR_OK)
        return err->status;
    statement->used = ++connection->uses;
    if (check_text(connection, known ? "SELECT" : sql, statement->parameters, count, err) != WEIR_OK)
        return err->status;

    struct pg_values encoded;
    if (pg_values_encode(connection->name, sql, statement->types, values, count, &encoded, err) != WEIR_OK)
        return err->status;
    return pg_was_queued(connection,
                         PQsendQueryPrepared(connection->handle, statement->name, count, encoded.values,
                                             encoded.lengths, encoded.formats, 0),
                         statement->sql, false,
                         err); /* the least recently used goes first, so it is there long enough */
}

void pg_begin(struct pg_connection *connection, const char *how)
{
    connection->in_transaction = true;
    connection->begin = how;
}

enum weir_status pg_run(struct pg_connection *connection, const char *sql, const struct weir_value *values,
                        int count, PGresult **ret_result, struct weir_error *err)
{
    if (queue_statement(connection, sql, values, count, err) != WEIR_OK)
        return err->status;
    return pg_synchronise(connection, connection->queued - 1, ret_result, err);
}

enum weir_status pg_run_and_end(struct pg_connection *connection, const char *sql,
                                const struct weir_value *values, int count, PGresult **ret_result,
                                struct weir_error *err)
{
    if (queue_statement(connection, sql, values, count, err) != WEIR_OK)
        return err->status;
    int wanted = connection->queued - 1;
    if (pg_queue_control(connection, "COMMIT", err) != WEIR_OK ||
        pg_synchronise(connection, wanted, ret_result, err) != WEIR_OK)
        return err->status;
    connection->in_transaction = false;
    return WEIR_OK;
}

enum weir_status pg_run_later(struct pg_connection *connection, const char *sql,
                              const struct weir_value *values, int count, struct weir_error *err)
{
    return queue_statement(connection, sql, values, count, err);
}

enum weir_status pg_commit(struct pg_connection *connection, struct weir_error *err)
{
    if (connection->broken)
        return pg_lost(connection, err);
    if (connection->begin) { /* nothing has run */
        connection->begin = NULL;
        connection->in_transaction = false;
        return WEIR_OK;
    }
    if (pg_queue_control(connection, "COMMIT", err) != WEIR_OK)
        return err->status;
    connection->committing = true;
    connection->grace_ns = COMMIT_GRACE_NS;
    enum weir_status status = pg_synchronise(connection, -1, NULL, err);
    bool unknown = status == WEIR_OK && connection->committing;
    if (unknown)
        status = pg_lost(connection, err);
    connection->committing = false;
    if (status == WEIR_OK)
        connection->in_transaction = false;
    return status;
}

void pg_rollback(struct pg_connection *connection)
{
    struct weir_error ignored = {0};
    if (connection->broken || !connection->in_transaction)
        return;
    if (connection->begin) {
        connection->begin = NULL;
        connection->in_transaction = false;
        return;
    }
    connection->context = NULL;
    connection->until_ns = weir_now_ns() + ROLLBACK_NS;
    /* What is queued may fail, and the server then skips the rest. */
    if (connection->queued > 0)
        (void)pg_synchronise(connection, -1, NULL, &ignored);
    ignored = (struct weir_error){0};
    if (!connection->broken && PQtransactionStatus(connection->handle) != PQTRANS_IDLE &&
        (pg_queue_control(connection, "ROLLBACK", &ignored) != WEIR_OK ||
         pg_synchronise(connection, -1, NULL, &ignored) != WEIR_OK))
        connection->broken = true;
    connection->in_transaction = false;
}

/* ---- Scripts: libpq has them outside of the pipeline only ---- */

static enum weir_status run_script(struct pg_connection *connection, const char *sql, struct weir_error *err)
{
    if (!PQsendQuery(connection->handle, sql) || pg_flush(connection, err) != WEIR_OK)
        return err->status != WEIR_OK ? err->status : pg_lost(connection, err);
    struct weir_error failure = {0};
    PGresult *result = NULL;
    do {
        if (pg_next_result(connection, &result, err) != WEIR_OK)
            return err->status;
        ExecStatusType status = result ? PQresultStatus(result) : PGRES_COMMAND_OK;
        if (status == PGRES_FATAL_ERROR && failure.status == WEIR_OK)
            pg_fail(connection->name, result, sql, &failure);
        bool copies = status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH;
        PQclear(result);
        if (copies)
            return pg_lost(connection, err);
    } while (result);
    if (failure.status != WEIR_OK)
        *err = failure;
    return failure.status;
}

enum weir_status pg_script(struct pg_connection *connection, const char *sql, struct weir_error *err)
{
    bool in_pipeline = PQpipelineStatus(connection->handle) != PQ_PIPELINE_OFF;
    if (in_pipeline && connection->queued > 0 && pg_synchronise(connection, -1, NULL, err) != WEIR_OK)
        return err->status;
    if (in_pipeline && !PQexitPipelineMode(connection->handle))
        return pg_lost(connection, err);
    enum weir_status status = run_script(connection, sql, err);
    if (in_pipeline && !connection->broken && !PQenterPipelineMode(connection->handle))
        return pg_lost(connection, err);
    return status;
}
