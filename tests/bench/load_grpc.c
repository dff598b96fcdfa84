/* gRPC unary calls on one HTTP/2 connection (RFC 9113), as much of it as a server's answers need. Header
 * blocks are prepared once: what the first call puts into the dynamic table (RFC 7541), later ones refer to.
 */
#include "load.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define IN_MAX (256 * 1024)
#define OUT_MAX (256 * 1024)
#define STREAMS 8192 /* more than are ever open: their state stands at id / 2 modulo this */

enum { DATA = 0, HEADERS = 1, RST_STREAM = 3, SETTINGS = 4, PING = 6, GOAWAY = 7, WINDOW_UPDATE = 8 };
enum { END_STREAM = 1, ACK = 1, END_HEADERS = 4 };

struct bytes {
    uint8_t data[512];
    size_t size;
};

struct http2 {
    struct load *load;
    int fd;
    uint32_t next_id;
    int64_t window;                     /* that the server gave the connection */
    int waiting;                        /* calls that wait for more of it */
    struct bytes first, later, message; /* header blocks, and the message with its five bytes before it */
    uint32_t received[STREAMS];         /* bytes of DATA */
    uint8_t in[IN_MAX], out[OUT_MAX];
    size_t in_size, out_size;
};

/* ---- What is sent ---- */

static void put(struct bytes *bytes, const void *data, size_t size)
{
    memcpy(bytes->data + bytes->size, data, size);
    bytes->size += size;
}

static void put_byte(struct bytes *bytes, unsigned byte)
{
    bytes->data[bytes->size++] = (uint8_t)byte;
}

static void put_text(struct bytes *bytes, const char *text)
{
    put_byte(bytes, (unsigned)strlen(text)); /* under 127, so one byte; not Huffman */
    put(bytes, text, strlen(text));
}

static void prepare(struct http2 *http2)
{
    /* A number is a name of the static table. */
    static const struct {
        unsigned index;
        const char *name, *value;
    } fields[] = {
        {4, NULL, "/weir.bench.v1.NoteService/Take"},
        {1, NULL, "127.0.0.1"},
        {31, NULL, "application/grpc"},
        {0, "te", "trailers"},
        {58, NULL, "bench"},
        {0, "grpc-accept-encoding", "identity"},
    };
    const unsigned count = sizeof fields / sizeof *fields;
    put_byte(&http2->first, 0x83); /* :method POST */
    put_byte(&http2->first, 0x86); /* :scheme http */
    http2->later = http2->first;
    for (unsigned i = 0; i < count; i++) {
        put_byte(&http2->first, 0x40 | fields[i].index); /* literal with incremental indexing */
        if (fields[i].name)
            put_text(&http2->first, fields[i].name);
        put_text(&http2->first, fields[i].value);
        put_byte(&http2->later, 0x80 | (61 + count - i));
    }

    struct bytes *message = &http2->message;
    message->size = 5;
    put_byte(message, 0x0a);
    put_text(message, "note-000000000001");
    put_byte(message, 0x12);
    put_text(message, TEXT_OF_NOTE);
    put(message, "\x18\xb9\x60", 3);
    message->data[4] = (uint8_t)(message->size - 5);
}

static void send_frame(struct http2 *http2, unsigned type, unsigned flags, uint32_t stream, const void *data,
                       size_t size)
{
    if (http2->out_size + 9 + size > OUT_MAX)
        load_die("bench-load: too much to send");
    const uint8_t head[9] = {(uint8_t)(size >> 16),   (uint8_t)(size >> 8),   (uint8_t)size,
                             (uint8_t)type,           (uint8_t)flags,         (uint8_t)(stream >> 24),
                             (uint8_t)(stream >> 16), (uint8_t)(stream >> 8), (uint8_t)stream};
    memcpy(http2->out + http2->out_size, head, 9);
    memcpy(http2->out + http2->out_size + 9, data, size);
    http2->out_size += 9 + size;
}

static void flush(struct http2 *http2)
{
    for (size_t sent = 0; sent < http2->out_size;) {
        ssize_t n = send(http2->fd, http2->out + sent, http2->out_size - sent, MSG_NOSIGNAL);
        if (n <= 0)
            load_die("bench-load: send");
        sent += (size_t)n;
    }
    http2->out_size = 0;
}

