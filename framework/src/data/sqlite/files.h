/* What SQLite leaves to its users about files, so that what a commit acknowledged survives a power cut. Errors name the
 * component. Any thread. */
#ifndef WEIR_DATA_SQLITE_FILES_H
#define WEIR_DATA_SQLITE_FILES_H

#include <stdbool.h>
#include <stdint.h>

#include <weir/error.h>

/* The folders on the way to the database at `path`, for one that is not there yet; durable when it returns. */
enum weir_status files_make_folders(const char *name, const char *path, struct weir_error *err);

/* That `path` is in its folder is durable. SQLite does the same, and does not mind when it fails. */
enum weir_status files_sync_folder_of(const char *name, const char *path, struct weir_error *err);

/* Does a process that died, or one that runs, have anything in the write-ahead log? */
bool files_has_log(const char *path);
/* How large it is; 0: there is none. */
int64_t files_log_bytes(const char *path);

/* Makes durable what the write-ahead log holds. After an fsync(2) that failed the kernel has the pages in memory, takes
 * them for written, and the disk does not have them (https://lwn.net/Articles/752063/); a process that starts then reads
 * them, SQLite goes on behind them, and a power cut takes all of it. So they are written once more. The caller holds the
 * database's lock for writing. */
enum weir_status files_rewrite_log(const char *name, const char *path, struct weir_error *err);

#endif
