/* What the server and the client share. Only this folder knows gRPC's headers. */
#ifndef WEIR_ENGINES_GRPC_CORE_H
#define WEIR_ENGINES_GRPC_CORE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpc/slice.h>

#include <weir/bytes.h>
#include <weir/status.h>

#include "engines/grpc_core/link.h"

/* The library is up between these two. Each engine object holds it once. */
void core_acquire(void);
void core_release(void);

/* What a queue delivers: embedded in what it is about, and told to `run` on the thread that polls. */
struct event {
    void (*run)(struct event *event, bool ok);
};

/* A batch that the core must accept: anything else is a defect of ours and ends the process. */
void core_start(grpc_call *call, const grpc_op *ops, size_t count, struct event *event);

/* Tells every client to send new calls elsewhere; what it had sent by then is still served, and its connection
 * closed when that has ended. False where this library cannot. */
bool core_send_goaways(grpc_server *server);

/* ---- Bytes ---- */

grpc_slice core_slice(struct weir_bytes bytes); /* a copy */
static inline struct weir_bytes core_bytes(const grpc_slice *slice)
{
    return weir_bytes(GRPC_SLICE_START_PTR(*slice), GRPC_SLICE_LENGTH(*slice));
}

/* A message as one piece. `*ret_slice` owns it: unref it. A NULL buffer is an empty message. */
struct weir_bytes core_message(grpc_byte_buffer *buffer, grpc_slice *ret_slice);

/* A buffer that holds nothing yet; core_buffer_set takes the slice. */
void core_buffer_init(grpc_byte_buffer *buffer);
void core_buffer_set(grpc_byte_buffer *buffer, grpc_slice slice);
void core_buffer_clear(grpc_byte_buffer *buffer);

/* ---- Time and status ---- */

gpr_timespec core_time_of(int64_t deadline_ns);
int64_t core_time_to_ns(gpr_timespec time);

static inline enum weir_status core_status(grpc_status_code code)
{
    return code <= GRPC_STATUS_UNAUTHENTICATED ? (enum weir_status)code : WEIR_UNKNOWN;
}

/* ---- Channel arguments ---- */

#define CORE_ARGS_MAX 24

struct core_args {
    grpc_arg list[CORE_ARGS_MAX];
    size_t count;
};
void core_args_add(struct core_args *args, const char *key, int64_t value); /* more than INT_MAX is INT_MAX */

#endif
