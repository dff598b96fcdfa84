/* torture-links: TCP connections that can be cut or go silent, one way or both.
 *
 *   torture-links NAME=PORT...
 *
 * Each link listens on a free port of 127.0.0.1 and passes on to PORT there; "NAME PORT" says where, a line each.
 * Then stdin takes lines "NAME MODE"; its end is the program's. Modes:
 *
 *   pass      everything goes through
 *   silence   nothing does, and nothing is closed: a cable that was pulled
 *   deaf      what the client sends does not arrive, answers do
 *   mute      requests arrive, answers do not
 *   cut       connections are reset, new ones too */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LINKS_MAX 128
#define PIPES_MAX 2048
#define BUFFER_SIZE 65536

enum mode { PASS, SILENCE, DEAF, MUTE, CUT, MODES };
static const char *const mode_names[MODES] = {"pass", "silence", "deaf", "mute", "cut"};

struct link {
    const char *name;
    struct sockaddr_in to;
    int listener;
    enum mode mode;
};

/* One direction of a connection: from one side's socket to the other's. */
struct flow {
    char *buffer;
    size_t begin, end;
    bool over; /* the sender has closed its side */
    bool told; /* and the receiver knows */
};

/* A connection: side 0 is the client's. */
struct pipe {
    struct link *link;
    int fds[2];
    struct flow flows[2]; /* flows[0] comes from side 0 */
};

static struct link links[LINKS_MAX];
static struct pipe pipes[PIPES_MAX];
static int link_count, pipe_count;

