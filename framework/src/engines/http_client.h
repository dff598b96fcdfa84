/* HTTP requests to one server, many at once, over connections that are kept: what the REST channel is written
 * against. */
#ifndef WEIR_ENGINES_HTTP_CLIENT_H
#define WEIR_ENGINES_HTTP_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include <weir/bytes.h>
#include <weir/error.h>

struct http_client;

struct http_result {
    enum weir_status status; /* OK: an answer came, whatever it says; else why there is none, and `text` */
    const char *text;
    int http_status;
    struct weir_bytes body; /* valid during `done` */
};

/* One request; the caller's memory until `done` returned. Zero it first. */
struct http_request {
    const char *verb;
    const char *target;         /* path and query, encoded */
    const char *const *headers; /* "name: value", NULL at the end */
    size_t header_count;
    struct weir_bytes body;
    bool has_body;
    int64_t deadline_ns;
    /* Exactly once, on the client's thread; must not block. */
    void (*done)(struct http_request *request, const struct http_result *result);
    /* Optional. Each header of the answer, right before `done`; the name as it was sent. */
    void (*header)(struct http_request *request, const char *name, const char *value);

    struct http_transfer *transfer; /* the client's */
};

struct http_client_options {
    const char *target;         /* "HOST:PORT" or "unix:PATH" */
    int64_t connect_backoff_ms; /* a connection that is refused is tried again after 10 ms, 20 ms ... this,
                                   until the deadline */
    int64_t answer_bytes_max;
};

/* Copies options. */
struct http_client *http_client_new(const struct http_client_options *options);
enum weir_status http_client_start(struct http_client *client, struct weir_error *err);
/* From here on it may be cancelled. Any thread, as the next three. */
void http_client_prepare(struct http_client *client, struct http_request *request);
void http_client_send(struct http_client *client, struct http_request *request);
/* `done` comes with CANCELLED, unless it is under way already; where the request is not sent yet, as soon as
 * it is. Until `done` returned. */
void http_client_cancel(struct http_client *client, struct http_request *request);
void http_client_cancel_all(struct http_client *client);
/* Ends what is under way with CANCELLED, joins the thread. NULL is fine. */
void http_client_destroy(struct http_client *client);

#endif
