#include "data/tables.h"

#include <stddef.h>

#include "data/backend.h"

/* state: enum weir_saga_state. owner: who may work on it; 0: whoever comes. */
static const char saga_tables[] = "CREATE TABLE weir_saga (\n"
                                  "    name TEXT NOT NULL,\n"
                                  "    id TEXT NOT NULL,\n"
                                  "    state BIGINT NOT NULL,\n"
                                  "    step TEXT NOT NULL,\n"
                                  "    owner BIGINT NOT NULL,\n"
                                  "    attempts BIGINT NOT NULL,\n"
                                  "    next_ms BIGINT NOT NULL,\n"
                                  "    begun_ms BIGINT NOT NULL,\n"
                                  "    deadline_ms BIGINT NOT NULL,\n"
                                  "    ended_ms BIGINT NOT NULL,\n"
                                  "    reason TEXT NOT NULL,\n"
                                  "    history TEXT NOT NULL,\n"
                                  "    PRIMARY KEY (name, id)) WITHOUT ROWID;\n"
                                  "CREATE INDEX weir_saga_open ON weir_saga (owner) WHERE state < 3;\n"
                                  "CREATE TABLE weir_saga_owner (\n"
                                  "    owner BIGINT PRIMARY KEY,\n"
                                  "    until_ms BIGINT NOT NULL);\n";

/* Answers by idempotency key; id: SHA-256 of method, principal and key. */
static const char idempotency_tables[] =
    "CREATE TABLE weir_idempotency (\n"
    "    id BYTEA PRIMARY KEY,\n"
    "    method TEXT NOT NULL,\n"
    "    principal TEXT NOT NULL,\n"
    "    key TEXT NOT NULL,\n"
    "    fingerprint BYTEA NOT NULL,\n"
    "    holder TEXT NOT NULL,\n"
    "    lease_ms BIGINT NOT NULL,\n"
    "    status BIGINT NOT NULL,\n"
    "    error TEXT NOT NULL,\n"
    "    trace TEXT NOT NULL,\n"
    "    reply BYTEA,\n"
    "    expires_ms BIGINT NOT NULL);\n"
    "CREATE INDEX weir_idempotency_expires ON weir_idempotency (expires_ms);\n";

/* For the keeper, who looks for those that ended long ago. */
static const char saga_ended_index[] =
    "CREATE INDEX weir_saga_ended ON weir_saga (name, ended_ms) WHERE state > 2;\n";

/* Never change one that was released: add another.
 *
 * There is one writer, so ids grow in the order of commits, and "published up to here" is one number. */
static const char *const tables_sqlite[] = {
    "CREATE TABLE weir_outbox (\n"
    "    id INTEGER PRIMARY KEY AUTOINCREMENT,\n"
    "    message_id TEXT NOT NULL,\n"
    "    topic TEXT NOT NULL,\n"
    "    key BLOB NOT NULL,\n"
    "    type TEXT NOT NULL,\n"
    "    traceparent TEXT,\n"
    "    principal TEXT,\n"
    "    created_ms INTEGER NOT NULL,\n"
    "    payload BLOB NOT NULL);\n"
    /* published: up to this id; ever: the same, but never back, when rows are published again for a new
       broker. */
    "CREATE TABLE weir_outbox_state (\n"
    "    one INTEGER PRIMARY KEY CHECK (one = 1),\n"
    "    published INTEGER NOT NULL,\n"
    "    ever INTEGER NOT NULL,\n"
    "    cluster TEXT NOT NULL);\n"
    "INSERT INTO weir_outbox_state VALUES (1, 0, 0, '');\n"
    /* When `published` had come how far: what tells how long a row has been kept. */
    "CREATE TABLE weir_outbox_marks (\n"
    "    at_ms INTEGER PRIMARY KEY,\n"
    "    published INTEGER NOT NULL);\n"
    /* What can never be published, with the reason: for a person to look at. */
    "CREATE TABLE weir_outbox_rejected (\n"
    "    id INTEGER PRIMARY KEY,\n"
    "    message_id TEXT NOT NULL,\n"
    "    topic TEXT NOT NULL,\n"
    "    key BLOB NOT NULL,\n"
    "    type TEXT NOT NULL,\n"
    "    traceparent TEXT,\n"
    "    principal TEXT,\n"
    "    created_ms INTEGER NOT NULL,\n"
    "    payload BLOB NOT NULL,\n"
    "    rejected_ms INTEGER NOT NULL,\n"
    "    reason TEXT NOT NULL);\n"
    "CREATE TABLE weir_inbox (\n"
    "    id INTEGER PRIMARY KEY,\n"
    "    method TEXT NOT NULL,\n"
    "    message_id TEXT NOT NULL,\n"
    "    at_ms INTEGER NOT NULL,\n"
    "    UNIQUE (method, message_id));\n",
    saga_tables,
    idempotency_tables,
    saga_ended_index,
    NULL,
};

/* There are many writers, so ids do not grow in the order of commits: each row says whether it is published. A relay
 * locks lanes, rows of one key are in one. */
static const char *const tables_postgres[] = {
    "CREATE TABLE weir_outbox (\n"
    "    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,\n"
    "    lane BIGINT NOT NULL,\n"
    "    message_id TEXT NOT NULL,\n"
    "    topic TEXT NOT NULL,\n"
    "    key BYTEA NOT NULL,\n"
    "    type TEXT NOT NULL,\n"
    "    traceparent TEXT,\n"
    "    principal TEXT,\n"
    "    created_ms BIGINT NOT NULL,\n"
    "    payload BYTEA NOT NULL,\n"
    "    published_ms BIGINT);\n"
    "CREATE INDEX weir_outbox_waiting ON weir_outbox (id) WHERE published_ms IS NULL;\n"
    "CREATE INDEX weir_outbox_published ON weir_outbox (published_ms) WHERE published_ms IS NOT NULL;\n"
    "CREATE TABLE weir_outbox_lanes (lane BIGINT PRIMARY KEY);\n"
    "INSERT INTO weir_outbox_lanes SELECT generate_series(0, 63);\n"
    "CREATE TABLE weir_outbox_state (\n"
    "    one BIGINT PRIMARY KEY CHECK (one = 1),\n"
    "    cluster TEXT NOT NULL);\n"
    "INSERT INTO weir_outbox_state VALUES (1, '');\n"
    /* What can never be published, with the reason: for a person to look at. */
    "CREATE TABLE weir_outbox_rejected (\n"
    "    id BIGINT PRIMARY KEY,\n"
    "    message_id TEXT NOT NULL,\n"
    "    topic TEXT NOT NULL,\n"
    "    key BYTEA NOT NULL,\n"
    "    type TEXT NOT NULL,\n"
    "    traceparent TEXT,\n"
    "    principal TEXT,\n"
    "    created_ms BIGINT NOT NULL,\n"
    "    payload BYTEA NOT NULL,\n"
    "    rejected_ms BIGINT NOT NULL,\n"
    "    reason TEXT NOT NULL);\n"
    "CREATE TABLE weir_inbox (\n"
    "    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,\n"
    "    method TEXT NOT NULL,\n"
    "    message_id TEXT NOT NULL,\n"
    "    at_ms BIGINT NOT NULL,\n"
    "    UNIQUE (method, message_id));\n",
    saga_tables,
    idempotency_tables,
    saga_ended_index,
    NULL,
};

const char *const *tables_of(const struct sql_backend *backend)
{
    return backend == &postgres_backend ? tables_postgres : tables_sqlite;
}
