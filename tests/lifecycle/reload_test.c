/* SIGHUP on a real process: what is read again, what is refused, and what the service manager is told. */
#include "test.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weir/clock.h>

#include "process.h"
#include "raw_client.h"

struct fixture {
    char folder[32], file[48], notify[64];
    struct process process;
    int manager; /* where the service manager listens; -1: there is none */
    int to_stdin;
    size_t heard; /* what it said up to there was looked at */
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    strcpy(f->folder, "/tmp/reload_test_XXXXXX");
    *state = f;
    f->manager = f->to_stdin = -1;
    if (!mkdtemp(f->folder))
        return -1;
    snprintf(f->file, sizeof f->file, "%s/c.yaml", f->folder);
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    if (f->manager >= 0)
        close(f->manager);
    if (f->to_stdin >= 0)
        close(f->to_stdin);
    process_free(&f->process);
    unlink(f->file);
    int failed = rmdir(f->folder);
    free(f);
    return failed;
}

static void write_config(struct fixture *f, const char *text)
{
    FILE *file = fopen(f->file, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void listen_as_manager(struct fixture *f)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "weir-reload-test-%d", (int)getpid());
    f->manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    size_t size = offsetof(struct sockaddr_un, sun_path) + 1 + strlen(address.sun_path + 1);
    assert_int_equal(bind(f->manager, (struct sockaddr *)&address, (socklen_t)size), 0);
    snprintf(f->notify, sizeof f->notify, "NOTIFY_SOCKET=@%s", address.sun_path + 1);
}

/* What it says goes to `f`, and its standard input comes from there. */
static void start_child(struct fixture *f, const char *variable)
{
    int input[2];
    assert_int_equal(pipe2(input, O_CLOEXEC), 0);
    int own = dup(STDIN_FILENO);
    assert_true(dup2(input[0], STDIN_FILENO) == STDIN_FILENO);
    char config[64];
    snprintf(config, sizeof config, "--config=%s", f->file);
    process_start(
        &f->process,
        (const char *const[]){RELOAD_CHILD, config, "--rest.listen=127.0.0.1:0", "--app.report=text", NULL},
        (const char *const[]){"WEIR_LOG_FORMAT=json", variable, f->manager >= 0 ? f->notify : NULL, NULL});
    dup2(own, STDIN_FILENO);
    close(own);
    close(input[0]);
    f->to_stdin = input[1];
}

static void expect(struct fixture *f, const char *text)
{
    f->heard = process_await(&f->process, f->heard, text) + strlen(text);
}

static int start_ready(struct fixture *f)
{
    start_child(f, "RELOAD=1");
    expect(f, "port ");
    expect(f, "\n");
    int port = atoi(strstr(weir_buffer_text(&f->process.said), "port ") + 5);
    expect(f, "\"message\":\"ready\"");
    return port;
}

static void reload(struct fixture *f)
{
    assert_int_equal(kill(f->process.pid, SIGHUP), 0);
}

static void stop(struct fixture *f)
{
    kill(f->process.pid, SIGTERM);
    int status = process_end(&f->process);
    if (status != 0)
        fail_msg("wait status 0x%x; it said:\n%s", (unsigned)status, weir_buffer_text(&f->process.said));
}

static void assert_not_said(struct fixture *f, const char *text)
{
    if (strstr(weir_buffer_text(&f->process.said), text))
        fail_msg("unexpected \"%s\" in:\n%s", text, weir_buffer_text(&f->process.said));
}

