/* gRPC on HTTP/2 (RFC 9113): as much of it as is needed to know, of every call, what the server's frames said. Two connections
 * with unary calls, one with streams, one whose client never reads. Header blocks use no dynamic table in either
 * direction (RFC 7541), and the server's are searched for grpc-status only. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "load.h"

#define IN_MAX (64 << 10)
#define OUT_MAX (256 << 10)
#define SLOTS_MAX 128
#define DEPTH 4 /* messages of a stream that wait for their answer */
#define REPLY_MAX 512
#define UNREAD_BYTES (512 << 10)

enum { DATA = 0, HEADERS = 1, RST_STREAM = 3, SETTINGS = 4, PING = 6, GOAWAY = 7, WINDOW_UPDATE = 8 };
enum { END_STREAM = 1, ACK = 1, END_HEADERS = 4 };
enum { SETTING_TABLE_SIZE = 1, SETTING_PUSH = 2, SETTING_WINDOW = 4 };
enum { REFUSED_STREAM = 7 };

struct bytes {
    uint8_t data[512];
    size_t size;
};

/* A call that is open. */
struct slot {
    uint32_t stream; /* 0: free */
    bool talks, abrupt;
    bool ended;     /* we have sent our last */
    uint64_t id;    /* of the call */
    int32_t number; /* of a stream */
    int64_t window;
    uint64_t waiting[DEPTH]; /* messages, oldest first */
    int waiting_count;
    uint8_t reply[REPLY_MAX];
    size_t reply_size;
};

struct h2 {
    struct watched watched; /* first */
    struct load *load;
    bool connecting, going_away, unread;
    bool talks;
    int most; /* calls at once */
    int open;
    uint32_t number, next_id;
    int64_t window, stream_window; /* what the server lets us send */
    struct slot slots[SLOTS_MAX];
    uint8_t in[IN_MAX], out[OUT_MAX];
    size_t in_size, out_size;
};

#define CONNECTIONS 4
static struct h2 connections[CONNECTIONS];
static uint32_t count_of_unary, count_of_messages;
static int32_t count_of_streams;

static void connect_again(struct h2 *h2);

/* ---- What is sent ---- */

static void put(struct bytes *bytes, const void *data, size_t size)
{
    memcpy(bytes->data + bytes->size, data, size);
    bytes->size += size;
}

static void put_field(struct bytes *bytes, const char *name, const char *value)
{
    uint8_t lengths[] = {0x00, (uint8_t)strlen(name),
                         (uint8_t)strlen(value)}; /* never indexed, not Huffman */
    put(bytes, lengths, 2);
    put(bytes, name, lengths[1]);
    put(bytes, lengths + 2, 1);
    put(bytes, value, lengths[2]);
}

static void put_varint(struct bytes *bytes, uint8_t tag, uint64_t value)
{
    put(bytes, &tag, 1);
    for (; value > 127; value >>= 7)
        bytes->data[bytes->size++] = (uint8_t)(value | 0x80);
    bytes->data[bytes->size++] = (uint8_t)value;
}

static void send_frame(struct h2 *h2, unsigned type, unsigned flags, uint32_t stream, const void *data,
                       size_t size)
{
    if (h2->out_size + 9 + size > OUT_MAX) {
        fprintf(stderr, "torture-load: the service does not read\n");
        exit(1);
    }
    const uint8_t head[9] = {(uint8_t)(size >> 16),   (uint8_t)(size >> 8),   (uint8_t)size,
                             (uint8_t)type,           (uint8_t)flags,         (uint8_t)(stream >> 24),
                             (uint8_t)(stream >> 16), (uint8_t)(stream >> 8), (uint8_t)stream};
    memcpy(h2->out + h2->out_size, head, 9);
    memcpy(h2->out + h2->out_size + 9, data, size);
    h2->out_size += 9 + size;
}

static void flush(struct h2 *h2)
{
    while (h2->out_size > 0 && h2->watched.fd >= 0) {
        ssize_t sent = send(h2->watched.fd, h2->out, h2->out_size, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent <= 0)
            break; /* full: the next EPOLLOUT; closed: reading tells */
        memmove(h2->out, h2->out + sent, h2->out_size - (size_t)sent);
        h2->out_size -= (size_t)sent;
    }
    if (h2->watched.fd >= 0)
        load_watch(h2->load, &h2->watched,
                   (h2->unread ? 0 : EPOLLIN) | (h2->out_size > 0 ? (uint32_t)EPOLLOUT : 0));
}

