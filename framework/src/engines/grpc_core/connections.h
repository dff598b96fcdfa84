/* Which of the sockets that the core was given it still has. The core says nothing of a connection's end; but
 * it closes the descriptor then, and a descriptor that is open and of the same inode is the same socket. So
 * nothing is held, watched or duplicated for it: who wants to know looks. Any thread. */
#ifndef WEIR_ENGINES_GRPC_CORE_CONNECTIONS_H
#define WEIR_ENGINES_GRPC_CORE_CONNECTIONS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct connections {
    pthread_mutex_t lock; /* all below */
    uint64_t *by_fd;      /* the socket's inode; 0: none */
    size_t size;          /* of by_fd */
    size_t first;         /* below it is none */
    size_t count;         /* at most so many */
};

void connections_init(struct connections *connections);
void connections_clean_up(struct connections *connections);

/* Before the core has it. */
void connections_add(struct connections *connections, int fd);
/* How many, at most; some of them may be closed already. Looks at no socket. */
size_t connections_at_most(struct connections *connections);
size_t connections_count(struct connections *connections);
/* As connections_count() == 0, but seldom looks at more than one socket. */
bool connections_are_gone(struct connections *connections);

#endif
