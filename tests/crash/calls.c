#define _GNU_SOURCE 1
#undef _FILE_OFFSET_BITS
#include "calls.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define SHOWN __attribute__((visibility("default")))
#define PIECES_MAX 1024

static void *real(void *_Atomic *found, const char *name)
{
    void *function = atomic_load_explicit(found, memory_order_relaxed);
    if (!function) {
        function = dlsym(RTLD_NEXT, name);
        if (!function)
            abort();
        atomic_store_explicit(found, function, memory_order_relaxed);
    }
    return function;
}

/* The function behind ours, with our type. */
#define REAL(name)                                                                                           \
    __extension__({                                                                                          \
        static void *_Atomic found;                                                                          \
        (__typeof__(&name))real(&found, #name);                                                              \
    })

static bool may_go(struct call *call, bool *ret_half, ssize_t *ret_result)
{
    int saved = errno, refused = 0;
    enum verdict verdict = calls_before(call, &refused);
    errno = saved;
    *ret_half = verdict == CALL_HALF;
    if (verdict != CALL_REFUSE)
        return true;
    *ret_result = refused ? -1 : 0;
    if (!refused)
        calls_after(call, 0);
    errno = refused ? refused : saved;
    return false;
}

static ssize_t done(struct call *call, ssize_t result)
{
    int saved = errno;
    calls_after(call, result);
    errno = saved;
    return result;
}

/* What a call without bytes does: `expression` is the real one. */
#define PASS(call, expression)                                                                               \
    __extension__({                                                                                          \
        bool half_;                                                                                          \
        ssize_t result_;                                                                                     \
        may_go(call, &half_, &result_) ? done(call, expression) : result_;                                   \
    })

/* ---- Bytes ---- */

/* The first half of what the pieces hold. */
static int halve(const struct iovec *pieces, int count, struct iovec *ret_pieces, size_t *ret_size)
{
    size_t left = 0;
    for (int i = 0; i < count; i++)
        left += pieces[i].iov_len;
    left /= 2;
    *ret_size = left;
    int used = 0;
    for (; used < count && used < PIECES_MAX && left > 0; used++) {
        ret_pieces[used] = pieces[used];
        if (ret_pieces[used].iov_len > left)
            ret_pieces[used].iov_len = left;
        left -= ret_pieces[used].iov_len;
    }
    return used;
}

typedef ssize_t bytes_fn(const struct call *call, const struct iovec *pieces, int count, const void *more);

static ssize_t pass_bytes(const char *name, int fd, const struct iovec *pieces, int count, off_t offset,
                          bytes_fn *go, const void *more)
{
    struct call call = {
        .kind = CALL_WRITE, .name = name, .fd = fd, .pieces = pieces, .piece_count = count, .offset = offset};
    for (int i = 0; i < count; i++)
        call.size += pieces[i].iov_len;
    bool half;
    ssize_t result;
    if (!may_go(&call, &half, &result))
        return result == 0 ? (ssize_t)call.size : result;
    if (!half)
        return done(&call, go(&call, pieces, count, more));
    struct iovec first[PIECES_MAX];
    size_t size;
    int used = halve(pieces, count, first, &size);
    return done(&call, size > 0 ? go(&call, first, used, more) : 0);
}

static ssize_t go_write(const struct call *call, const struct iovec *pieces, int count, const void *more)
{
    (void)more;
    return count == 1 ? REAL(write)(call->fd, pieces->iov_base, pieces->iov_len)
                      : REAL(writev)(call->fd, pieces, count);
}

static ssize_t go_pwrite(const struct call *call, const struct iovec *pieces, int count, const void *more)
{
    (void)more;
    return count == 1 ? REAL(pwrite64)(call->fd, pieces->iov_base, pieces->iov_len, call->offset)
                      : REAL(pwritev64)(call->fd, pieces, count, call->offset);
}

struct message {
    const struct msghdr *head;
    int flags;
};

static ssize_t go_sendmsg(const struct call *call, const struct iovec *pieces, int count, const void *more)
{
    const struct message *message = more;
    struct msghdr head = *message->head;
    head.msg_iov = (struct iovec *)(uintptr_t)pieces;
    head.msg_iovlen = (size_t)count;
    return REAL(sendmsg)(call->fd, &head, message->flags);
}

#define PIECE(data, size)                                                                                    \
    &(struct iovec)                                                                                          \
    {                                                                                                        \
        (void *)(uintptr_t)(data), size                                                                      \
    }

SHOWN ssize_t write(int fd, const void *data, size_t size)
{
    return pass_bytes("write", fd, PIECE(data, size), 1, -1, go_write, NULL);
}

SHOWN ssize_t writev(int fd, const struct iovec *pieces, int count)
{
    return pass_bytes("writev", fd, pieces, count, -1, go_write, NULL);
}

SHOWN ssize_t pwrite(int fd, const void *data, size_t size, off_t offset)
{
    return pass_bytes("pwrite", fd, PIECE(data, size), 1, offset, go_pwrite, NULL);
}

SHOWN ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset)
{
    return pass_bytes("pwrite64", fd, PIECE(data, size), 1, offset, go_pwrite, NULL);
}