static void die(const char *what)
{
    fprintf(stderr, "torture-links: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void open_link(const char *argument)
{
    struct link *link = &links[link_count++];
    char *name = strdup(argument), *port = name ? strchr(name, '=') : NULL;
    if (!port || link_count == LINKS_MAX) {
        errno = EINVAL;
        die(argument);
    }
    *port++ = 0;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    *link = (struct link){.name = name, .to = address};
    link->to.sin_port = htons((uint16_t)atoi(port));
    link->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (bind(link->listener, (struct sockaddr *)&address, length) < 0 || listen(link->listener, 512) < 0 ||
        getsockname(link->listener, (struct sockaddr *)&address, &length) < 0)
        die(argument);
    printf("%s %d\n", name, ntohs(address.sin_port));
}

/* With a reset. */
static void close_hard(int fd)
{
    struct linger linger = {.l_onoff = 1};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    close(fd);
}

static void end_pipe(struct pipe *pipe, bool hard)
{
    for (int side = 0; side < 2; side++) {
        if (hard)
            close_hard(pipe->fds[side]);
        else
            close(pipe->fds[side]);
        free(pipe->flows[side].buffer);
    }
    pipe->link = NULL;
}

static void accept_all(struct link *link)
{
    int client;
    while ((client = accept4(link->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        if (link->mode == CUT || pipe_count == PIPES_MAX) {
            close_hard(client);
            continue;
        }
        int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (server < 0)
            die("socket");
        /* On loopback at once: it is taken or refused. */
        if (connect(server, (struct sockaddr *)&link->to, sizeof link->to) < 0) {
            close_hard(client);
            close(server);
            continue;
        }
        fcntl(server, F_SETFL, O_NONBLOCK);
        struct pipe *pipe = &pipes[pipe_count++];
        *pipe = (struct pipe){.link = link, .fds = {client, server}};
        for (int side = 0; side < 2; side++)
            if (!(pipe->flows[side].buffer = malloc(BUFFER_SIZE)))
                die("malloc");
    }
}

static bool is_held(const struct pipe *pipe, int side)
{
    enum mode mode = pipe->link->mode;
    return mode == SILENCE || mode == (side == 0 ? DEAF : MUTE);
}

/* Moves what there is; false when the connection is broken. */
static bool move(struct pipe *pipe, int side)
{
    struct flow *flow = &pipe->flows[side];
    if (is_held(pipe, side))
        return true;
    if (flow->begin == flow->end && !flow->over) {
        ssize_t got = read(pipe->fds[side], flow->buffer, BUFFER_SIZE);
        if (got < 0)
            return errno == EAGAIN || errno == EINTR;
        flow->begin = 0;
        flow->end = (size_t)got;
        flow->over = got == 0;
    }
    if (flow->begin < flow->end) {
        ssize_t put =
            send(pipe->fds[!side], flow->buffer + flow->begin, flow->end - flow->begin, MSG_NOSIGNAL);
        if (put < 0)
            return errno == EAGAIN || errno == EINTR;
        flow->begin += (size_t)put;
    }
    if (flow->over && flow->begin == flow->end && !flow->told) {
        flow->told = true;
        shutdown(pipe->fds[!side], SHUT_WR);
    }
    return true;
}

static void set_mode(const char *name, const char *word)
{
    enum mode mode = PASS;
    while (mode < MODES && strcmp(mode_names[mode], word) != 0)
        mode++;
    for (int i = 0; i < link_count && mode < MODES; i++)
        if (strcmp(links[i].name, name) == 0)
            links[i].mode = mode;
    for (int i = 0; i < pipe_count; i++)
        if (pipes[i].link && pipes[i].link->mode == CUT)
            end_pipe(&pipes[i], true);
}

/* False at its end. Lines come whole: they are short and written at once. */
static bool read_commands(void)
{
    char text[4096], name[128], word[32];
    ssize_t got = read(STDIN_FILENO, text, sizeof text - 1);
    if (got <= 0)
        return false;
    text[got] = 0;
    int used;
    for (const char *line = text; sscanf(line, "%127s %31s%n", name, word, &used) == 2; line += used)
        set_mode(name, word);
    return true;
}

/* What a pipe's side waits for. */
static short wanted(const struct pipe *pipe, int side)
{
    const struct flow *out = &pipe->flows[side], *in = &pipe->flows[!side];
    bool reads = !is_held(pipe, side) && !out->over && out->begin == out->end;
    bool writes = !is_held(pipe, !side) && in->begin < in->end;
    return (short)((reads ? POLLIN : 0) | (writes ? POLLOUT : 0));
}

/* A negative number is not looked at; so one that is held and broken keeps nobody busy. */
static struct pollfd poll_entry(const struct pipe *pipe, int side)
{
    short events = wanted(pipe, side);
    return (struct pollfd){.fd = events ? pipe->fds[side] : -1, .events = events};
}

static void forget_ended(void)
{
    int kept = 0;
    for (int i = 0; i < pipe_count; i++)
        if (pipes[i].link)
            pipes[kept++] = pipes[i];
    pipe_count = kept;
}

static bool serve(void)
{
    static struct pollfd polled[1 + LINKS_MAX + 2 * PIPES_MAX];
    nfds_t count = 0;
    polled[count++] = (struct pollfd){.fd = STDIN_FILENO, .events = POLLIN};
    for (int i = 0; i < link_count; i++)
        polled[count++] = (struct pollfd){.fd = links[i].listener, .events = POLLIN};
    nfds_t first = count;
    for (int i = 0; i < pipe_count; i++)
        for (int side = 0; side < 2; side++)
            polled[count++] = poll_entry(&pipes[i], side);
    if (poll(polled, count, -1) < 0 && errno != EINTR)
        die("poll");

    int before = pipe_count;
    for (int i = 0; i < before; i++) {
        if (!polled[first + 2 * (nfds_t)i].revents && !polled[first + 2 * (nfds_t)i + 1].revents)
            continue;
        bool alive = move(&pipes[i], 0) && move(&pipes[i], 1);
        bool over = pipes[i].flows[0].told && pipes[i].flows[1].told;
        if (!alive || over)
            end_pipe(&pipes[i], !alive);
    }
    for (int i = 0; i < link_count; i++)
        if (polled[1 + i].revents)
            accept_all(&links[i]);
    bool goes_on = !polled[0].revents || read_commands();
    forget_ended();
    return goes_on;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        open_link(argv[i]);
    fflush(stdout);
    while (serve())
        ;
    return 0;
}
