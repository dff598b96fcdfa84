/* The records that the service and its clients write, one for each thing that happened; check.py compares
 * them. In the machine's byte order: they are read on the machine that wrote them. */
#ifndef TORTURE_NOTES_H
#define TORTURE_NOTES_H

#include <stdint.h>

/* An id says who asked: protocol, client, and the client's own count. */
enum protocol { OF_REST = 1, OF_UNARY = 2, OF_MESSAGE = 3, OF_RECORD = 4, OF_STREAM = 5 };
#define NOTE_ID(protocol, client, count)                                                                     \
    ((uint64_t)(protocol) << 56 | (uint64_t)(client) << 32 | (uint64_t)(count))

/* The service's journal: written before the answer is given. */
enum did {
    DID_BEGIN = 1,
    DID_SERVE = 2, /* all that the call promised is durable */
    DID_FAIL = 3,
};
struct journal_note {
    uint64_t id;
    uint32_t did;
    uint32_t store; /* enum Store */
};

/* The clients' account. */
enum became {
    BECAME_ANSWERED = 1,
    BECAME_ERROR = 2,     /* `detail` is the status: of HTTP, or of gRPC */
    BECAME_REFUSED = 3,   /* said, by the protocol's own means, before it was looked at */
    BECAME_BROKEN = 4,    /* sent, and nothing came */
    BECAME_ENDED = 5,     /* a message: its stream ended in an orderly way before it was answered */
    BECAME_UNREAD = 6,    /* by a client that never reads */
    BECAME_RECORD = 7,    /* a record was produced: `where` is its partition, `detail` its offset */
    BECAME_COMMITTED = 8, /* of a partition, after the stop: `detail` is what stands at the broker */
    BECAME_EVENT = 9,     /* an event of the service is at the broker */
};
struct account_note {
    uint64_t id;
    int64_t detail;
    uint32_t became;
    int32_t where; /* of a message: its stream */
};

#endif
