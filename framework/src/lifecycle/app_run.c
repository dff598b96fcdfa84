/* weir_app_run(): the thread that runs the engine. It hears signals, returns and failures, and does what the
 * engine says; no component's code runs on it. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include <weir/clock.h>
#include <weir/log.h>

#include "core/clock.h"
#include "lifecycle/app.h"
#include "lifecycle/report.h"
#include "lifecycle/report_file.h"
#include "observe/log.h"

#define LOG_FLUSH_MS 100 /* while nobody reads it; of report_ms */
#define PROGRESS_NS (2 * WEIR_NS_PER_S)
#define STATE_NS WEIR_NS_PER_S /* from one answer to SIGUSR1 to the next */
#define PINGS_IN_TIME 3        /* in the time of the service manager's watchdog: one may be late */

static int64_t to_ms(const struct weir_app *app, int64_t ns)
{
    return (ns - app->base_ns) / WEIR_NS_PER_MS;
}

static int64_t to_ns(const struct weir_app *app, int64_t ms)
{
    return ms == ENGINE_NEVER ? WEIR_NEVER : app->base_ns + ms * WEIR_NS_PER_MS;
}

/* ---- What the engine says ---- */

static void write_error(const void *data, size_t size)
{
    const char *at = data;
    while (size) {
        ssize_t written = write(STDERR_FILENO, at, size);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return;
        at += written;
        size -= (size_t)written;
    }
}

/* In a handover it stays: who asks for the service finds the successor ready. */
static void set_ready(struct weir_app *app)
{
    atomic_store(&app->ready, engine_ready(app->engine) || handover_is_done(app->handover));
}

static void announce(struct weir_app *app)
{
    set_ready(app);
    app_upgrade_stopping(app);
    watchdog_arm(&app->watchdog, weir_now_ns() + app->options.deadline_ms * WEIR_NS_PER_MS);
    app->next_progress_ns = app->options.report == APP_REPORT_NONE ? WEIR_NEVER : weir_now_ns() + PROGRESS_NS;
    const struct engine_cause *cause = &app->engine->cause;
    if (cause->part == PLAN_NONE)
        weir_log_info("stopping", weir_field_text("cause", cause->text));
    else
        weir_log_error("stopping", weir_field_text("cause", cause->text),
                       weir_field_text("component", app->parts[cause->part]->name));
}

static void call(struct weir_app *app, const struct engine_action *action)
{
    const struct app_part *part = app->parts[action->part];
    weir_log_debug("operation begins", weir_field_text("component", part->name),
                   weir_field_text("operation", op_name(action->op)));
    if (app->called)
        app->called(app, action->part, action->op);
    runner_call(app->runner, action->part, part->name, part->ops, part->self, action->op,
                to_ns(app, action->limit));
}

/* Returns true when all is over. */
static bool act(struct weir_app *app, const struct engine_action *action)
{
    switch (action->kind) {
    case ACTION_ANNOUNCE:
        announce(app);
        break;
    case ACTION_LIMIT:
        runner_limit(app->runner, action->part, to_ns(app, action->limit),
                     action->op == OP_START ? WEIR_CANCELLED : WEIR_DEADLINE_EXCEEDED);
        break;
    case ACTION_STACKS:
        weir_log_error("component was given up", weir_field_text("component", app->parts[action->part]->name),
                       weir_field_text("operation", op_name(action->op)));
        break;
    case ACTION_READY:
        weir_log_info("ready", weir_field_int("components", app->count));
        app_upgrade_ready(app);
        break;
    case ACTION_CALL:
        call(app, action);
        break;
    case ACTION_EXIT:
        return true;
    }
    return false;
}

/* For whoever asks from another thread. */
static void publish(struct weir_app *app)
{
    set_ready(app);
    if (app->engine->phase != PHASE_STOPPING)
        return;
    atomic_store(&app->stop_open, app->engine->left_count);
    atomic_store(&app->stop_begun_ns, to_ns(app, app->engine->t0));
}

static bool handle(struct weir_app *app, const struct engine_event *event, int64_t at_ns)
{
    uint32_t count;
    const struct engine_action *actions = engine_handle(app->engine, event, to_ms(app, at_ns), &count);
    bool over = false;
    for (uint32_t i = 0; i < count; i++)
        over = act(app, &actions[i]) || over;
    publish(app);
    return over;
}

/* ---- What it hears ---- */

