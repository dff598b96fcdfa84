#include "raw_http2.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "raw_client.h"

#define WAIT_MS 5000
#define HEAD_SIZE 9
#define END_STREAM 1
#define END_HEADERS 4
#define ACK 1

const char http2_hello[] = HTTP2_PREFACE "\0\0\0\4\0\0\0\0\0";

static size_t put_frame(uint8_t *at, uint8_t type, uint8_t flags, uint8_t stream, const void *payload,
                        size_t size)
{
    const uint8_t head[HEAD_SIZE] = {0, (uint8_t)(size >> 8), (uint8_t)size, type, flags, 0, 0, 0, stream};
    memcpy(at, head, sizeof head);
    if (size > 0)
        memcpy(at + sizeof head, payload, size);
    return sizeof head + size;
}

/* RFC 7541, 6.2.2: a literal without indexing and without Huffman; a name of the static table, or a new one. */
static size_t put_field(uint8_t *at, uint8_t index, const char *name, const char *value)
{
    size_t size = 0;
    at[size++] = index;
    if (index == 0) {
        at[size++] = (uint8_t)strlen(name);
        memcpy(at + size, name, strlen(name));
        size += strlen(name);
    }
    at[size++] = (uint8_t)strlen(value);
    memcpy(at + size, value, strlen(value));
    return size + strlen(value);
}

bool http2_ask(int fd, const char *path, const char *message)
{
    enum { METHOD_POST = 0x83, SCHEME_HTTP = 0x86, AUTHORITY = 1, PATH = 4 };
    uint8_t fields[512] = {METHOD_POST, SCHEME_HTTP}, data[512] = {0}, all[1200];
    size_t size = 2, length = strlen(message);
    size += put_field(fields + size, AUTHORITY, NULL, "h");
    size += put_field(fields + size, PATH, NULL, path);
    size += put_field(fields + size, 0, "content-type", "application/grpc");
    size += put_field(fields + size, 0, "te", "trailers");
    data[4] = (uint8_t)length;
    memcpy(data + 5, message, length);

    memcpy(all, http2_hello, HTTP2_HELLO_SIZE);
    size_t used = HTTP2_HELLO_SIZE;
    used += put_frame(all + used, HTTP2_HEADERS, END_HEADERS, 1, fields, size);
    used += put_frame(all + used, HTTP2_DATA, END_STREAM, 1, data, 5 + length);
    return raw_send_bytes(fd, all, used);
}

static bool read_all(int fd, uint8_t *at, size_t size)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    while (size > 0) {
        ssize_t got = poll(&wait, 1, WAIT_MS) == 1 ? recv(fd, at, size, 0) : -1;
        if (got <= 0)
            return false;
        at += got;
        size -= (size_t)got;
    }
    return true;
}

static bool read_frame(int fd, struct http2_frame *frame)
{
    uint8_t head[HEAD_SIZE];
    if (!read_all(fd, head, sizeof head))
        return false;
    frame->size = (size_t)head[0] << 16 | (size_t)head[1] << 8 | head[2];
    frame->type = head[3];
    frame->flags = head[4];
    frame->stream =
        (uint32_t)(head[5] & 0x7f) << 24 | (uint32_t)head[6] << 16 | (uint32_t)head[7] << 8 | head[8];
    return frame->size <= sizeof frame->payload && read_all(fd, frame->payload, frame->size);
}

void http2_read(int fd, struct http2_frame *ret_frame)
{
    for (;;) {
        if (!read_frame(fd, ret_frame)) {
            ret_frame->type = -1;
            return;
        }
        bool is_asked = ret_frame->type == HTTP2_SETTINGS || ret_frame->type == HTTP2_PING;
        if (!is_asked)
            return;
        if (ret_frame->flags & ACK)
            continue;
        uint8_t answer[HEAD_SIZE + 8];
        size_t size = ret_frame->type == HTTP2_PING ? 8 : 0;
        size = put_frame(answer, (uint8_t)ret_frame->type, ACK, 0, ret_frame->payload, size);
        raw_send_bytes(fd, answer, size);
        if (ret_frame->type == HTTP2_SETTINGS)
            return;
    }
}

static int status_in(const struct http2_frame *trailers)
{
    static const char name[] = "grpc-status";
    const uint8_t *found = memmem(trailers->payload, trailers->size, name, sizeof name - 1);
    if (!found || found + sizeof name >= trailers->payload + trailers->size)
        return -1;
    const uint8_t *value = found + sizeof name - 1;
    char digits[3] = {(char)value[1], value[0] == 2 ? (char)value[2] : 0, 0};
    return atoi(digits);
}

int http2_answer(int fd)
{
    static _Thread_local struct http2_frame frame;
    do
        http2_read(fd, &frame);
    while (frame.type >= 0 && !(frame.type == HTTP2_HEADERS && frame.flags & END_STREAM));
    return frame.type < 0 ? -1 : status_in(&frame);
}
