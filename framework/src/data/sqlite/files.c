#include "data/sqlite/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/memory.h"

#define LOG_HEADER 32 /* https://www.sqlite.org/fileformat2.html#walformat */
#define CHUNK (1 << 20)

enum weir_status files_sync_folder_of(const char *name, const char *path, struct weir_error *err)
{
    char *folder = memory_strdup(path);
    char *slash = strrchr(folder, '/');
    if (slash)
        *slash = 0;
    int fd = open(!slash ? "." : *folder ? folder : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    enum weir_status status = WEIR_OK;
    /* One that may not be read is left to who made it; some file systems cannot sync a folder. */
    if (fd >= 0 && fsync(fd) != 0 && (errno == EIO || errno == ENOSPC))
        status =
            weir_fail_errno(err, WEIR_UNAVAILABLE, errno, "%s: cannot sync the folder of %s", name, path);
    if (fd >= 0)
        close(fd);
    free(folder);
    return status;
}

static enum weir_status make_folder(const char *name, const char *folder, struct weir_error *err)
{
    if (mkdir(folder, 0777) != 0 && errno != EEXIST)
        return weir_fail_errno(err, WEIR_UNAVAILABLE, errno, "%s: cannot create folder %s", name, folder);
    return files_sync_folder_of(name, folder,
                                err); /* also of one that is there: we may have made it and been killed */
}

enum weir_status files_make_folders(const char *name, const char *path, struct weir_error *err)
{
    if (access(path, F_OK) == 0)
        return WEIR_OK;
    char *folder = memory_strdup(path);
    enum weir_status status = WEIR_OK;
    for (char *slash = strchr(folder + 1, '/'); slash && status == WEIR_OK; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        status = make_folder(name, folder, err);
        *slash = '/';
    }
    free(folder);
    return status;
}

/* ---- The write-ahead log ---- */

static char *log_of(const char *path)
{
    size_t length = strlen(path);
    char *log = memory_alloc(length + sizeof "-wal");
    memcpy(log, path, length);
    memcpy(log + length, "-wal", sizeof "-wal");
    return log;
}

int64_t files_log_bytes(const char *path)
{
    char *log = log_of(path);
    struct stat info;
    int64_t bytes = stat(log, &info) == 0 ? info.st_size : 0;
    free(log);
    return bytes;
}

bool files_has_log(const char *path)
{
    return files_log_bytes(path) > LOG_HEADER;
}

/* Byte for byte where it stands: a cut meanwhile leaves the one or the other, which are the same. */
static bool write_again(int fd)
{
    char *chunk = memory_alloc(CHUNK);
    off_t at = 0;
    ssize_t size;
    while ((size = pread(fd, chunk, CHUNK, at)) > 0) {
        ssize_t written = pwrite(fd, chunk, (size_t)size, at);
        if (written != size) {
            errno = written < 0 ? errno : ENOSPC;
            size = -1;
            break;
        }
        at += size;
    }
    int failed = errno;
    free(chunk);
    errno = failed;
    return size == 0 && fsync(fd) == 0;
}

enum weir_status files_rewrite_log(const char *name, const char *path, struct weir_error *err)
{
    char *log = log_of(path);
    int fd = open(log, O_RDWR | O_CLOEXEC);
    enum weir_status status = WEIR_OK;
    if ((fd < 0 && errno != ENOENT) || (fd >= 0 && !write_again(fd)))
        status = weir_fail_errno(err, WEIR_UNAVAILABLE, errno, "%s: cannot make %s durable", name, log);
    if (fd >= 0)
        close(fd);
    free(log);
    return status;
}