static bool handle_message(struct weir_app *app, const struct message *message)
{
    if (message->kind == EVENT_RETURNED)
        runner_returned(app->runner, message->part);
    if (message->kind != EVENT_STOP && message->status != WEIR_OK)
        weir_log_error(
            message->kind == EVENT_FAILED ? "component failed" : "operation failed",
            weir_field_text("component", app->parts[message->part]->name),
            weir_field_text("operation", message->kind == EVENT_FAILED ? NULL : op_name(message->op)),
            weir_field_text("status", weir_status_name(message->status)),
            weir_field_text("error", message->text));
    struct engine_event event = {
        .kind = message->kind,
        .part = message->part,
        .op = message->op,
        .status = message->status,
        .work = &message->work,
        .text = message->text,
    };
    bool over = handle(app, &event, message->at_ns);
    if (message->kind == EVENT_RETURNED && message->op == OP_START)
        atomic_store(&app->parts[message->part]->start_ms,
                     app->engine->parts[message->part].steps[OP_START].used);
    return over;
}

/* What every component does now, for whoever sent SIGUSR1. A storm of them would have this thread print and do nothing
 * else: those of the next second are answered together, at its end. */
static void say_state(struct weir_app *app, int64_t now)
{
    if (app->state_asked == 0 || now < app->next_state_ns)
        return;
    struct weir_buffer text = {0};
    report_state(app->engine, app->name, to_ms(app, now), &text);
    if (app->state_asked > 1)
        weir_buffer_printf(&text, "this answers SIGUSR1 and %lld more of the last second\n",
                           (long long)app->state_asked - 1);
    app->state_asked = 0;
    app->next_state_ns = now + STATE_NS;
    write_error(text.data, text.size);
    weir_buffer_free(&text);
}

static const char *stop_signal_name(int signal)
{
    return signal == SIGINT ? "SIGINT" : signal == PROCESS_HANGUP ? "SIGHUP" : "SIGTERM";
}

static bool handle_signal(struct weir_app *app, int signal, int64_t now)
{
    struct engine_event event = {.kind = EVENT_SIGNAL, .text = stop_signal_name(signal)};
    if (signal == SIGCHLD)
        process_reap();
    else if (signal == SIGUSR1)
        app->state_asked++;
    else if (signal == SIGHUP)
        app->reload_asked = true;
    else if (signal != PROCESS_HANGUP || !process_ignores_hangup())
        return signal_counts(&app->signals, now) && handle(app, &event, now);
    return false;
}

/* Messages first, each with the time at which it was told: who returned in time did, however late this thread
 * is. */
static bool hear(struct weir_app *app, int signals)
{
    struct message message;
    while (inbox_take(&app->inbox, &message))
        if (handle_message(app, &message))
            return true;
    struct engine_event given = {.kind = EVENT_HANDOVER};
    if (app_upgrade_hear(app, &given.text) && handle(app, &given, weir_now_ns()))
        return true;
    int64_t now = weir_now_ns();
    for (int signal; (signal = process_read_signal(signals)) != 0;)
        if (handle_signal(app, signal, now))
            return true;
    return handle(app, &(struct engine_event){.kind = EVENT_TICK}, now);
}

static void say_progress(struct weir_app *app, int64_t now)
{
    if (app->engine->phase != PHASE_STOPPING || now < app->next_progress_ns)
        return;
    app->next_progress_ns = now + PROGRESS_NS;
    struct weir_buffer line = {0};
    report_progress(app->engine, to_ms(app, now), &line);
    write_error(line.data, line.size);
    weir_buffer_free(&line);
}

/* To the service manager: this thread still runs. */
static void ping(struct weir_app *app, int64_t now)
{
    if (!app->ping_every_ns || now < app->next_ping_ns)
        return;
    app->next_ping_ns = now + app->ping_every_ns;
    bool watched = !handover_is_waiting(app->handover) && !handover_is_done(app->handover);
    if (watched) /* else another process is */
        process_notify("WATCHDOG=1");
}

struct pause {
    struct clock_wait wait; /* first */
    struct inbox *inbox;
};

static void wake(struct clock_wait *wait)
{
    inbox_wake(((struct pause *)wait)->inbox);
}

