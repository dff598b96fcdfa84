/* One call or stream going out by a gRPC client of engines/rpc.h, at the level of bytes, for tests. Every
 * wait is bounded: the test fails where it takes longer. */
#ifndef CALLER_H
#define CALLER_H

#include <pthread.h>
#include <stdbool.h>

#include "call/channel.h"
#include "engines/rpc.h"

#define CALLER_PATIENCE_MS 10000

struct caller {
    struct outgoing outgoing;
    pthread_mutex_t lock; /* all below, until it is done */
    pthread_cond_t changed;
    bool done, sent, got;
    enum weir_status status;
    char text[1024];
    char reply[2048]; /* or the last message, cut */
    size_t reply_size;
    size_t received;
    struct caller_metadata {
        char name[64], value[128];
    } metadata[8]; /* of a unary call's reply */
    size_t metadata_count;
};

/* `request` must live as long as the call. A negative timeout is none. */
void caller_start(struct caller *caller, struct rpc_client *client, const struct weir_method *method,
                  struct weir_bytes request, int64_t timeout_ms);
/* Without a request, and with this idempotency-key. */
void caller_start_with_key(struct caller *caller, struct rpc_client *client, const struct weir_method *method,
                           const char *key);
/* With this idempotency-key; NULL: none. */
enum weir_status caller_call_with_key(struct caller *caller, struct rpc_client *client,
                                      const struct weir_method *method, struct weir_bytes request,
                                      const char *key);
/* NULL when absent. */
const char *caller_metadata(const struct caller *caller, const char *name);
/* Until the call is done; its status. */
enum weir_status caller_end(struct caller *caller);
enum weir_status caller_call(struct caller *caller, struct rpc_client *client,
                             const struct weir_method *method, struct weir_bytes request);

/* Streams: blocks until the message was sent, or one came, or the stream is done. */
void caller_send(struct caller *caller, const char *message);
void caller_read(struct caller *caller);

/* A client that is up. Caller owns the result. */
struct rpc_client *caller_new_client(int port);

#endif
