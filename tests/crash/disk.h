/* What a power cut may leave of the files that were recorded (record.h).
 *
 * What was synced is there. Of what was not, by chance: nothing, all, a beginning, any choice of writes, or of each sector
 * of 512 or 4096 bytes any version, in any order; a file may be longer than what is in it, with zeros or rubbish. A name
 * that its folder was not synced with may be there or not, and a removed one be back. A sync that failed decides about
 * what it was for as a cut would, and for good: a later one does not repeat it
 * (https://wiki.postgresql.org/wiki/Fsync_Errors). One thread. */
#ifndef CRASH_DISK_H
#define CRASH_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "record.h"

struct disk;

/* `base` is what was on the disk before, all of it synced; NULL: an empty folder. NULL when there is no such log. */
struct disk *disk_load(const char *log, const char *base);
void disk_free(struct disk *disk);

/* How many records there are, the unfinished last one left out. */
size_t disk_records(const struct disk *disk);
const struct record *disk_record(const struct disk *disk, size_t at);
/* Goes on to just before record `at`; not back. */
void disk_advance(struct disk *disk, size_t at);
/* Writes what a cut now leaves into `folder`, which is empty. `seed` says by which chance. */
void disk_cut(struct disk *disk, uint64_t seed, const char *folder);

#endif