/* A WorkRequest behind its five bytes. */
static void make_message(struct bytes *message, uint64_t id, const struct wish *wish, bool abrupt,
                         int padding)
{
    message->size = 5;
    put_varint(message, 0x10, id);
    if (wish->sleep_ms)
        put_varint(message, 0x18, (uint64_t)wish->sleep_ms);
    if (wish->deaf)
        put_varint(message, 0x20, 1);
    if (wish->store)
        put_varint(message, 0x28, (uint64_t)wish->store);
    if (padding)
        put_varint(message, 0x30, (uint64_t)padding);
    if (abrupt)
        put_varint(message, 0x38, 1);
    memset(message->data, 0, 4);
    message->data[4] = (uint8_t)(message->size - 5);
}

static bool send_message(struct h2 *h2, struct slot *slot, const struct bytes *message, bool last)
{
    int64_t size = (int64_t)message->size;
    if (h2->window < size || slot->window < size)
        return false;
    h2->window -= size;
    slot->window -= size;
    send_frame(h2, DATA, last ? END_STREAM : 0, slot->stream, message->data, message->size);
    return true;
}

static void send_head(struct h2 *h2, const struct slot *slot, const char *method)
{
    struct bytes block = {.size = 0};
    put(&block, "\x83\x86", 2); /* :method POST, :scheme http */
    char path[64];
    snprintf(path, sizeof path, "/weir.torture.v1.TortureService/%s", method);
    put_field(&block, ":path", path);
    put_field(&block, ":authority", "127.0.0.1");
    put_field(&block, "content-type", "application/grpc");
    put_field(&block, "te", "trailers");
    send_frame(h2, HEADERS, END_HEADERS, slot->stream, block.data, block.size);
}

/* ---- Calls ---- */

static struct slot *free_slot(struct h2 *h2)
{
    for (int i = 0; i < h2->most; i++)
        if (h2->slots[i].stream == 0)
            return &h2->slots[i];
    return NULL;
}

static struct slot *take_slot(struct h2 *h2)
{
    struct slot *slot = free_slot(h2);
    *slot = (struct slot){.stream = h2->next_id, .window = h2->stream_window};
    h2->next_id += 2;
    h2->open++;
    return slot;
}

static void talk_on(struct h2 *h2, struct slot *slot)
{
    while (!slot->ended && slot->waiting_count < DEPTH) {
        struct bytes message;
        struct wish wish = {0};
        uint64_t id = NOTE_ID(OF_MESSAGE, h2->number, count_of_messages + 1);
        make_message(&message, id, &wish, slot->abrupt, h2->unread ? UNREAD_BYTES : 0);
        if (!send_message(h2, slot, &message, false))
            return;
        count_of_messages++;
        slot->waiting[slot->waiting_count++] = id;
    }
}

static void begin_stream(struct h2 *h2)
{
    struct slot *slot = take_slot(h2);
    slot->talks = true;
    slot->number = ++count_of_streams;
    slot->id = NOTE_ID(OF_STREAM, h2->number, slot->number);
    slot->abrupt = slot->number % 4 == 0;
    send_head(h2, slot, "Talk");
    talk_on(h2, slot);
}

static void begin_unary(struct h2 *h2)
{
    struct bytes message;
    struct wish wish = load_wish(h2->load);
    uint64_t id = NOTE_ID(OF_UNARY, h2->number, ++count_of_unary);
    make_message(&message, id, &wish, false, 0);
    struct slot *slot = take_slot(h2);
    slot->id = id;
    slot->ended = true;
    bool quick = wish.store == 0 && wish.sleep_ms == 0 && count_of_unary % 2;
    send_head(h2, slot, quick ? "Quick" : "Work");
    send_message(h2, slot, &message, true); /* there is room: else none is begun */
}

static void begin_more(struct h2 *h2)
{
    while (!h2->connecting && !h2->going_away && h2->open < h2->most && h2->window > 1024) {
        if (h2->talks)
            begin_stream(h2);
        else
            begin_unary(h2);
    }
}

/* ---- How calls end ---- */

static void end_slot(struct h2 *h2, struct slot *slot, enum became became, int64_t detail)
{
    account(slot->id, became, detail, slot->number);
    bool orderly = became == BECAME_ANSWERED || became == BECAME_ERROR || became == BECAME_REFUSED;
    for (int i = 0; i < slot->waiting_count; i++)
        account(slot->waiting[i], orderly ? BECAME_ENDED : became, detail, slot->number);
    slot->stream = 0;
    h2->open--;
}

static void break_all(struct h2 *h2, int64_t detail)
{
    for (int i = 0; i < h2->most; i++)
        if (h2->slots[i].stream != 0)
            end_slot(h2, &h2->slots[i], h2->unread ? BECAME_UNREAD : BECAME_BROKEN, detail);
    load_close(h2->load, &h2->watched);
}

