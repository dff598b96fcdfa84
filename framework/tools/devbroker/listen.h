/* librdkafka's mock cluster listens on a port that the kernel chooses, and has no setting for it. The
 * executable's own bind() and getsockname() are found before libc's, so the address can be decided here. */
#ifndef DEVBROKER_LISTEN_H
#define DEVBROKER_LISTEN_H

#include <netinet/in.h>

#include <weir/error.h>

/* "HOST:PORT", an IPv4 address and a port from 0 to 65535. */
enum weir_status listen_parse(const char *text, struct sockaddr_in *ret_address, struct weir_error *err);

/* Fails, with the address in its text, when nobody could listen there now. */
enum weir_status listen_probe(const struct sockaddr_in *address, struct weir_error *err);

/* From now until listen_release() a bind() to a loopback port of the kernel's choice goes to `address`
 * instead, and `advertised` is what getsockname() says of that socket: what clients are told to connect to.
 * Its port 0 means the port that was bound. One thread. Borrows. */
void listen_capture(const struct sockaddr_in *address, const struct sockaddr_in *advertised);
void listen_release(void);

#endif