static void what_is_live_changes_and_what_is_not_is_named(void **state)
{
    struct fixture *f = *state;
    write_config(f, "limits: {size: 3, kind: a, password: hunter}\n");
    start_ready(f);
    write_config(f, "limits: {size: 4, kind: b, password: hunter22}\napp: {deadline_ms: 24000}\n");
    reload(f);
    expect(f, "limits 4, password of 8\n");
    expect(f, "\"message\":\"configuration takes effect at the next start\",\"keys\":\"app.deadline_ms, "
              "limits.kind\"");
    expect(f, "\"message\":\"configuration was read again\",\"changed\":\"limits.size, limits.password\"");
    reload(f); /* the same again: what waits for the next start is still named, and nobody is told */
    expect(f, "\"keys\":\"app.deadline_ms, limits.kind\"");
    expect(f, "\"changed\":\"nothing\"");
    write_config(f, "{}\n"); /* back to the author's default, and to none */
    reload(f);
    expect(f, "limits 2, password of 0\n");
    stop(f);
    assert_not_said(f, "hunter");
}

static void a_bad_file_is_refused_with_its_mistakes_and_the_old_values_stay(void **state)
{
    struct fixture *f = *state;
    write_config(f, "log: {level: warn}\nlimits: {size: 3}\n");
    start_child(f, "RELOAD=1");
    expect(f, "port ");
    /* Ready is not logged at this level: what it refuses is, once it is. */
    write_config(f, "log: {level: info}\nlimits: {size: 4, sise: 1}\nrest: {timeout_ms: soon}\n");
    reload(f);
    expect(f, "\"problem\":");
    expect(f, "c.yaml:3: rest.timeout_ms: expected an integer, found \\\"soon\\\"");
    expect(f, "c.yaml:2: limits.sise: unknown key; did you mean size?");
    write_config(f, "limits: {size: [\n");
    reload(f);
    expect(f, "\"problem\":");
    unlink(f->file);
    reload(f);
    expect(f, "c.yaml: cannot open: No such file or directory");
    write_config(f, "limits: {size: 5}\n");
    reload(f);
    expect(f, "limits 5, password of 0\n");
    stop(f);
    assert_not_said(f, "limits 4");
}

static void the_level_of_the_log_changes(void **state)
{
    struct fixture *f = *state;
    write_config(f, "log: {level: info}\n");
    start_ready(f);
    assert_not_said(f, "\"level\":\"debug\"");
    write_config(f, "log: {level: debug}\n");
    reload(f);
    expect(f, "\"changed\":\"log.level\"");
    kill(f->process.pid, SIGTERM);
    expect(f, "\"level\":\"debug\"");
    assert_int_equal(process_end(&f->process), 0);
}

static int status_of_a_slow_call(int port)
{
    struct raw_answer *answer =
        raw_ask(port, "POST /v1/wait HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
                      "Connection: close\r\nContent-Length: 17\r\n\r\n{\"blockMs\": 4000}");
    int status = answer->status;
    free(answer);
    return status;
}

static void calls_over_rest_get_the_time_that_the_file_says_now(void **state)
{
    struct fixture *f = *state;
    write_config(f, "rest: {timeout_ms: 20000}\n");
    int port = start_ready(f);
    write_config(f, "rest: {timeout_ms: 50}\n");
    reload(f);
    expect(f, "\"changed\":\"rest.timeout_ms\"");
    assert_int_equal(status_of_a_slow_call(port), 504);
    stop(f);
}

static void flags_and_environment_still_beat_the_file(void **state)
{
    struct fixture *f = *state;
    write_config(f, "{}\n");
    start_child(f, "WEIR_LIMITS_SIZE=7");
    expect(f, "limits 7, ");
    expect(f, "\"message\":\"ready\"");
    write_config(f, "limits: {size: 4}\nrest: {listen: \"127.0.0.1:1\"}\n");
    reload(f);
    expect(f, "\"message\":\"configuration was read again\",\"changed\":\"nothing\"");
    stop(f);
    assert_not_said(f, "limits 4");
    assert_not_said(f, "takes effect at the next start");
}

static void during_the_start_it_waits_until_all_is_up(void **state)
{
    struct fixture *f = *state;
    write_config(f, "limits: {size: 3}\n");
    start_child(f, "RELOAD_SLOW=1");
    expect(f, "start waits\n");
    write_config(f, "limits: {size: 4}\n");
    reload(f);
    kill(f->process.pid, SIGUSR1); /* was heard after it */
    expect(f, "starting, ");
    assert_not_said(f, "limits 4");
    assert_int_equal(write(f->to_stdin, "go\n", 3), 3);
    expect(f, "limits 4, ");
    assert_int_equal(write(f->to_stdin, "go\n", 3), 3);
    stop(f);
}

