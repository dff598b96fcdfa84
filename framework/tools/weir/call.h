/* One call, as the transports of `weir call` see it. */
#ifndef CALL_H
#define CALL_H

#include <stdbool.h>
#include <stdint.h>

#include <weir/method.h>
#include <weir/schema.h>

struct call {
    const struct weir_schema *schema;
    const struct weir_method *method;
    const char *target;
    int64_t deadline_ns;
    bool compact;
    /* The next request's wire bytes, in `request`; false when there is none, or it was bad: then exit_status
     * is set. */
    bool (*next)(struct call *call);
    struct weir_buffer request;
    char **texts; /* JSON from the command line that is left */
    int text_count;
    bool from_stdin;
    int exit_status;
};

/* A reply to stdout. */
void call_print(struct call *call, struct weir_bytes wire);
/* The end of a call that the server, or the way to it, did not let succeed. Returns the exit status. */
int call_failed(enum weir_status status, const char *text);

/* Return the exit status. */
int call_grpc(struct call *call);
int call_rest(struct call *call);

#endif
