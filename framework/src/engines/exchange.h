/* An exchange is one HTTP request and its answer, whatever carries it: libmicrohttpd now, weir's own engine
 * later. REST's routing and transcoding, and the admin listener, are written against this and nothing else.
 *
 * Everything of one exchange happens on its loop's thread, except what says "Any thread". Order of the user's
 * callbacks: head, body*, end, then gone; `gone` is the last one, always comes, and comes early when the
 * client left. */
#ifndef WEIR_ENGINES_EXCHANGE_H
#define WEIR_ENGINES_EXCHANGE_H

#include <stdbool.h>
#include <stdint.h>

#include <weir/bytes.h>
#include <weir/component.h>
#include <weir/error.h>

struct exchange;
struct http_engine;

struct http_header {
    struct weir_bytes name; /* as sent; compare without case */
    struct weir_bytes value;
};

/* Borrowed from the exchange until `gone`. */
struct http_head {
    struct weir_bytes method; /* "GET" */
    struct weir_bytes target; /* raw, as on the wire: "/v1/a%2Fb?c=d" */
    struct weir_bytes path;   /* raw, without the query */
    struct weir_bytes query;  /* raw, without the "?"; empty */
    const struct http_header *headers;
    size_t header_count;
    int64_t content_length; /* -1: unknown (chunked) or none */
    bool has_body;
    bool http_1_0;
};

struct http_user_ops {
    /* The head is complete and valid. May answer at once (a rejection), ask for the body by returning, or set
     * exchange_user(). */
    void (*head)(struct exchange *exchange, const struct http_head *head);
    /* A piece of the body, valid during the call. Not called after an answer was begun. */
    void (*body)(struct exchange *exchange, struct weir_bytes piece);
    /* The request is complete: answer now, or later from any thread. */
    void (*end)(struct exchange *exchange);
    /* Optional. Most likely nobody listens any more, but an answer is still sent where that is possible. (A
     * client that is certainly gone is told by `gone`; one that closed only its sending side waits for its
     * answer.) */
    void (*left)(struct exchange *exchange);
    /* Optional. The time of exchange_set_deadline() has come, and there is no answer yet. */
    void (*expired)(struct exchange *exchange);
    /* The exchange is over: answered and sent, or not (`complete` is false). Who answers later needs
     * exchange_hold(). Comes for every exchange whose `head` was called. */
    void (*gone)(struct exchange *exchange, bool complete);
};

struct http_answer {
    int status;
    const struct http_header *headers; /* copied. Content-Length, Date and Connection are the engine's */
    size_t header_count;
    struct weir_bytes body;       /* copied, unless body_free is set */
    void (*body_free)(void *arg); /* the engine calls it when it needs the body no more */
    void *body_free_arg;
    bool close; /* end the connection after it */
};

/* The whole answer. Any thread. The first one counts: false, and nothing happened (body_free was called), for
 * a second one and for one after `gone` (which needs exchange_hold()). */
bool exchange_answer(struct exchange *exchange, const struct http_answer *answer);

/* Asks for `expired` at this time, in place of the time asked for before; WEIR_NEVER: not at all. On the
 * loop's thread. */
void exchange_set_deadline(struct exchange *exchange, int64_t deadline_ns);

/* The engine keeps `exchange` valid (not its head) until exchange_drop(), for those who answer from another
 * thread. Any thread. */
void exchange_hold(struct exchange *exchange);
void exchange_drop(struct exchange *exchange);

void exchange_set_user(struct exchange *exchange, void *user);
void *exchange_user(const struct exchange *exchange);
/* What http_engine_new() was given. */
void *exchange_server(const struct exchange *exchange);
/* First header of this name, without case; {NULL, 0} when absent. On the loop's thread. */
struct weir_bytes exchange_header(const struct exchange *exchange, const char *name);

struct http_engine_options {
    const char *listen; /* see core/listener.h */
    const char *name;   /* the listener's; NULL: "http" */
    int64_t threads, connections_max, head_bytes_max, body_bytes_max;
    int64_t head_timeout_ms, body_timeout_ms, idle_timeout_ms;
};

/* The engine's refusals (400, 408, 413, 414, 431, 501, 503, 505) carry the body that `problem` writes for a
 * status and a text. */
typedef void http_problem_fn(int status, const char *text, struct weir_buffer *ret_body);

/* Borrows ops, server and problem; copies options. */
struct http_engine *http_engine_new(const struct http_engine_options *options,
                                    const struct http_user_ops *ops, http_problem_fn *problem, void *server);
/* Listens and serves; a taken port is an error that names it. */
enum weir_status http_engine_start(struct http_engine *engine, struct weir_error *err);
int http_engine_port(const struct http_engine *engine); /* 0 for a unix socket */
/* The announcement: from now on every answer closes its connection. */
void http_engine_announce(struct http_engine *engine);
/* Stops accepting without losing a connection that the kernel has queued, as docs/rest.md says. Blocks
 * shortly (one round trip on the listening socket), not at all without connections. */
enum weir_status http_engine_quiesce(struct http_engine *engine, struct weir_error *err);
/* Until no connection is open, or the context is over. Connections without a request are closed after a grace
 * of a second, in which their clients may still send one. True when nothing is open any more. */
bool http_engine_drain(struct http_engine *engine, struct weir_context *context);
/* Tells every exchange that waits for its answer that nobody wants it any more: `left`. */
void http_engine_cancel(struct http_engine *engine);
/* Answers what has no answer yet with 503, closes everything. Takes a tenth of a second, three at most.
 * Afterwards no callback runs any more, and every exchange is gone. */
void http_engine_cut(struct http_engine *engine);
int64_t http_engine_connections(const struct http_engine *engine);
void http_engine_destroy(struct http_engine *engine);

#endif