static void during_a_stop_it_is_too_late(void **state)
{
    struct fixture *f = *state;
    write_config(f, "limits: {size: 3}\n");
    start_child(f, "RELOAD_SLOW=1");
    assert_int_equal(write(f->to_stdin, "go\n", 3), 3);
    expect(f, "\"message\":\"ready\"");
    kill(f->process.pid, SIGTERM);
    expect(f, "drain waits\n");
    write_config(f, "limits: {size: 4}\n");
    reload(f);
    expect(f, "configuration is not read again: a stop has begun");
    assert_int_equal(write(f->to_stdin, "go\n", 3), 3);
    expect(f, "cause SIGTERM  exit 0");
    assert_int_equal(process_end(&f->process), 0);
    assert_not_said(f, "limits 4");
}

struct word {
    char text[160];
};

static struct word told(struct fixture *f)
{
    struct pollfd end = {.fd = f->manager, .events = POLLIN};
    struct word word = {""};
    assert_int_equal(poll(&end, 1, PROCESS_PATIENCE_MS), 1);
    assert_true(recv(f->manager, word.text, sizeof word.text - 1, 0) > 0);
    return word;
}

/* sd_notify(3), "RELOADING=1", and systemd.service(5), Type=notify-reload. */
static void the_service_manager_is_told_when_it_begins_and_ends(void **state)
{
    struct fixture *f = *state;
    listen_as_manager(f);
    write_config(f, "limits: {size: 3}\n");
    start_ready(f);
    assert_string_equal(told(f).text, "READY=1");
    for (int bad = 0; bad < 2; bad++) {
        int64_t before = weir_now_ns() / 1000;
        write_config(f, bad ? "nonsense: {}\n" : "limits: {size: 4}\n");
        reload(f);
        long long begun = 0;
        assert_int_equal(sscanf(told(f).text, "RELOADING=1\nMONOTONIC_USEC=%lld", &begun), 1);
        assert_in_range(begun, before, weir_now_ns() / 1000);
        assert_string_equal(told(f).text,
                            bad ? "READY=1\nSTATUS=configuration is refused, the values that run stay"
                                : "READY=1\nSTATUS=configuration was read again");
    }
    stop(f);
    assert_string_equal(told(f).text, "STOPPING=1");
}

/* A session of its own on a terminal, which then goes away: the kernel sends the SIGHUP. */
static void a_terminal_that_goes_away_stops_it(void **state)
{
    struct fixture *f = *state;
    write_config(f, "{}\n");
    int terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    assert_true(terminal >= 0 && grantpt(terminal) == 0 && unlockpt(terminal) == 0);
    char script[256], *name = ptsname(terminal);
    snprintf(script, sizeof script, "exec setsid --ctty %s --config=%s --rest.listen=127.0.0.1:0 <%s",
             RELOAD_CHILD, f->file, name);
    process_start(&f->process, (const char *const[]){"/bin/sh", "-c", script, NULL}, NULL);
    expect(f, "\"message\":\"ready\"");
    close(terminal);
    expect(f, "cause SIGHUP  exit 0");
    assert_int_equal(process_end(&f->process), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(what_is_live_changes_and_what_is_not_is_named),
        TEST(a_bad_file_is_refused_with_its_mistakes_and_the_old_values_stay),
        TEST(the_level_of_the_log_changes),
        TEST(calls_over_rest_get_the_time_that_the_file_says_now),
        TEST(flags_and_environment_still_beat_the_file),
        TEST(during_the_start_it_waits_until_all_is_up),
        TEST(during_a_stop_it_is_too_late),
        TEST(the_service_manager_is_told_when_it_begins_and_ends),
        TEST(a_terminal_that_goes_away_stops_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
