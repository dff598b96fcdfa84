/* Linked into a service of its own, this takes the place of a library's functions and does one thing wrong, as TORTURE_SABOTAGE
 * says: the checker must notice each. */
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <librdkafka/rdkafka.h>
#include <microhttpd.h>

#define ONE_OF 200

static bool sabotages(const char *what)
{
    const char *wanted = getenv("TORTURE_SABOTAGE");
    return wanted && strcmp(wanted, what) == 0;
}

/* The function of the library, which ours hides. ISO C casts no pointer to data to one of a function. */
#define REAL(name, pointer)                                                                                  \
    __typeof__(&(name)) pointer;                                                                             \
    void *symbol = dlsym(RTLD_NEXT, #name);                                                                  \
    memcpy(&(pointer), &symbol, sizeof symbol)

/* An answer that is dropped: its connection closes without it. */
enum MHD_Result MHD_queue_response(struct MHD_Connection *connection, unsigned status,
                                   struct MHD_Response *response)
{
    static atomic_int count;
    if (sabotages("drop_answer") && atomic_fetch_add(&count, 1) % ONE_OF == ONE_OF - 1)
        return MHD_NO;
    REAL(MHD_queue_response, real);
    return real(connection, status, response);
}

/* A listening socket that is closed as it is: without the filter that keeps new handshakes away, and without accepting what is
 * queued. */
static atomic_bool closes;

int setsockopt(int fd, int level, int name, const void *value, socklen_t size)
{
    if (sabotages("no_filter") && level == SOL_SOCKET && name == SO_ATTACH_FILTER) {
        atomic_store(&closes, true);
        return 0;
    }
    REAL(setsockopt, real);
    return real(fd, level, name, value, size);
}

/* Under a name of its own in C, because libc's declaration takes unions of pointers. */
int accept_or_not(int fd, struct sockaddr *address, socklen_t *size, int flags) __asm__("accept4");

int accept_or_not(int fd, struct sockaddr *address, socklen_t *size, int flags)
{
    int (*real)(int, struct sockaddr *, socklen_t *, int);
    void *symbol = dlsym(RTLD_NEXT, "accept4");
    memcpy(&real, &symbol, sizeof symbol);
    if (!atomic_load(&closes))
        return real(fd, address, size, flags);
    errno = EAGAIN;
    return -1;
}

/* An offset too many. */
static void commit_ahead(const rd_kafka_topic_partition_list_t *offsets)
{
    for (int i = 0; offsets && i < offsets->cnt && sabotages("commit_ahead"); i++)
        offsets->elems[i].offset++;
}

rd_kafka_resp_err_t rd_kafka_commit(rd_kafka_t *client, const rd_kafka_topic_partition_list_t *offsets,
                                    int async)
{
    commit_ahead(offsets);
    REAL(rd_kafka_commit, real);
    return real(client, offsets, async);
}

rd_kafka_resp_err_t rd_kafka_commit_queue(
    rd_kafka_t *client, const rd_kafka_topic_partition_list_t *offsets, rd_kafka_queue_t *queue,
    void (*done)(rd_kafka_t *, rd_kafka_resp_err_t, rd_kafka_topic_partition_list_t *, void *), void *opaque)
{
    commit_ahead(offsets);
    REAL(rd_kafka_commit_queue, real);
    return real(client, offsets, queue, done, opaque);
}
