#include "data/migrate.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <weir/clock.h>
#include <weir/log.h>

static const char table[] = "CREATE TABLE IF NOT EXISTS weir_migrations ("
                            "owner TEXT NOT NULL, number INTEGER NOT NULL, checksum TEXT NOT NULL, "
                            "applied_ms INTEGER NOT NULL, PRIMARY KEY (owner, number)) WITHOUT ROWID";

/* FNV-1a over the text as it is: it finds what was changed by mistake. */
static void checksum(const char *text, char ret_checksum[17])
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (; *text; text++)
        hash = (hash ^ (uint8_t)*text) * UINT64_C(0x100000001b3);
    snprintf(ret_checksum, 17, "%016" PRIx64, hash);
}

static enum weir_status check_applied(struct connection *connection, const char *owner,
                                      const char *const *migrations, int64_t known, int64_t *ret_applied,
                                      struct weir_error *err)
{
    struct weir_value values[] = {weir_value_text(owner)};
    struct statement *applied = connection_prepare(
        connection, "SELECT number, checksum FROM weir_migrations WHERE owner = ? ORDER BY number", values, 1,
        true, err);
    if (!applied)
        return err->status;

    enum weir_status status = WEIR_OK;
    int code;
    *ret_applied = 0;
    while (status == WEIR_OK && (code = connection_step(connection, applied, err)) != SQLITE_DONE) {
        if (code != SQLITE_ROW) {
            status = err->status;
            break;
        }
        int64_t number = sqlite3_column_int64(applied->handle, 0);
        char sum[17] = "";
        if (number >= 1 && number <= known)
            checksum(migrations[number - 1], sum);
        if (!sum[0] || number != *ret_applied + 1)
            status =
                weir_fail(err, WEIR_FAILED_PRECONDITION,
                          "%s: the database has had migration %lld (%s), which this program does not have: "
                          "it is older than the database",
                          connection->name, (long long)number, owner);
        else if (strcmp(sum, (const char *)sqlite3_column_text(applied->handle, 1)) != 0)
            status =
                weir_fail(err, WEIR_FAILED_PRECONDITION,
                          "%s: migration %lld (%s) was changed after it was applied; add a new one instead",
                          connection->name, (long long)number, owner);
        *ret_applied = number;
    }
    connection_release(connection, applied);
    return status;
}

/* Tables may be dropped and built anew while foreign keys are off; what is broken afterwards is found here.
 */
static enum weir_status check_foreign_keys(struct connection *connection, struct weir_error *err)
{
    int64_t broken = 0;
    if (connection_number(connection, "SELECT count(*) FROM pragma_foreign_key_check", NULL, 0, &broken,
                          err) != WEIR_OK)
        return err->status;
    if (broken > 0)
        return weir_fail(err, WEIR_FAILED_PRECONDITION, "%s: %lld rows would refer to nothing",
                         connection->name, (long long)broken);
    return WEIR_OK;
}

static enum weir_status apply(struct connection *connection, const char *owner, int64_t number,
                              const char *sql, struct weir_error *err)
{
    char sum[17];
    checksum(sql, sum);
    struct weir_value row[] = {weir_value_text(owner), weir_value_int(number), weir_value_text(sum),
                               weir_value_int(weir_unix_ns() / WEIR_NS_PER_MS)};
    enum weir_status status = connection_script(connection, sql, err);
    if (status == WEIR_OK)
        status = check_foreign_keys(connection, err);
    if (status == WEIR_OK)
        status =
            connection_exec(connection, "INSERT INTO weir_migrations VALUES (?, ?, ?, ?)", row, 4, NULL, err);
    if (status != WEIR_OK)
        weir_error_prefix(err, "migration %lld (%s)", (long long)number, owner);
    return status;
}

/* One transaction: sees what others did meanwhile, applies the next one. */
static enum weir_status step(struct connection *connection, const char *owner, const char *const *migrations,
                             int64_t known, bool *ret_more, struct weir_error *err)
{
    enum weir_status status = connection_control(connection, "BEGIN IMMEDIATE", err);
    if (status != WEIR_OK)
        return status;
    int64_t applied = 0;
    status = connection_script(connection, table, err);
    if (status == WEIR_OK)
        status = check_applied(connection, owner, migrations, known, &applied, err);
    *ret_more = applied < known;
    if (status == WEIR_OK && *ret_more)
        status = apply(connection, owner, applied + 1, migrations[applied], err);
    if (status == WEIR_OK)
        status = connection_control(connection, "COMMIT", err);

    struct weir_error ignored = {0};
    if (status != WEIR_OK && !connection_is_idle(connection))
        (void)connection_control(connection, "ROLLBACK", &ignored);
    return status;
}

enum weir_status migrate(struct connection *connection, const char *owner, const char *const *migrations,
                         struct weir_error *err)
{
    static const char *const none[] = {NULL};
    int64_t known = 0;
    if (!migrations)
        migrations = none;
    while (migrations[known])
        known++;

    enum weir_status status = connection_script(connection, "PRAGMA foreign_keys = OFF", err);
    bool more = true;
    while (status == WEIR_OK && more)
        status = step(connection, owner, migrations, known, &more, err);
    struct weir_error ignored = {0};
    enum weir_status restored = connection_script(connection, "PRAGMA foreign_keys = ON", &ignored);
    if (status == WEIR_OK && restored != WEIR_OK) {
        *err = ignored;
        status = restored;
    }
    return status;
}