static void ask(struct http2 *http2)
{
    if (http2->window < (int64_t)http2->message.size) {
        http2->waiting++;
        return;
    }
    const struct bytes *block = http2->next_id == 1 ? &http2->first : &http2->later;
    http2->received[http2->next_id / 2 % STREAMS] = 0;
    send_frame(http2, HEADERS, END_HEADERS, http2->next_id, block->data, block->size);
    send_frame(http2, DATA, END_STREAM, http2->next_id, http2->message.data, http2->message.size);
    http2->window -= (int64_t)http2->message.size;
    http2->next_id += 2;
}

/* ---- What comes back ---- */

static void ended(struct http2 *http2, uint32_t stream, bool reset)
{
    load_count(http2->load, !reset && http2->received[stream / 2 % STREAMS] == http2->message.size);
    ask(http2);
}

static uint32_t number(const uint8_t *data)
{
    return (uint32_t)data[0] << 24 | (uint32_t)data[1] << 16 | (uint32_t)data[2] << 8 | data[3];
}

static void more_window(struct http2 *http2, uint32_t more)
{
    http2->window += more;
    int waiting = http2->waiting;
    http2->waiting = 0;
    while (waiting-- > 0)
        ask(http2);
}

static void on_frame(struct http2 *http2, const uint8_t *frame, size_t size)
{
    unsigned type = frame[3], flags = frame[4];
    uint32_t stream = number(frame + 5) & 0x7fffffff;
    switch (type) {
    case DATA:
        http2->received[stream / 2 % STREAMS] += (uint32_t)size;
        break;
    case RST_STREAM:
        ended(http2, stream, true);
        return;
    case SETTINGS:
        if (!(flags & ACK))
            send_frame(http2, SETTINGS, ACK, 0, "", 0);
        return;
    case PING:
        if (!(flags & ACK))
            send_frame(http2, PING, ACK, 0, frame + 9, size);
        return;
    case WINDOW_UPDATE:
        if (stream == 0)
            more_window(http2, number(frame + 9) & 0x7fffffff);
        return;
    case GOAWAY:
        errno = ECONNRESET;
        load_die("bench-load: the server goes away");
    default:
        break;
    }
    if ((type == DATA || type == HEADERS) && (flags & END_STREAM))
        ended(http2, stream, false);
}

static void receive(struct http2 *http2)
{
    ssize_t got = recv(http2->fd, http2->in + http2->in_size, IN_MAX - http2->in_size, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0)
        load_die("bench-load: the server closed the connection");
    http2->in_size += (size_t)got;
    size_t at = 0;
    while (http2->in_size - at >= 9) {
        const uint8_t *frame = http2->in + at;
        size_t size = (size_t)frame[0] << 16 | (size_t)frame[1] << 8 | frame[2];
        if (http2->in_size - at < 9 + size)
            break;
        on_frame(http2, frame, size);
        at += 9 + size;
    }
    memmove(http2->in, http2->in + at, http2->in_size - at);
    http2->in_size -= at;
}

void load_grpc(struct load *load)
{
    static const uint8_t settings[] = {0, 2, 0, 0, 0, 0, 0, 4, 0x7f, 0xff, 0xff, 0xff}; /* no push; window */
    static const uint8_t window[] = {0x7f, 0xff, 0, 0};
    struct http2 *http2 = calloc(1, sizeof *http2);
    if (!http2)
        load_die("bench-load");
    *http2 = (struct http2){.load = load, .fd = load_connect(load), .next_id = 1, .window = 65535};
    prepare(http2);
    memcpy(http2->out, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24);
    http2->out_size = 24;
    send_frame(http2, SETTINGS, 0, 0, settings, sizeof settings);
    send_frame(http2, WINDOW_UPDATE, 0, 0, window, sizeof window);
    for (int i = 0; i < load->in_flight; i++)
        ask(http2);
    while (!load->over) {
        flush(http2);
        receive(http2);
        load_tick(load, load_now_ns());
    }
    close(http2->fd);
    free(http2);
}
