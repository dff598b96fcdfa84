#define _GNU_SOURCE 1
#include "record.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define OBJECTS_MAX 4096

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int log_fd = -1;
static char root[PATH_MAX]; /* "/tmp/x/" */
static uint64_t records;
/* Files by their inode; a number that comes again is the newest one's. */
static struct {
    ino_t inode;
} objects[OBJECTS_MAX];
static uint32_t object_count;

static void put(const void *data, size_t size)
{
    const char *at = data;
    while (size > 0) {
        long written = syscall(SYS_write, log_fd, at, size);
        if (written <= 0)
            abort();
        at += written;
        size -= (size_t)written;
    }
}

/* Holds: lock. */
static void add(struct record record, const struct iovec *pieces, int count)
{
    put(&record, sizeof record);
    uint64_t left = record.length;
    for (int i = 0; i < count && left > 0; i++) {
        size_t size = pieces[i].iov_len < left ? pieces[i].iov_len : (size_t)left;
        put(pieces[i].iov_base, size);
        left -= size;
    }
    put("\0\0\0\0\0\0\0", -record.length % 8);
    records++;
}

static void add_path(enum record_type type, uint32_t object, const char *path)
{
    struct iovec piece = {(void *)(uintptr_t)path, strlen(path) + 1};
    add((struct record){.type = type, .object = object, .length = piece.iov_len}, &piece, 1);
}

/* Relative to the folder; NULL: it is elsewhere. */
static const char *inside(const char *path, char buffer[PATH_MAX])
{
    if (path[0] != '/') {
        char *here = getcwd(NULL, 0);
        snprintf(buffer, PATH_MAX, "%s/%s", here ? here : "", path);
        free(here);
    } else {
        snprintf(buffer, PATH_MAX, "%s", path);
    }
    size_t length = strlen(root);
    if (strncmp(buffer, root, length) == 0)
        return buffer + length;
    return strncmp(buffer, root, length - 1) == 0 && !buffer[length - 1] ? "" : NULL;
}

static const char *path_of(int fd, char buffer[PATH_MAX])
{
    char link[32], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0)
        return NULL;
    path[length] = 0;
    char *deleted = strstr(path, " (deleted)");
    if (deleted)
        *deleted = 0;
    return inside(path, buffer);
}

/* Holds: lock. */
static uint32_t new_object(int fd)
{
    struct stat info;
    if (object_count == OBJECTS_MAX || fstat(fd, &info) != 0)
        abort();
    objects[object_count].inode = info.st_ino;
    return object_count++;
}

/* Holds: lock. One that is seen for the first time was there before. */
static uint32_t object_of(int fd, const char *path)
{
    struct stat info;
    if (fstat(fd, &info) != 0)
        abort();
    for (uint32_t i = object_count; i > 0; i--)
        if (objects[i - 1].inode == info.st_ino)
            return i - 1;
    uint32_t object = new_object(fd);
    add_path(RECORD_FOUND, object, path);
    return object;
}

static bool is_folder(int fd)
{
    struct stat info;
    return fstat(fd, &info) == 0 && S_ISDIR(info.st_mode);
}

void record_begin(const char *log, const char *folder)
{
    pthread_mutex_lock(&lock);
    if (!realpath(folder, root))
        abort();
    strcat(root, "/");
    log_fd =
        (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0666);
    if (log_fd < 0)
        abort();
    records = 0;
    object_count = 0;
    pthread_mutex_unlock(&lock);
}

void record_end(void)
{
    pthread_mutex_lock(&lock);
    if (log_fd >= 0)
        close(log_fd);
    log_fd = -1;
    pthread_mutex_unlock(&lock);
}

void record_note(uint64_t number)
{
    pthread_mutex_lock(&lock);
    if (log_fd >= 0)
        add((struct record){.type = RECORD_NOTE, .at = number}, NULL, 0);
    pthread_mutex_unlock(&lock);
}

bool record_concerns(const struct call *call)
{
    char buffer[PATH_MAX];
    if (log_fd < 0)
        return false;
    const char *path = call->fd < 0 ? inside(call->path, buffer) : path_of(call->fd, buffer);
    /* What readers share is memory. */
    return path && (strlen(path) < 4 || strcmp(path + strlen(path) - 4, "-shm") != 0);
}

void record_before(struct call *call)
{
    pthread_mutex_lock(&lock);
    call->begun = records;
    pthread_mutex_unlock(&lock);
}

/* Holds: lock. */
static void add_of_file(const struct call *call, const char *path, ssize_t result)
{
    uint32_t object = object_of(call->fd, path);
    if (call->kind == CALL_WRITE && result > 0) {
        off_t end = call->offset < 0 ? lseek(call->fd, 0, SEEK_CUR) : call->offset + result;
        add((struct record){RECORD_WRITE, object, (uint64_t)(end - result), (uint64_t)result}, call->pieces,
            call->piece_count);
    } else if (call->kind == CALL_TRUNCATE && result == 0) {
        add((struct record){.type = RECORD_TRUNCATE, .object = object, .at = call->size}, NULL, 0);
    } else if (call->kind == CALL_SYNC) {
        add((struct record){.type = result == 0 ? RECORD_SYNC : RECORD_SYNC_FAILED,
                            .object = object,
                            .at = call->begun},
            NULL, 0);
    }
}

static void add_of_path(const struct call *call, const char *path, ssize_t result)
{
    if (call->kind == CALL_OPEN && result >= 0 && !call->existed)
        add_path(RECORD_CREATE, new_object((int)result), path);
    else if (call->kind == CALL_OPEN && result >= 0 && call->size) /* O_TRUNC */
        add((struct record){.type = RECORD_TRUNCATE, .object = object_of((int)result, path)}, NULL, 0);
    else if (call->kind == CALL_UNLINK && result == 0)
        add_path(RECORD_UNLINK, 0, path);
    else if (call->kind == CALL_MKDIR && result == 0)
        add_path(RECORD_MKDIR, 0, path);
}

void record_after(const struct call *call, ssize_t result)
{
    if (!record_concerns(call))
        return;
    char buffer[PATH_MAX];
    const char *path = call->fd < 0 ? inside(call->path, buffer) : path_of(call->fd, buffer);
    pthread_mutex_lock(&lock);
    if (log_fd < 0)
        ;
    else if (call->fd < 0)
        add_of_path(call, path, result);
    else if (is_folder(call->fd) && call->kind == CALL_SYNC && result == 0)
        add_path(RECORD_SYNC_FOLDER, 0, path);
    else if (!is_folder(call->fd))
        add_of_file(call, path, result);
    pthread_mutex_unlock(&lock);
}