static uint32_t number(const uint8_t *data)
{
    return (uint32_t)data[0] << 24 | (uint32_t)data[1] << 16 | (uint32_t)data[2] << 8 | data[3];
}

/* -1: there is none in it. */
static int64_t grpc_status(const uint8_t *block, size_t size)
{
    static const char name[] = "grpc-status";
    const size_t length = sizeof name - 1;
    for (size_t i = 0; i + length + 2 <= size; i++) {
        const uint8_t *value = block + i + length + 1;
        size_t digits = block[i + length];
        if (memcmp(block + i, name, length) != 0 || digits < 1 || digits > 2 ||
            i + length + 1 + digits > size)
            continue;
        return digits == 1 ? value[0] - '0' : (value[0] - '0') * 10 + value[1] - '0';
    }
    return -1;
}

static void on_trailers(struct h2 *h2, struct slot *slot, const uint8_t *block, size_t size)
{
    int64_t status = grpc_status(block, size);
    if (status < 0) {
        fprintf(stderr, "torture-load: trailers without a grpc-status that this client can read\n");
        exit(1);
    }
    bool empty = status == 0 && !slot->talks && slot->reply_size == 0;
    end_slot(h2, slot, status != 0 ? BECAME_ERROR : empty ? BECAME_BROKEN : BECAME_ANSWERED, status);
}

/* The oldest message is answered; or we are asked to end. */
static void on_reply(struct h2 *h2, struct slot *slot, const uint8_t *message, size_t size)
{
    bool draining = size >= 2 && message[0] == 0x10;
    if (draining && !slot->ended) {
        slot->ended = true;
        send_frame(h2, DATA, END_STREAM, slot->stream, "", 0);
    } else if (!draining && slot->waiting_count > 0) {
        account(slot->waiting[0], BECAME_ANSWERED, 0, slot->number);
        memmove(slot->waiting, slot->waiting + 1, (size_t)--slot->waiting_count * sizeof *slot->waiting);
        talk_on(h2, slot);
    }
}

static void on_data(struct h2 *h2, struct slot *slot, const uint8_t *data, size_t size)
{
    if (!slot->talks) {
        slot->reply_size += size;
        return;
    }
    if (slot->reply_size + size > REPLY_MAX)
        load_die("torture-load: a long reply");
    memcpy(slot->reply + slot->reply_size, data, size);
    slot->reply_size += size;
    while (slot->reply_size >= 5) {
        size_t whole = 5 + number(slot->reply + 1);
        if (slot->reply_size < whole)
            break;
        on_reply(h2, slot, slot->reply + 5, whole - 5);
        memmove(slot->reply, slot->reply + whole, slot->reply_size - whole);
        slot->reply_size -= whole;
    }
}

/* ---- Frames ---- */

static void on_settings(struct h2 *h2, const uint8_t *data, size_t size)
{
    for (size_t at = 0; at + 6 <= size; at += 6) {
        int64_t value = number(data + at + 2);
        if (data[at] != 0 || data[at + 1] != SETTING_WINDOW)
            continue;
        for (int i = 0; i < h2->most; i++)
            h2->slots[i].window += value - h2->stream_window;
        h2->stream_window = value;
    }
    send_frame(h2, SETTINGS, ACK, 0, "", 0);
}

static void on_goaway(struct h2 *h2, uint32_t last)
{
    h2->going_away = true;
    for (int i = 0; i < h2->most; i++)
        if (h2->slots[i].stream > last)
            end_slot(h2, &h2->slots[i], BECAME_REFUSED, 0);
}

static void on_stream_frame(struct h2 *h2, unsigned type, unsigned flags, struct slot *slot,
                            const uint8_t *data, size_t size)
{
    switch (type) {
    case DATA:
        on_data(h2, slot, data, size);
        break;
    case HEADERS:
        if (flags & END_STREAM)
            on_trailers(h2, slot, data, size);
        break;
    case RST_STREAM:
        end_slot(h2, slot, number(data) == REFUSED_STREAM ? BECAME_REFUSED : BECAME_BROKEN,
                 1000 + (int64_t)number(data));
        break;
    case WINDOW_UPDATE:
        slot->window += number(data) & 0x7fffffff;
        if (slot->talks)
            talk_on(h2, slot);
        break;
    default:
        break;
    }
}

