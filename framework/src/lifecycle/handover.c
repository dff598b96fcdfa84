#include "lifecycle/handover.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weir/clock.h>
#include <weir/log.h>

#include "core/memory.h"
#include "lifecycle/handover_parts.h"
#include "lifecycle/process.h"

/* Beyond its deadline, by which a failed successor has ended by itself. */
#define END_MS 1000

struct handover *handover_new(int argc, char **argv)
{
    struct handover *handover = NEW(struct handover);
    handover->visitor = handover->client = -1;
    program_init(&handover->program, argc, argv);
    listeners_inherit(&handover->inherit_error);
    handover->predecessor = listeners_take(HANDOVER_TALK);
    handover->waits = handover->predecessor >= 0;
    if (handover->waits)
        listeners_hold();
    return handover;
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static bool has_successor(const struct handover *handover)
{
    return handover->upgrade != UPGRADE_NONE;
}

static void forget_successor(struct handover *handover)
{
    close_fd(&handover->successor.process);
    close_fd(&handover->successor.talk);
    handover->upgrade = UPGRADE_NONE;
}

void handover_free(struct handover *handover)
{
    if (handover->upgrade == UPGRADE_STARTING || handover->upgrade == UPGRADE_ENDING)
        kill(handover->successor.pid, SIGKILL);
    if (has_successor(handover))
        forget_successor(handover);
    listener_close(&handover->control);
    close_fd(&handover->visitor);
    close_fd(&handover->client);
    close_fd(&handover->predecessor);
    program_clean_up(&handover->program);
    free(handover->control_address);
    free(handover);
}

bool handover_is_waiting(const struct handover *handover)
{
    return handover->waits;
}

bool handover_is_done(const struct handover *handover)
{
    return handover->upgrade == UPGRADE_DONE;
}

const char *handover_text(const struct handover *handover)
{
    return handover->text;
}

enum weir_status handover_begin(struct handover *handover, const struct handover_options *options,
                                struct weir_error *err)
{
    handover->options = *options;
    if (handover->inherit_error.status != WEIR_OK)
        return weir_fail(err, handover->inherit_error.status, "%s", handover->inherit_error.text);
    if (!options->control)
        return WEIR_OK;
    handover->control_address = memory_printf("unix:%s", options->control);
    const struct listener_options control = {
        .name = "control", .address = handover->control_address, .mode = 0600, .transient = true};
    enum weir_status status = listener_open(&handover->control, &control, err);
    return status == WEIR_OK ? status : weir_error_prefix(err, "app.control");
}

/* ---- The successor's side ---- */

void handover_failed(struct handover *handover, const char *reason)
{
    if (handover->waits && !handover->ready && handover->predecessor >= 0)
        talk_send(handover->predecessor, "failed", reason);
}

void handover_ready(struct handover *handover)
{
    handover->ready = true;
    if (handover->waits && handover->predecessor >= 0)
        talk_send(handover->predecessor, "ready", ""); /* one that is gone is noticed by hearing it */
}

static bool hear_predecessor(struct handover *handover)
{
    char text[TALK_SIZE];
    bool go = false;
    for (int heard; handover->predecessor >= 0 && (heard = talk_receive(handover->predecessor, text)) != 0;) {
        if (heard < 0)
            close_fd(&handover->predecessor);
        else
            go = go || strcmp(text, "go") == 0;
    }
    if (!handover->waits || !handover->ready || (!go && handover->predecessor >= 0))
        return false;
    handover->waits = false;
    if (!go)
        weir_log_warn("the process before this one is gone, this one serves");
    listeners_release();
    return true;
}

/* ---- The predecessor's side ---- */

static void begin_upgrade(struct handover *handover)
{
    struct weir_error err = {0};
    char text[TALK_SIZE];
    if (successor_start(&handover->program, &handover->successor, &err) != WEIR_OK) {
        weir_log_error("upgrade failed", weir_field_text("error", err.text));
        control_say(handover, "failed", err.text);
        control_end_client(handover);
        return;
    }
    handover->upgrade = UPGRADE_STARTING;
    handover->killed = false;
    handover->reason[0] = 0;
    handover->limit_ns = weir_deadline_in_ms(handover->options.timeout_ms);
    weir_log_info("upgrade begins", weir_field_int("successor", handover->successor.pid),
                  weir_field_text("program", handover->program.path));
    snprintf(text, sizeof text, "process %d starts: %.900s", (int)handover->successor.pid,
             handover->program.path);
    control_say(handover, "progress", text);
}

/* The first reason stays. */
static void end_successor(struct handover *handover, const char *reason)
{
    if (handover->upgrade != UPGRADE_STARTING)
        return;
    if (!handover->reason[0]) /* it may have said why itself */
        snprintf(handover->reason, sizeof handover->reason, "%s", reason);
    handover->upgrade = UPGRADE_ENDING;
    handover->limit_ns = weir_deadline_in_ms(handover->options.deadline_ms + END_MS);
    kill(handover->successor.pid, SIGTERM);
    control_say(handover, "progress", handover->reason);
}

static void describe_end(struct handover *handover, int status)
{
    char *reason = handover->reason;
    size_t size = sizeof handover->reason;
    int pid = (int)handover->successor.pid;
    if (reason[0])
        return;
    if (status < 0) /* a subreaper's loop was faster */
        snprintf(reason, size, "process %d ended before it was ready: its log says why", pid);
    else if (WIFSIGNALED(status))
        snprintf(reason, size, "process %d was killed by signal %d (%s) before it was ready", pid,
                 WTERMSIG(status), sigabbrev_np(WTERMSIG(status)) ? sigabbrev_np(WTERMSIG(status)) : "?");
    else
        snprintf(reason, size, "process %d exited with status %d before it was ready: its log says why", pid,
                 WEXITSTATUS(status));
}

static void successor_ended(struct handover *handover)
{
    int status = 0;
    pid_t ended = waitpid(handover->successor.pid, &status, WNOHANG);
    if (ended == 0)
        return;
    describe_end(handover, ended < 0 ? -1 : status);
    forget_successor(handover);
    weir_log_error("upgrade failed, this process goes on", weir_field_text("error", handover->reason));
    control_say(handover, "failed", handover->reason);
    control_end_client(handover);
}

/* From here on there is no way back: the service manager, the successor and the own accept loops are told. */
static bool give(struct handover *handover)
{
    char text[TALK_SIZE];
    int pid = (int)handover->successor.pid;
    snprintf(text, sizeof text, "MAINPID=%d", pid);
    process_notify(text); /* before "go": the manager hears READY=1 of its main process only */
    if (!talk_send(handover->successor.talk, "go", "")) {
        snprintf(text, sizeof text, "MAINPID=%d", (int)getpid());
        process_notify(text);
        return false;
    }
    listeners_handed_on();
    listener_close(&handover->control);
    handover->upgrade = UPGRADE_DONE;
    snprintf(handover->text, sizeof handover->text, "handover to process %d", pid);
    weir_log_info("upgrade is done, the successor serves", weir_field_int("successor", pid));
    snprintf(text, sizeof text, "process %d is ready and serves; process %d drains", pid, (int)getpid());
    control_say(handover, "done", text);
    return true;
}

static void note_failure(struct handover *handover, const char *text)
{
    char *reason = handover->reason;
    size_t size = sizeof handover->reason;
    if (reason[0])
        return;
    if (strncmp(text, "exec ", 5) == 0)
        snprintf(reason, size, "cannot run %.900s: %s", handover->program.path,
                 strerror((int)strtol(text + 5, NULL, 10)));
    else if (strncmp(text, "failed ", 7) == 0)
        snprintf(reason, size, "process %d: %.*s", (int)handover->successor.pid, TALK_SIZE - 64, text + 7);
}

static bool hear_successor(struct handover *handover)
{
    char text[TALK_SIZE];
    while (talk_receive(handover->successor.talk, text) > 0) {
        if (handover->upgrade == UPGRADE_STARTING && strcmp(text, "ready") == 0) {
            if (give(handover))
                return true;
        } else {
            note_failure(handover, text);
        }
    }
    struct pollfd process = {.fd = handover->successor.process, .events = POLLIN};
    if (handover->upgrade != UPGRADE_DONE && poll(&process, 1, 0) > 0)
        successor_ended(handover);
    return false;
}

static void check_limit(struct handover *handover)
{
    if (weir_now_ns() < handover->limit_ns)
        return;
    char text[128];
    snprintf(text, sizeof text, "process %d was not ready after %lld ms (app.upgrade_timeout_ms)",
             (int)handover->successor.pid, (long long)handover->options.timeout_ms);
    if (handover->upgrade == UPGRADE_STARTING) {
        end_successor(handover, text);
    } else if (handover->upgrade == UPGRADE_ENDING && !handover->killed) {
        handover->killed = true;
        kill(handover->successor.pid, SIGKILL);
    }
}

/* A connection of the command's that ends calls the upgrade off. */
static void check_client(struct handover *handover)
{
    struct pollfd client = {.fd = handover->client, .events = POLLIN};
    if (handover->client < 0 || poll(&client, 1, 0) <= 0 || handover->upgrade == UPGRADE_DONE)
        return;
    control_end_client(handover);
    end_successor(handover, "who asked for the upgrade has gone away");
}

void handover_stopping(struct handover *handover)
{
    listener_close(&handover->control);
    end_successor(handover, "the running process was told to stop");
}

/* ---- Both ---- */

static void add_source(struct pollfd *sources, nfds_t *count, int fd)
{
    if (fd >= 0)
        sources[(*count)++] = (struct pollfd){.fd = fd, .events = POLLIN};
}

nfds_t handover_sources(const struct handover *handover, struct pollfd *ret_sources)
{
    nfds_t count = 0;
    bool starts = handover->upgrade == UPGRADE_STARTING || handover->upgrade == UPGRADE_ENDING;
    if (handover->control.open && !handover->waits && handover->visitor < 0)
        add_source(ret_sources, &count, handover->control.fd);
    add_source(ret_sources, &count, handover->visitor);
    add_source(ret_sources, &count, handover->predecessor);
    if (starts) {
        add_source(ret_sources, &count, handover->client);
        add_source(ret_sources, &count, handover->successor.talk);
        add_source(ret_sources, &count, handover->successor.process);
    }
    return count;
}

int64_t handover_next_limit(const struct handover *handover)
{
    int64_t next = handover->visitor >= 0 ? handover->visitor_limit_ns : WEIR_NEVER;
    bool limited =
        handover->upgrade == UPGRADE_STARTING || (handover->upgrade == UPGRADE_ENDING && !handover->killed);
    return limited && handover->limit_ns < next ? handover->limit_ns : next;
}

enum handover_event handover_hear(struct handover *handover, const char *obstacle)
{
    if (hear_predecessor(handover))
        return HANDOVER_TAKEN;
    if (handover->upgrade == UPGRADE_DONE)
        return HANDOVER_NOTHING;
    if (has_successor(handover)) {
        check_client(handover);
        if (hear_successor(handover))
            return HANDOVER_GIVEN;
    }
    if (has_successor(handover))
        check_limit(handover);
    if (handover->control.open && !handover->waits &&
        control_hear(handover, has_successor(handover) ? "another upgrade is under way" : obstacle))
        begin_upgrade(handover);
    return HANDOVER_NOTHING;
}
