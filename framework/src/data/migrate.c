#include "data/migrate.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <weir/clock.h>
#include <weir/log.h>

#include "data/tables.h"

#define LINE_MAX_SIZE 100

/* One list: the service's, or weir's own tables. */
struct migration {
    struct weir_sql *db;
    struct sql_session *session;
    const char *owner; /* tells lists of one database apart */
    const char *const *texts;
    int64_t known;
    bool portable;
};

static const char table[] = "CREATE TABLE IF NOT EXISTS weir_migrations ("
                            "owner TEXT NOT NULL, number BIGINT NOT NULL, checksum TEXT NOT NULL, "
                            "applied_ms BIGINT NOT NULL, PRIMARY KEY (owner, number))";

/* FNV-1a over the text as it is: it finds what was changed by mistake. */
static void checksum(const char *text, char ret_checksum[17])
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (; *text; text++)
        hash = (hash ^ (uint8_t)*text) * UINT64_C(0x100000001b3);
    snprintf(ret_checksum, 17, "%016" PRIx64, hash);
}

/* A text's first line that says something. */
static struct weir_bytes first_line(const char *text)
{
    text += strspn(text, " \t\r\n");
    return weir_bytes(text, strcspn(text, "\r\n"));
}

static void tell(const struct migration *migration, int64_t number, const char *what,
                 struct migrate_report *report)
{
    struct weir_bytes line = first_line(migration->texts[number - 1]);
    bool whole = line.size <= LINE_MAX_SIZE;
    report->count++;
    weir_buffer_printf(report->lines, "%s: %s migration %lld (%s): %.*s%s\n", migration->db->name, what,
                       (long long)number, migration->owner, whole ? (int)line.size : LINE_MAX_SIZE,
                       (const char *)line.data, whole ? "" : "...");
}

static enum weir_status check_one(const struct migration *migration, int64_t number, int64_t expected,
                                  struct weir_bytes applied_sum, struct weir_error *err)
{
    char sum[17] = "";
    if (number >= 1 && number <= migration->known)
        checksum(migration->texts[number - 1], sum);
    if (!sum[0] || number != expected)
        return weir_fail(err, WEIR_FAILED_PRECONDITION,
                         "%s: the database has had migration %lld (%s), which this program does not have: "
                         "it is older than the database",
                         migration->db->name, (long long)number, migration->owner);
    if (!weir_bytes_equal_text(applied_sum, sum))
        return weir_fail(err, WEIR_FAILED_PRECONDITION,
                         "%s: migration %lld (%s) was changed after it was applied; add a new one instead",
                         migration->db->name, (long long)number, migration->owner);
    return WEIR_OK;
}

static enum weir_status check_applied(const struct migration *migration, int64_t *ret_applied,
                                      struct weir_error *err)
{
    const struct sql_backend *backend = migration->db->backend;
    struct weir_value owner = weir_value_text(migration->owner);
    struct sql_cursor *applied = NULL;
    if (backend->query(migration->session,
                       "SELECT number, checksum FROM weir_migrations WHERE owner = ? ORDER BY number", &owner,
                       1, &applied, err) != WEIR_OK)
        return err->status;

    enum weir_status status = WEIR_OK;
    int more;
    *ret_applied = 0;
    while (status == WEIR_OK && (more = backend->next(migration->session, applied, err)) != 0) {
        struct weir_value number = {0}, sum = {0};
        if (more < 0 || backend->value(applied, 0, WEIR_VALUE_INT, &number, err) != WEIR_OK ||
            backend->value(applied, 1, WEIR_VALUE_TEXT, &sum, err) != WEIR_OK)
            status = err->status;
        else
            status = check_one(migration, number.as.integer, *ret_applied + 1, sum.as.bytes, err);
        *ret_applied = number.as.integer;
    }
    backend->release(migration->session, applied);
    return status;
}