static void wait_for_something(struct weir_app *app, int signals)
{
    int64_t until = to_ns(app, engine_next_timer(app->engine)), limit = runner_next_limit(app->runner);
    if (limit < until)
        until = limit;
    if (app->engine->phase == PHASE_STOPPING && app->next_progress_ns < until)
        until = app->next_progress_ns;
    if (app->ping_every_ns && app->next_ping_ns < until)
        until = app->next_ping_ns;
    if (app->state_asked > 0 && app->next_state_ns < until)
        until = app->next_state_ns;
    if (handover_next_limit(app->handover) < until)
        until = handover_next_limit(app->handover);
    struct pollfd sources[2 + HANDOVER_SOURCES] = {{.fd = signals, .events = POLLIN},
                                                   {.fd = app->inbox.descriptor, .events = POLLIN}};
    nfds_t count = 2 + handover_sources(app->handover, sources + 2);
    if (until == WEIR_NEVER) {
        poll(sources, count, -1);
        return;
    }
    struct pause pause = {{.until_ns = until, .wake = wake, .late = true}, &app->inbox};
    bool is_virtual = clock_wait_begin(&pause.wait);
    int64_t left = until - weir_now_ns();
    left = left > 0 ? left : 0;
    struct timespec wait = {.tv_sec = left / WEIR_NS_PER_S, .tv_nsec = left % WEIR_NS_PER_S};
    ppoll(sources, count, is_virtual && left > 0 ? NULL : &wait, NULL);
    if (is_virtual)
        clock_wait_end(&pause.wait);
}

void app_serve(struct weir_app *app, int signals)
{
    process_reap(); /* what ended before anybody listened */
    app->ping_every_ns = process_watchdog_ns() / PINGS_IN_TIME;
    app->base_ns = weir_now_ns();
    bool over = handle(app, &(struct engine_event){.kind = EVENT_RUN}, app->base_ns);
    while (!over) {
        wait_for_something(app, signals);
        runner_expire(app->runner, weir_now_ns());
        over = hear(app, signals);
        app_reload_if_asked(app);
        say_progress(app, weir_now_ns());
        say_state(app, weir_now_ns());
        ping(app, weir_now_ns());
    }
}

/* ---- The end ---- */

int64_t app_stop_unix_ms(const struct weir_app *app)
{
    int64_t ago_ns = weir_now_ns() - to_ns(app, app->engine->t0);
    return (weir_unix_ns() - ago_ns) / WEIR_NS_PER_MS;
}

void app_report(struct weir_app *app)
{
    struct weir_buffer text = {0};
    if (app->options.report == APP_REPORT_JSON)
        report_json_begun(app->engine, app->name, app_stop_unix_ms(app), &text);
    else if (app->options.report == APP_REPORT_TEXT)
        report_text(app->engine, app->name, &text);
    write_error(text.data, text.size);
    weir_buffer_free(&text);
    app_upgrade_keep_report(app);
}

static bool all_destroyed(const struct weir_app *app)
{
    for (uint32_t i = 0; i < app->count; i++)
        if (app->engine->parts[i].destroy != DESTROY_DONE)
            return false;
    return true;
}

/* What was not destroyed may still be used by threads of its own: handlers of exit() would pull the ground
 * from under them, so the process leaves here. */
static void leave_now(struct weir_app *app, int status)
{
    if (app->engine->forced)
        runner_print_running(app->runner, STDERR_FILENO);
    if (ftrylockfile(stdout) == 0)
        fflush(stdout);
    _exit(status);
}

bool app_begin(struct weir_app *app, int *ret_status)
{
    app->plan = app_plan(app);
    app->running = true;
    if (app_only_says(app, ret_status) || app_cannot_upgrade(app, ret_status)) {
        app_destroy_parts(app);
        app_free(app);
        return false;
    }
    log_start(app->name);
    for (size_t i = 0; i < app->plan->warning_count; i++)
        weir_log_warn("plan", weir_field_text("warning", app->plan->warnings[i]));
    if (app->options.report_file && !handover_is_waiting(app->handover))
        app->last_report = report_file_begin(app->options.report_file, app->name);
    app->engine = engine_new(app->plan);
    app->runner = runner_new(app->count, &app->inbox);
    return true;
}

void app_end(struct weir_app *app)
{
    runner_destroy(app->runner);
    engine_destroy(app->engine);
    app_free(app);
}

static void serve(struct weir_app *app)
{
    int signals = process_signal_descriptor();
    if (signals < 0) {
        perror("weir: signalfd");
        abort();
    }
    watchdog_init(&app->watchdog, app->runner);
    app_serve(app, signals);
    close(signals);
}

int weir_app_run(struct weir_app *app)
{
    int status;
    if (app->running) { /* called from inside a callback */
        weir_log_error("weir_app_run() was called while the app runs: it does nothing");
        return EX_SOFTWARE;
    }
    if (!app_begin(app, &status))
        return status;
    serve(app);

    status = app->engine->exit_status;
    if (app->engine->odd_count)
        weir_log_error("the lifecycle was told what cannot be",
                       weir_field_int("events", app->engine->odd_count));
    log_stop(LOG_FLUSH_MS);
    app_report(app);
    if (app->engine->forced || !all_destroyed(app))
        leave_now(app, status);
    watchdog_watch_exit(&app->watchdog);
    watchdog_clean_up(&app->watchdog);
    app_end(app);
    return status;
}