SHOWN ssize_t pwritev(int fd, const struct iovec *pieces, int count, off_t offset)
{
    return pass_bytes("pwritev", fd, pieces, count, offset, go_pwrite, NULL);
}

SHOWN ssize_t pwritev64(int fd, const struct iovec *pieces, int count, off64_t offset)
{
    return pass_bytes("pwritev64", fd, pieces, count, offset, go_pwrite, NULL);
}

SHOWN ssize_t sendmsg(int fd, const struct msghdr *head, int flags)
{
    struct message message = {head, flags};
    return pass_bytes("sendmsg", fd, head->msg_iov, (int)head->msg_iovlen, -1, go_sendmsg, &message);
}

SHOWN ssize_t send(int fd, const void *data, size_t size, int flags)
{
    struct message message = {&(struct msghdr){0}, flags};
    return pass_bytes("send", fd, PIECE(data, size), 1, -1, go_sendmsg, &message);
}

SHOWN ssize_t sendto(int fd, const void *data, size_t size, int flags, const struct sockaddr *to,
                     socklen_t to_size)
{
    struct message message = {&(struct msghdr){.msg_name = (void *)(uintptr_t)to, .msg_namelen = to_size},
                              flags};
    return pass_bytes("sendto", fd, PIECE(data, size), 1, -1, go_sendmsg, &message);
}

/* One point; its messages are not halved. */
SHOWN int sendmmsg(int fd, struct mmsghdr *heads, unsigned count, int flags)
{
    struct call call = {.kind = CALL_OTHER, .name = "sendmmsg", .fd = fd, .offset = -1};
    return (int)PASS(&call, REAL(sendmmsg)(fd, heads, count, flags));
}

SHOWN ssize_t sendfile(int fd, int from, off_t *offset, size_t size)
{
    struct call call = {.kind = CALL_OTHER, .name = "sendfile", .fd = fd, .offset = -1};
    return PASS(&call, REAL(sendfile)(fd, from, offset, size));
}

SHOWN ssize_t sendfile64(int fd, int from, off64_t *offset, size_t size)
{
    struct call call = {.kind = CALL_OTHER, .name = "sendfile64", .fd = fd, .offset = -1};
    return PASS(&call, REAL(sendfile64)(fd, from, offset, size));
}

/* ---- Files ---- */

SHOWN int fsync(int fd)
{
    struct call call = {.kind = CALL_SYNC, .name = "fsync", .fd = fd};
    return (int)PASS(&call, REAL(fsync)(fd));
}

SHOWN int fdatasync(int fd)
{
    struct call call = {.kind = CALL_SYNC, .name = "fdatasync", .fd = fd};
    return (int)PASS(&call, REAL(fdatasync)(fd));
}

SHOWN int ftruncate(int fd, off_t size)
{
    struct call call = {.kind = CALL_TRUNCATE, .name = "ftruncate", .fd = fd, .size = (size_t)size};
    return (int)PASS(&call, REAL(ftruncate)(fd, size));
}

