/* A client that speaks just enough HTTP/2 (RFC 9113) for one gRPC call, and only when a test says so. Every wait
 * is bounded. */
#ifndef RAW_HTTP2_H
#define RAW_HTTP2_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HTTP2_DATA, HTTP2_HEADERS, HTTP2_SETTINGS = 4, HTTP2_PING = 6, HTTP2_GOAWAY = 7 };

struct http2_frame {
    int type; /* -1: closed, or nothing in time */
    uint8_t flags;
    uint32_t stream;
    size_t size;
    uint8_t payload[16384];
};

/* Preface and an empty SETTINGS. */
#define HTTP2_PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#define HTTP2_HELLO_SIZE 33
extern const char http2_hello[];

/* Hello, and a unary call with these bytes as its message. False when the connection was closed. */
bool http2_ask(int fd, const char *path, const char *message);
/* The next frame. SETTINGS and PING are acknowledged; pings and acknowledgements are not shown. */
void http2_read(int fd, struct http2_frame *ret_frame);
/* Reads until the call's end: its grpc-status; -1 when the connection ends, or nothing comes, before. */
int http2_answer(int fd);

#endif
