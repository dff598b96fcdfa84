/* A client that says exactly what a test wants on a socket, and reads whole HTTP/1.1 answers. Every wait is
 * bounded. */
#ifndef RAW_CLIENT_H
#define RAW_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

#include <weir/bytes.h>

struct raw_answer {
    int status; /* 0: closed before an answer; -1: nothing came in time; -2: not HTTP */
    char head[4096];
    char body[65536];
    size_t body_size;
};

/* The descriptor; -1 when it is refused. */
int raw_connect(int port);
int raw_connect_unix(const char *path);
/* False when the connection was closed. */
bool raw_send(int fd, const char *text);
bool raw_send_bytes(int fd, const void *data, size_t size);
/* Reads one answer; what follows it stays in the socket. `head_only`: of a HEAD request. */
struct raw_answer *raw_read(int fd, bool head_only);
/* Connects, sends, reads one answer, closes. */
struct raw_answer *raw_ask(int port, const char *request);
/* True once the peer has closed (or reset), within 5 s; what comes before that is thrown away. */
bool raw_closed(int fd);
/* The value of a header of the answer, without case; NULL when absent. Valid until the next call. */
const char *raw_header(const struct raw_answer *answer, const char *name);

#endif
