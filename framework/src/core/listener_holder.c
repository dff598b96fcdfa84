/* Who has a port that is taken. */
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/listener_parts.h"

/* The inode of the socket that listens on `port`; 0: not found. */
static uint64_t listener_inode(const char *table, int port)
{
    FILE *file = fopen(table, "re");
    if (!file)
        return 0;
    char line[512];
    uint64_t found = 0;
    while (!found && fgets(line, sizeof line, file)) {
        unsigned local_port, state;
        uint64_t inode;
        /* NOLINTNEXTLINE(cert-err34-c): the kernel's own numbers fit */
        if (sscanf(line, " %*d: %*[0-9A-Fa-f]:%x %*s %x %*s %*s %*s %*u %*u %" SCNu64, &local_port, &state,
                   &inode) == 3 &&
            (int)local_port == port && state == 0x0A /* TCP_LISTEN */)
            found = inode;
    }
    fclose(file);
    return found;
}

static bool process_has(const char *pid, uint64_t inode)
{
    char path[300], link[300], wanted[64], target[128];
    snprintf(wanted, sizeof wanted, "socket:[%" PRIu64 "]", inode);
    snprintf(path, sizeof path, "/proc/%s/fd", pid);
    DIR *folder = opendir(path);
    if (!folder)
        return false;
    bool found = false;
    for (struct dirent *entry; !found && (entry = readdir(folder));) {
        if (snprintf(link, sizeof link, "/proc/%s/fd/%s", pid, entry->d_name) >= (int)sizeof link)
            continue;
        ssize_t size = readlink(link, target, sizeof target - 1);
        if (size > 0) {
            target[size] = 0;
            found = strcmp(target, wanted) == 0;
        }
    }
    closedir(folder);
    return found;
}

static void read_name(const char *pid, char *ret_name, size_t size)
{
    char path[300];
    snprintf(path, sizeof path, "/proc/%s/comm", pid);
    snprintf(ret_name, size, "?");
    FILE *file = fopen(path, "re");
    if (!file)
        return;
    if (fgets(ret_name, (int)size, file))
        ret_name[strcspn(ret_name, "\n")] = 0;
    fclose(file);
}

/* "process 1234 (inventory)", or "another process". */
void listener_describe_holder(int port, char *ret_text, size_t size)
{
    snprintf(ret_text, size, "another process");
    uint64_t inode = listener_inode("/proc/net/tcp", port);
    if (!inode)
        inode = listener_inode("/proc/net/tcp6", port);
    DIR *processes = inode ? opendir("/proc") : NULL;
    if (!processes)
        return;
    for (struct dirent *entry; (entry = readdir(processes));) {
        if (entry->d_name[0] < '0' || entry->d_name[0] > '9' || !process_has(entry->d_name, inode))
            continue;
        char name[64];
        read_name(entry->d_name, name, sizeof name);
        snprintf(ret_text, size, "process %.16s (%s)", entry->d_name, name);
        break;
    }
    closedir(processes);
}
