/* SQLite as an engine: one writer, and a pool of connections for reading. */
#ifndef WEIR_DATA_SQLITE_BACKEND_H
#define WEIR_DATA_SQLITE_BACKEND_H

#include <pthread.h>

#include "data/sql.h"
#include "data/sqlite/connection.h"
#include "data/sqlite/writer.h"

struct reader {
    struct connection connection; /* first */
    struct reader *next;          /* free ones */
};

struct sqlite {
    const char *path;
    struct writer writer;
    pthread_mutex_t lock; /* readers */
    pthread_cond_t reader_free;
    struct reader *readers, *free_readers;
};

/* `db` is one of SQLite's, and open. */
struct sqlite *sqlite_of(const struct weir_sql *db);

#endif