static enum weir_status apply(const struct migration *migration, int64_t number, struct weir_error *err)
{
    const struct sql_backend *backend = migration->db->backend;
    const char *sql = migration->texts[number - 1];
    char sum[17];
    checksum(sql, sum);
    struct weir_value row[] = {weir_value_text(migration->owner), weir_value_int(number),
                               weir_value_text(sum), weir_value_int(weir_unix_ns() / WEIR_NS_PER_MS)};
    enum weir_status status = backend->script(migration->session, sql, migration->portable, err);
    if (status == WEIR_OK)
        status = backend->migration(migration->session, MIGRATION_CHECK, err);
    if (status == WEIR_OK)
        status = backend->exec(migration->session, "INSERT INTO weir_migrations VALUES (?, ?, ?, ?)", row, 4,
                               NULL, err);
    if (status != WEIR_OK)
        weir_error_prefix(err, "migration %lld (%s)", (long long)number, migration->owner);
    return status;
}

/* One transaction: sees what others did meanwhile, applies the next one. */
static enum weir_status step(const struct migration *migration, struct migrate_report *report, bool *ret_more,
                             struct weir_error *err)
{
    const struct sql_backend *backend = migration->db->backend;
    enum weir_status status = backend->migration(migration->session, MIGRATION_BEGIN, err);
    if (status != WEIR_OK)
        return status;
    int64_t applied = 0;
    status = backend->script(migration->session, table, true, err);
    if (status == WEIR_OK)
        status = check_applied(migration, &applied, err);
    *ret_more = applied < migration->known;
    if (status == WEIR_OK && *ret_more)
        status = apply(migration, applied + 1, err);
    if (status == WEIR_OK)
        status = backend->migration(migration->session, MIGRATION_COMMIT, err);
    if (status == WEIR_OK && *ret_more && report)
        tell(migration, applied + 1, "applied", report);

    struct weir_error ignored = {0};
    if (status != WEIR_OK)
        (void)backend->migration(migration->session, MIGRATION_ROLLBACK, &ignored);
    return status;
}

static struct migration list_of(struct weir_sql *db, struct sql_session *session, bool own)
{
    static const char *const none[] = {NULL};
    bool postgres = db->backend != &sqlite_backend;
    struct migration list = {
        .db = db, .session = session, .owner = own ? "weir" : "service", .portable = true};
    list.texts = own ? tables_of(db->backend) : db->settings.migrations;
    if (!own && postgres && db->settings.postgres_migrations) {
        list.texts = db->settings.postgres_migrations;
        list.portable = false;
    }
    if (!list.texts)
        list.texts = none;
    while (list.texts[list.known])
        list.known++;
    return list;
}

enum weir_status migrate(struct weir_sql *db, struct sql_session *session, struct migrate_report *report,
                         struct weir_error *err)
{
    enum weir_status status = db->backend->migration(session, MIGRATION_ENTER, err);
    for (int i = 0; i < 2; i++) {
        struct migration list = list_of(db, session, i == 0);
        bool more = true;
        while (status == WEIR_OK && more)
            status = step(&list, report, &more, err);
    }
    struct weir_error ignored = {0};
    enum weir_status restored = db->backend->migration(session, MIGRATION_LEAVE, &ignored);
    if (status == WEIR_OK && restored != WEIR_OK) {
        *err = ignored;
        status = restored;
    }
    return status;
}

enum weir_status migrate_dry(struct weir_sql *db, struct sql_session *session, struct migrate_report *report,
                             struct weir_error *err)
{
    bool any = false;
    if (session && db->backend->has_table(session, "weir_migrations", &any, err) != WEIR_OK)
        return err->status;
    for (int i = 0; i < 2; i++) {
        struct migration list = list_of(db, session, i == 0);
        int64_t applied = 0;
        if (any && check_applied(&list, &applied, err) != WEIR_OK)
            return err->status;
        while (applied < list.known)
            tell(&list, ++applied, "would apply", report);
    }
    return WEIR_OK;
}
