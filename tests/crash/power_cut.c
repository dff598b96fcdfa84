/* power-cut LOG BASE FOLDER SEED: what a power cut at the log's end may leave, of a disk that had BASE before (disk.h). */
#include <stdio.h>
#include <stdlib.h>

#include "disk.h"

int main(int argc, char **argv)
{
    struct disk *disk = argc == 5 ? disk_load(argv[1], argv[2]) : NULL;
    if (!disk) {
        fprintf(stderr, "power-cut LOG BASE FOLDER SEED\n");
        return 1;
    }
    disk_advance(disk, disk_records(disk));
    disk_cut(disk, strtoull(argv[4], NULL, 10), argv[3]);
    disk_free(disk);
    return 0;
}
