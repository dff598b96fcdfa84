/* Closing a listening socket resets the connections that the kernel has queued on it, and those whose
 * handshake is under way. So: no new handshakes (a filter drops pure SYNs; the client sends another one, and
 * is then refused by the closed port), one round trip for those under way, accept all that is queued, close.
 */
#include <errno.h>
#include <linux/filter.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "engines/microhttpd/internal.h"

#define ROUND_TRIP_MS 50
#define TCP_FLAGS_AT 13
#define SYN_ACK 0x12
#define SYN 0x02

void quiesce_drop_syn(int listen_fd)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS,
                 TCP_FLAGS_AT), /* the filter sees the segment from its TCP header on */
        BPF_STMT(BPF_ALU | BPF_AND | BPF_K, SYN_ACK),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYN, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, 0),
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
    };
    struct sock_fprog program = {.len = sizeof code / sizeof code[0], .filter = code};
    /* Where this fails (an unusual sandbox) what follows still loses little: 0 to 3 of 64. */
    setsockopt(listen_fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
}

static void pass_ms(int64_t ms)
{
    struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = (ms % 1000) * 1000000};
    while (nanosleep(&left, &left) < 0 && errno == EINTR)
        continue;
}

enum weir_status http_engine_quiesce(struct http_engine *engine, struct weir_error *err)
{
    (void)err;
    if (engine->quiesced || engine->listen_fd < 0)
        return WEIR_OK;
    engine->quiesced = true;
    http_engine_announce(engine);
    if (engine->unix_path) {
        unlink(engine->unix_path);
    } else {
        quiesce_drop_syn(engine->listen_fd);
        if (http_engine_connections(engine) > 0)
            pass_ms(ROUND_TRIP_MS);
    }
    for (int i = 0; i < engine->loop_count; i++) {
        atomic_store(&engine->loops[i].stop_accepting, true);
        loop_wake(&engine->loops[i]);
    }
    for (int i = 0; i < engine->loop_count; i++)
        while (sem_wait(&engine->stopped_accepting) < 0)
            continue;
    close(engine->listen_fd);
    engine->listen_fd = -1;
    return WEIR_OK;
}
