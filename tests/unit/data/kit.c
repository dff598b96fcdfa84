#include "kit.h"

#include <dirent.h>
#include <stdio.h>
#include <unistd.h>

static const char *const items[] = {
    "CREATE TABLE items (id INTEGER PRIMARY KEY, n INTEGER NOT NULL CHECK (n >= 0), name TEXT UNIQUE);"
    "CREATE TABLE parts (id INTEGER PRIMARY KEY, item INTEGER REFERENCES items (id),"
    " late INTEGER REFERENCES items (id) DEFERRABLE INITIALLY DEFERRED)",
    NULL,
};

void kit_open(struct kit *kit, const char *const *migrations)
{
    memset(kit, 0, sizeof *kit);
    strcpy(kit->folder, "/tmp/weir-data-XXXXXX");
    assert_non_null(mkdtemp(kit->folder));
    snprintf(kit->url, sizeof kit->url, "sqlite:%s/test.db", kit->folder);
    kit->settings = (struct sql_settings){
        .url = kit->url,
        .migrations = migrations ? migrations : items,
        .readers = 2,
        .commit_group_max = 64,
        .busy_timeout_ms = 5000,
    };
    context_init(&kit->context, NULL, WEIR_NEVER);
}

enum weir_status kit_start(struct kit *kit)
{
    kit->db = sql_new("db", &kit->settings);
    enum weir_status status = sql_ops.start(kit->db, &kit->context, &kit->error);
    if (status != WEIR_OK) {
        sql_ops.destroy(kit->db);
        kit->db = NULL;
    }
    return status;
}

const char *kit_migrate(struct kit *kit, bool dry)
{
    struct weir_sql *db = sql_new("db", &kit->settings);
    int64_t count = 0, lines = 0;
    weir_buffer_free(&kit->lines);
    kit->error = (struct weir_error){0};
    enum weir_status status = sql_migrate(db, &kit->context, dry, &kit->lines, &count, &kit->error);
    assert_int_equal(status, kit->error.status);
    sql_ops.destroy(db);
    for (const char *at = weir_buffer_text(&kit->lines); (at = strstr(at, " migration ")); at++)
        lines++;
    assert_int_equal(count, lines);
    return weir_buffer_text(&kit->lines);
}

struct weir_work kit_stop(struct kit *kit)
{
    struct weir_work work = {0};
    assert_int_equal(sql_ops.quiesce(kit->db, &kit->error), WEIR_OK);
    assert_int_equal(sql_ops.drain(kit->db, &kit->context, &work, &kit->error), WEIR_OK);
    assert_int_equal(sql_ops.finish(kit->db, &kit->context, &work, &kit->error), WEIR_OK);
    sql_ops.destroy(kit->db);
    kit->db = NULL;
    return work;
}

void kit_close(struct kit *kit)
{
    if (kit->db)
        kit_stop(kit);
    DIR *folder = opendir(kit->folder);
    for (struct dirent *entry; folder && (entry = readdir(folder));)
        if (entry->d_name[0] != '.')
            unlinkat(dirfd(folder), entry->d_name, 0);
    closedir(folder);
    rmdir(kit->folder);
    weir_buffer_free(&kit->lines);
    context_clean_up(&kit->context);
}

struct weir_call *kit_call(int64_t timeout_ms)
{
    return weir_call_background(NULL, NULL, timeout_ms);
}

int64_t kit_number(struct kit *kit, const char *sql)
{
    struct weir_call *call = kit_call(10000);
    struct weir_rows *rows = weir_sql_read_values(call, kit->db, sql, NULL, 0);
    int64_t number = weir_rows_next(rows) ? weir_rows_int(rows, 0) : -1;
    assert_int_equal(weir_rows_end(rows), WEIR_OK);
    weir_call_background_end(call);
    return number;
}

enum weir_status kit_run(struct kit *kit, const char *sql)
{
    struct weir_call *call = kit_call(10000);
    struct weir_tx *tx = weir_sql_begin(call, kit->db);
    weir_sql_exec_values(tx, sql, NULL, 0);
    enum weir_status status = weir_sql_commit(tx);
    weir_call_background_end(call);
    return status;
}
