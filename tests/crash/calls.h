/* Stands before the C library's calls that change something outside of the process, for tests: what they do can be
 * counted, recorded, refused, or be the process's last act.
 *
 * calls.c defines the functions; whoever links it gives calls_before() and calls_after(). Any thread, also before main().
 * What the C library calls itself (stdio) does not come by. */
#ifndef CRASH_CALLS_H
#define CRASH_CALLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

enum call_kind {
    CALL_WRITE, /* bytes to a file, pipe or socket */
    CALL_SYNC,
    CALL_TRUNCATE,
    CALL_OPEN, /* with O_CREAT */
    CALL_RENAME,
    CALL_UNLINK,
    CALL_MKDIR,
    CALL_OTHER, /* fallocate(2) and its like */
};

struct call {
    enum call_kind kind;
    const char *name;         /* "pwrite64" */
    int fd;                   /* -1: it is about paths */
    const char *path, *path2; /* of open, rename, unlink, mkdir */
    const struct iovec *pieces;
    int piece_count;
    off_t offset;   /* -1: where the file stands */
    size_t size;    /* of a write, in bytes; of a truncation */
    bool existed;   /* of open: the file was there */
    uint64_t begun; /* for who hooks */
};

enum verdict {
    CALL_DO,
    CALL_HALF,   /* of a write: its first half, then calls_after() with what was written */
    CALL_REFUSE, /* with *ret_errno, or success without doing it when that is 0 */
};

/* May end the process. errno is kept. */
enum verdict calls_before(struct call *call, int *ret_errno);
/* `result` is what the call returned: bytes, a descriptor, 0, -1. errno is kept. */
void calls_after(struct call *call, ssize_t result);

#endif
