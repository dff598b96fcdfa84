#include "engines/grpc_core/connections.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/memory.h"

#define SIZE_LEAST 64

static uint64_t inode_of(int fd)
{
    struct stat about;
    return fstat(fd, &about) == 0 && S_ISSOCK(about.st_mode) ? (uint64_t)about.st_ino : 0;
}

void connections_init(struct connections *connections)
{
    *connections = (struct connections){.by_fd = NULL};
    pthread_mutex_init(&connections->lock, NULL);
}

void connections_clean_up(struct connections *connections)
{
    free(connections->by_fd);
    pthread_mutex_destroy(&connections->lock);
}

static void grow(struct connections *connections, size_t least)
{
    size_t size = connections->size ? connections->size : SIZE_LEAST;
    while (size < least)
        size *= 2;
    connections->by_fd = memory_realloc(connections->by_fd, size * sizeof *connections->by_fd);
    memset(connections->by_fd + connections->size, 0,
           (size - connections->size) * sizeof *connections->by_fd);
    connections->size = size;
}

void connections_add(struct connections *connections, int fd)
{
    size_t at = (size_t)fd;
    uint64_t inode = inode_of(fd);
    if (inode == 0)
        return;
    pthread_mutex_lock(&connections->lock);
    if (at >= connections->size)
        grow(connections, at + 1);
    connections->count += connections->by_fd[at] == 0; /* what stood there is closed, or fd were not free */
    connections->by_fd[at] = inode;
    if (at < connections->first)
        connections->first = at;
    pthread_mutex_unlock(&connections->lock);
}

size_t connections_at_most(struct connections *connections)
{
    pthread_mutex_lock(&connections->lock);
    size_t count = connections->count;
    pthread_mutex_unlock(&connections->lock);
    return count;
}

/* Holds: lock. */
static bool is_open(struct connections *connections, size_t at)
{
    if (connections->by_fd[at] == 0)
        return false;
    if (inode_of((int)at) == connections->by_fd[at])
        return true;
    connections->by_fd[at] = 0;
    connections->count--;
    return false;
}

size_t connections_count(struct connections *connections)
{
    pthread_mutex_lock(&connections->lock);
    size_t count = 0;
    for (size_t at = connections->first; at < connections->size; at++)
        count += is_open(connections, at);
    pthread_mutex_unlock(&connections->lock);
    return count;
}

bool connections_are_gone(struct connections *connections)
{
    pthread_mutex_lock(&connections->lock);
    while (connections->first < connections->size && !is_open(connections, connections->first))
        connections->first++;
    bool gone = connections->first == connections->size;
    pthread_mutex_unlock(&connections->lock);
    return gone;
}
