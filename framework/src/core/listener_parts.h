/* Shared by the files of listener.h. */
#ifndef WEIR_CORE_LISTENER_PARTS_H
#define WEIR_CORE_LISTENER_PARTS_H

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "core/listener.h"

union listener_address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_un local;
    struct sockaddr_storage storage;
};

/* listener_holder.c: "process 1234 (inventory)", or "another process". */
void listener_describe_holder(int port, char *ret_text, size_t size);

/* listener_inherit.c */
struct listener_inherited {
    int fd;
    enum listener_origin origin;
    char *name;
};
/* Finds one for the name and the address, which then belongs to the caller. */
bool listener_take_inherited(const char *name, const union listener_address *address, socklen_t size,
                             struct listener_inherited *ret_taken);

#endif