SHOWN int ftruncate64(int fd, off64_t size)
{
    struct call call = {.kind = CALL_TRUNCATE, .name = "ftruncate64", .fd = fd, .size = (size_t)size};
    return (int)PASS(&call, REAL(ftruncate64)(fd, size));
}

SHOWN int posix_fallocate(int fd, off_t offset, off_t size)
{
    struct call call = {.kind = CALL_OTHER, .name = "posix_fallocate", .fd = fd, .offset = offset};
    return (int)PASS(&call, REAL(posix_fallocate)(fd, offset, size));
}

SHOWN int posix_fallocate64(int fd, off64_t offset, off64_t size)
{
    struct call call = {.kind = CALL_OTHER, .name = "posix_fallocate64", .fd = fd, .offset = offset};
    return (int)PASS(&call, REAL(posix_fallocate64)(fd, offset, size));
}

SHOWN int fallocate(int fd, int mode, off_t offset, off_t size)
{
    struct call call = {.kind = CALL_OTHER, .name = "fallocate", .fd = fd, .offset = offset};
    return (int)PASS(&call, REAL(fallocate)(fd, mode, offset, size));
}

/* ---- Names ---- */

static bool is_there(const char *path)
{
    int saved = errno;
    struct stat info;
    bool there = fstatat(AT_FDCWD, path, &info, AT_SYMLINK_NOFOLLOW) == 0;
    errno = saved;
    return there;
}

#define OPEN(function, path, flags, expression)                                                              \
    __extension__({                                                                                          \
        struct call call_ = {.kind = CALL_OPEN, .name = function, .fd = -1, .path = path};                   \
        int result_of_open_;                                                                                 \
        if ((flags)&O_CREAT) {                                                                               \
            call_.existed = is_there(path);                                                                  \
            call_.size = ((flags)&O_TRUNC) != 0;                                                             \
            result_of_open_ = (int)PASS(&call_, expression);                                                 \
        } else {                                                                                             \
            result_of_open_ = expression;                                                                    \
        }                                                                                                    \
        result_of_open_;                                                                                     \
    })

#define MODE(flags)                                                                                          \
    __extension__({                                                                                          \
        va_list list_;                                                                                       \
        va_start(list_, flags);                                                                              \
        mode_t mode_ = (flags) & (O_CREAT | O_TMPFILE) ? va_arg(list_, mode_t) : 0;                          \
        va_end(list_);                                                                                       \
        mode_;                                                                                               \
    })

SHOWN int open(const char *path, int flags, ...)
{
    mode_t mode = MODE(flags);
    return OPEN("open", path, flags, REAL(open)(path, flags, mode));
}

SHOWN int open64(const char *path, int flags, ...)
{
    mode_t mode = MODE(flags);
    return OPEN("open64", path, flags, REAL(open64)(path, flags, mode));
}

/* Relative to the working directory, or a full path: what is under another directory is only passed on. */
SHOWN int openat(int folder, const char *path, int flags, ...)
{
    mode_t mode = MODE(flags);
    if (folder != AT_FDCWD && path[0] != '/')
        return REAL(openat)(folder, path, flags, mode);
    return OPEN("openat", path, flags, REAL(openat)(folder, path, flags, mode));
}

SHOWN int rename(const char *from, const char *to)
{
    struct call call = {.kind = CALL_RENAME, .name = "rename", .fd = -1, .path = from, .path2 = to};
    return (int)PASS(&call, REAL(rename)(from, to));
}

SHOWN int unlink(const char *path)
{
    struct call call = {.kind = CALL_UNLINK, .name = "unlink", .fd = -1, .path = path};
    return (int)PASS(&call, REAL(unlink)(path));
}

SHOWN int mkdir(const char *path, mode_t mode)
{
    struct call call = {
        .kind = CALL_MKDIR, .name = "mkdir", .fd = -1, .path = path, .existed = is_there(path)};
    return (int)PASS(&call, REAL(mkdir)(path, mode));
}
