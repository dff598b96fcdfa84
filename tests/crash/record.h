/* Records what a process does to the files of one folder, so that disk.c can say what a power cut would leave of it.
 *
 * A record is a struct record and `length` bytes, filled up to a multiple of 8, in native byte order, in the order in which the calls returned. A test
 * adds notes of its own: what was acknowledged when. Any thread. */
#ifndef CRASH_RECORD_H
#define CRASH_RECORD_H

#include "calls.h"

enum record_type {
    RECORD_CREATE,      /* object, path: a file that was not there */
    RECORD_FOUND,       /* object, path: one that was */
    RECORD_WRITE,       /* object, at: offset, bytes */
    RECORD_TRUNCATE,    /* object, at: size */
    RECORD_SYNC,        /* object, at: how many records there were as it began */
    RECORD_SYNC_FAILED, /* the same */
    RECORD_SYNC_FOLDER, /* path */
    RECORD_UNLINK,      /* path */
    RECORD_MKDIR,       /* path */
    RECORD_NOTE,        /* at: a number of the test's */
};

struct record {
    uint32_t type;
    uint32_t object;
    uint64_t at;
    uint64_t length;
};

/* Into `log`, which is made anew, from now on. Paths in it are relative to `folder`, which is there. */
void record_begin(const char *log, const char *folder);
void record_end(void);
void record_note(uint64_t number);
/* Is it about a file of the folder? */
bool record_concerns(const struct call *call);

/* For calls_before() and calls_after(). */
void record_before(struct call *call);
void record_after(const struct call *call, ssize_t result);

#endif
