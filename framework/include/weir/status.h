/* The result of everything that can fail, numbered as gRPC's status codes. Any thread. */
#ifndef WEIR_STATUS_H
#define WEIR_STATUS_H

#include <stdbool.h>

#include <weir/export.h>

enum weir_status {
    WEIR_OK = 0,
    WEIR_CANCELLED = 1,        /* the caller went away, or the drain's time was over */
    WEIR_UNKNOWN = 2,          /* an error from outside that says nothing of itself */
    WEIR_INVALID_ARGUMENT = 3, /* wrong whatever the state is */
    WEIR_DEADLINE_EXCEEDED = 4,
    WEIR_NOT_FOUND = 5,
    WEIR_ALREADY_EXISTS = 6,
    WEIR_PERMISSION_DENIED = 7,
    WEIR_RESOURCE_EXHAUSTED = 8,  /* a limit or a full queue */
    WEIR_FAILED_PRECONDITION = 9, /* right, but not in this state; do not retry as it is */
    WEIR_ABORTED = 10,            /* lost a race; retry the whole operation */
    WEIR_OUT_OF_RANGE = 11,
    WEIR_UNIMPLEMENTED = 12,
    WEIR_INTERNAL = 13,    /* a defect of the program */
    WEIR_UNAVAILABLE = 14, /* retry later, the same request */
    WEIR_DATA_LOSS = 15,
    WEIR_UNAUTHENTICATED = 16,

    /* Only between a handler and weir, never on a wire: the answer comes later. */
    WEIR_PENDING = 100,
};

/* "NOT_FOUND"; "STATUS_42" does not exist: an unknown number is "UNKNOWN". Static. */
WEIR_API const char *weir_status_name(enum weir_status status);

/* The inverse; false when there is no such name. */
WEIR_API bool weir_status_parse(const char *name, enum weir_status *ret_status);

/* The HTTP status of an answer with this status (google.rpc.Code's mapping, but for
 * FAILED_PRECONDITION, which is 409): 200, 404, 503... */
WEIR_API int weir_status_to_http(enum weir_status status);

/* What an HTTP answer without a body of ours means, as gRPC's http-grpc-status-mapping has it,
 * completed for 2xx, 409, 412, 413, 416, 422, 499. */
WEIR_API enum weir_status weir_status_from_http(int http_status);

/* The same request, sent again later, may succeed: UNAVAILABLE, ABORTED, RESOURCE_EXHAUSTED,
 * DEADLINE_EXCEEDED, CANCELLED, UNKNOWN. */
WEIR_API bool weir_status_is_transient(enum weir_status status);

#endif