static void on_frame(struct h2 *h2, const uint8_t *frame, size_t size)
{
    unsigned type = frame[3], flags = frame[4];
    uint32_t stream = number(frame + 5) & 0x7fffffff;
    for (int i = 0; stream != 0 && i < h2->most; i++)
        if (h2->slots[i].stream == stream) {
            on_stream_frame(h2, type, flags, &h2->slots[i], frame + 9, size);
            return;
        }
    if (stream != 0)
        return; /* it has ended */
    if (type == SETTINGS && !(flags & ACK)) {
        on_settings(h2, frame + 9, size);
    } else if (type == PING && !(flags & ACK)) {
        send_frame(h2, PING, ACK, 0, frame + 9, size);
    } else if (type == GOAWAY) {
        on_goaway(h2, number(frame + 9) & 0x7fffffff);
    } else if (type == WINDOW_UPDATE) {
        h2->window += number(frame + 9) & 0x7fffffff;
        for (int i = 0; i < h2->most; i++)
            if (h2->slots[i].stream != 0 && h2->slots[i].talks)
                talk_on(h2, &h2->slots[i]);
    }
}

static void take_frames(struct h2 *h2)
{
    size_t at = 0;
    while (h2->in_size - at >= 9) {
        const uint8_t *frame = h2->in + at;
        size_t size = (size_t)frame[0] << 16 | (size_t)frame[1] << 8 | frame[2];
        if (h2->in_size - at < 9 + size)
            break;
        on_frame(h2, frame, size);
        at += 9 + size;
    }
    memmove(h2->in, h2->in + at, h2->in_size - at);
    h2->in_size -= at;
}

static void readable(struct h2 *h2)
{
    ssize_t got = recv(h2->watched.fd, h2->in + h2->in_size, IN_MAX - h2->in_size, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0) {
        break_all(h2, got < 0 ? errno : 0);
        connect_again(h2);
        return;
    }
    h2->in_size += (size_t)got;
    take_frames(h2);
    begin_more(h2);
    flush(h2);
    if (h2->going_away && h2->open == 0) {
        load_close(h2->load, &h2->watched);
        connect_again(h2);
    }
}

/* ---- Connections ---- */

static void connected(struct h2 *h2)
{
    static const uint8_t settings[] = {0, SETTING_TABLE_SIZE, 0,    0,    0,    0,
                                       0, SETTING_PUSH,       0,    0,    0,    0,
                                       0, SETTING_WINDOW,     0x7f, 0xff, 0xff, 0xff};
    static const uint8_t window[] = {0x7f, 0xff, 0, 0};
    h2->connecting = false;
    memcpy(h2->out, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24);
    h2->out_size = 24;
    send_frame(h2, SETTINGS, 0, 0, settings, h2->unread ? 12 : sizeof settings);
    if (!h2->unread)
        send_frame(h2, WINDOW_UPDATE, 0, 0, window, sizeof window);
    begin_more(h2);
    flush(h2);
}

static void ready(struct watched *watched, uint32_t events)
{
    struct h2 *h2 = (struct h2 *)watched;
    if (h2->connecting) {
        if (load_connect_error(watched) != 0 || (events & EPOLLERR))
            load_close(h2->load, watched);
        else
            connected(h2);
        return;
    }
    if (h2->unread && (events & (EPOLLHUP | EPOLLERR))) {
        break_all(h2, 0);
        return;
    }
    if (events & EPOLLOUT)
        flush(h2);
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        readable(h2);
}

static void connect_again(struct h2 *h2)
{
    h2->connecting = true;
    h2->going_away = false;
    h2->open = 0;
    h2->in_size = h2->out_size = 0;
    h2->next_id = 1;
    h2->window = h2->stream_window = 65535;
    if (!h2->load->gone)
        load_connect(h2->load, h2->load->grpc_port, &h2->watched);
}

static void begin(struct load *load, int index, long most, bool talks, bool unread)
{
    static const int small = 4096;
    struct h2 *h2 = &connections[index];
    *h2 = (struct h2){.watched = {.ready = ready, .fd = -1}, .load = load, .number = (uint32_t)index};
    h2->most = (int)(most < SLOTS_MAX ? most : SLOTS_MAX);
    h2->talks = talks;
    h2->unread = unread;
    if (most == 0)
        return;
    connect_again(h2);
    if (unread && h2->watched.fd >= 0)
        setsockopt(h2->watched.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
}

void h2_begin(struct load *load)
{
    begin(load, 0, load->unary - load->unary / 2, false, false);
    begin(load, 1, load->unary / 2, false, false);
    begin(load, 2, load->streams, true, false);
    begin(load, 3, load->stream_unread, true, true);
}

void h2_end(struct load *load)
{
    for (int i = 0; i < CONNECTIONS; i++)
        if (connections[i].load == load)
            break_all(&connections[i], ETIMEDOUT);
}
