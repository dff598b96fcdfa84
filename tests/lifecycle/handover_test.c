/* Upgrades that cannot be, and what follows of one. handover_load_test.c has many in a row under load. */
#include "test.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "process.h"
#include "raw_client.h"
#include "shelf.h"

/* ---- What cannot be ---- */

#define FAILED "upgrade failed, the running process goes on: "

static void expect_failure(struct shelf *f, const char *text)
{
    pid_t before = f->pid;
    shelf_upgrade(f, EX_UNAVAILABLE, text);
    assert_int_equal(kill(before, 0), 0);
    shelf_assert_serves(f);
}

static void expect_failure_as(struct shelf *f, const char *mode, const char *text)
{
    shelf_write(f->mode, mode);
    expect_failure(f, text);
    shelf_write(f->mode, "");
}

static void a_successor_that_does_not_become_ready_changes_nothing_and_the_command_says_why(void **state)
{
    (void)state;
    struct shelf f;
    shelf_prepare(&f);
    shelf_start(&f);
    expect_failure_as(&f, "fail", ": last: it was told to fail\n");
    expect_failure_as(&f, "exit", " exited with status 3 before it was ready: its log says why\n");
    assert_int_equal(unlink(f.program), 0);
    char expected[300];
    snprintf(expected, sizeof expected, FAILED "cannot run %s: No such file or directory\n", f.program);
    /* The command is another file than the service's by now. */
    f.argv[0] = HANDOVER_CHILD;
    expect_failure(&f, expected);
    assert_int_equal(symlink(HANDOVER_CHILD, f.program), 0);
    f.argv[0] = f.flags[0];

    shelf_upgrade(&f, 0, "is ready and serves"); /* and the next one is as good as the first */
    shelf_await_up(&f);
    shelf_assert_serves(&f);
    shelf_end(&f);
}

static void a_successor_that_takes_too_long_is_stopped(void **state)
{
    (void)state;
    struct shelf f;
    shelf_prepare(&f);
    shelf_flag(&f, "%s", "--app.upgrade_timeout_ms=300");
    shelf_start(&f);
    expect_failure_as(&f, "hang", " was not ready after 300 ms (app.upgrade_timeout_ms)\n");
    shelf_end(&f);
}

static void a_successor_that_hears_no_signal_is_killed(void **state)
{
    (void)state;
    struct shelf f;
    shelf_prepare(&f);
    shelf_flag(&f, "%s", "--app.upgrade_timeout_ms=500");
    shelf_flag(&f, "%s", "--app.deadline_ms=1500");
    shelf_start(&f);
    expect_failure_as(&f, "stop", FAILED);
    shelf_end(&f);
}

static void a_bad_configuration_is_told_by_the_command_or_by_the_successor(void **state)
{
    (void)state;
    struct shelf f;
    shelf_prepare(&f);
    shelf_start(&f);
    shelf_write(f.config, "app: {report: loud}\n");
    shelf_upgrade(&f, EX_CONFIG, "app.report: expected one of text, json, none, found \"loud\"");
    shelf_assert_serves(&f);
    /* The command may have another configuration than the service has got. */
    char *const own = f.flags[1];
    f.argv[1] = "--app.report=none";
    expect_failure(&f, "app.report: expected one of text, json, none, found \"loud\"");
    f.argv[1] = own;
    shelf_end(&f);
}

static void an_upgrade_is_refused_with_the_reason(void **state)
{
    (void)state;
    struct shelf f;
    shelf_prepare(&f);
    shelf_write(f.mode, "refuse\n");
    shelf_start(&f);
    shelf_upgrade(&f, EX_TEMPFAIL, "no upgrade: it was told to refuse\n");
    shelf_assert_serves(&f);
    shelf_end(&f);
}

static int connect_control(struct shelf *f)
{
    int fd = raw_connect_unix(f->control);
    assert_true(fd >= 0);
    return fd;
}

static void read_line(int fd, char *ret_line, size_t size)
{
    size_t length = 0;
    struct pollfd readable = {.fd = fd, .events = POLLIN};
    while (length + 1 < size && poll(&readable, 1, PROCESS_PATIENCE_MS) > 0 &&
           read(fd, ret_line + length, 1) == 1 && ret_line[length] != '\n')
        length++;
    ret_line[length] = 0;
}

/* Returns the connection of who asked for it. */
static int begin_upgrade_that_hangs(struct shelf *f, int *ret_successor)
{
    char line[300];
    shelf_prepare(f);
    shelf_start(f);
    shelf_write(f->mode, "hang\n");
    int fd = connect_control(f);
    assert_true(raw_send(fd, "upgrade\n"));
    read_line(fd, line, sizeof line);
    assert_int_equal(sscanf(line, "progress process %d starts: ", ret_successor), 1);
    return fd;
}

static void while_an_upgrade_runs_another_one_is_refused_and_who_goes_away_calls_it_off(void **state)
{
    (void)state;
    struct shelf f;
    int successor;
    int fd = begin_upgrade_that_hangs(&f, &successor);
    shelf_upgrade(&f, EX_TEMPFAIL, "no upgrade: another upgrade is under way\n");
    close(fd);
    f.heard = process_await(&f.service, f.heard, "who asked for the upgrade has gone away");
    assert_true(shelf_is_over(successor));
    shelf_assert_serves(&f);
    shelf_write(f.mode, "\n");
    shelf_upgrade(&f, 0, "is ready and serves");
    shelf_await_up(&f);
    shelf_end(&f);
}

static void before_the_successor_is_ready_the_running_process_alone_accepts(void **state)
{
    (void)state;
    struct shelf f;
    char line[300];
    int successor;
    shelf_prepare(&f);
    shelf_start(&f);
    shelf_write(f.mode, "hang\n"); /* when its servers are up already */
    int fd = connect_control(&f);
    assert_true(raw_send(fd, "upgrade\n"));
    read_line(fd, line, sizeof line);
    assert_int_equal(sscanf(line, "progress process %d starts: ", &successor), 1);
    process_await(&f.service, f.heard, "serving REST");
    int status;
    kill(f.service.pid, SIGSTOP); /* so nobody is there who accepts */
    assert_int_equal(waitpid(f.service.pid, &status, WUNTRACED), f.service.pid);
    assert_true(WIFSTOPPED(status));
    struct pollfd asked[3]; /* the first may wake the stopped one; the others would wake its successor */
    for (int i = 0; i < 3; i++) {
        asked[i] = (struct pollfd){.fd = raw_connect(f.rest), .events = POLLIN};
        raw_send(asked[i].fd, "GET /ready HTTP/1.1\r\nHost: h\r\n\r\n");
    }
    assert_int_equal(poll(asked, 3, 300), 0);
    kill(f.service.pid, SIGCONT);
    for (int i = 0; i < 3; i++) {
        struct raw_answer *answer = raw_read(asked[i].fd, false);
        assert_int_equal(answer->status, 200);
        free(answer);
        close(asked[i].fd);
    }
    close(fd);
    assert_true(shelf_is_over(successor));
    shelf_end(&f);
}

static void when_the_running_process_dies_its_successor_serves_also_who_waits_already(void **state)
{
    (void)state;
    struct shelf f;
    char line[300];
    shelf_prepare(&f);
    shelf_start(&f);
    shelf_write(f.mode, "wait\n");
    int fd = connect_control(&f);
    assert_true(raw_send(fd, "upgrade\n"));
    read_line(fd, line, sizeof line);
    process_await(&f.service, f.heard, "serving REST");
    kill(f.service.pid, SIGKILL);
    process_end(&f.service);
    int early = raw_connect(f.rest);
    assert_true(raw_send(early, "GET /ready HTTP/1.1\r\nHost: h\r\n\r\n"));
    shelf_write(f.mode, "go on\n");
    struct raw_answer *answer = raw_read(early, false);
    assert_int_equal(answer->status, 200);
    free(answer);
    close(early);
    close(fd);
    shelf_await_up(&f);
    process_await(&f.service, 0, "the process before this one is gone, this one serves");
    shelf_assert_serves(&f);
    shelf_upgrade(&f, 0, "is ready and serves"); /* and can hand over itself */
    shelf_await_up(&f);
    shelf_end(&f);
}

static void upgrades_may_follow_while_earlier_processes_still_drain(void **state)
{
    (void)state;
    struct shelf f;
    int calls[3], controls[3];
    pid_t before[3];
    shelf_prepare(&f);
    shelf_start(&f);
    for (int i = 0; i < 3; i++) {
        calls[i] = raw_connect(f.rest);
        raw_send(calls[i], "POST /v1/wait HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
                           "Content-Length: 16\r\n\r\n{\"blockMs\":2000}");
        char line[300] = "";
        before[i] = f.pid;
        controls[i] = connect_control(&f);
        assert_true(raw_send(controls[i], "upgrade\n"));
        while (strncmp(line, "done ", 5) != 0)
            read_line(controls[i], line, sizeof line);
        shelf_await_up(&f);
    }
    for (int i = 0; i < 3; i++) {
        struct raw_answer *answer = raw_read(calls[i], false);
        assert_int_equal(answer->status, 200);
        free(answer);
        close(calls[i]);
        close(controls[i]);
    }
    assert_int_equal(process_end(&f.service), 0);
    assert_true(shelf_is_over(before[1]));
    assert_true(shelf_is_over(before[2]));
    shelf_assert_serves(&f);
    shelf_end(&f);
}

static void the_service_stays_ready_on_connections_that_the_old_process_still_has(void **state)
{
    (void)state;
    struct shelf f;
    char line[300] = "";
    shelf_prepare(&f);
    shelf_start(&f);
    int kept = raw_connect(f.rest);
    struct raw_answer *answer;
    raw_send(kept, "GET /ready HTTP/1.1\r\nHost: h\r\n\r\n");
    answer = raw_read(kept, false); /* so it is the old process's */
    free(answer);
    int fd = connect_control(&f);
    assert_true(raw_send(fd, "upgrade\n"));
    while (strncmp(line, "done ", 5) != 0)
        read_line(fd, line, sizeof line);
    raw_send(kept, "GET /ready HTTP/1.1\r\nHost: h\r\n\r\n");
    answer = raw_read(kept, false);
    assert_int_equal(answer->status, 200);
    free(answer);
    close(kept);
    close(fd);
    shelf_await_up(&f);
    shelf_end(&f);
}

/* In a namespace of its own, as a container has it. */
static void as_pid_1_it_refuses(void **state)
{
    (void)state;
    struct shelf f;
    shelf_prepare(&f);
    const char *argv[ARGUMENTS_MAX + 8] = {"/usr/bin/unshare", "--user",      "--map-root-user", "--pid",
                                           "--fork",           "--kill-child"};
    memcpy(argv + 6, f.argv, (size_t)f.argc * sizeof *argv);
    struct process probe;
    process_start(&probe,
                  (const char *const[]){"/usr/bin/unshare", "--user", "--map-root-user", "--pid", "--fork",
                                        "/bin/true", NULL},
                  NULL);
    bool allowed = process_end(&probe) == 0;
    process_free(&probe);
    if (allowed) {
        process_start(&f.service, argv, f.environment);
        shelf_await_up(&f);
        assert_int_equal(f.pid, 1);
        process_await(&f.service, 0, "\"message\":\"ready\"");
        shelf_upgrade(&f, EX_TEMPFAIL,
                      "no upgrade: this process is PID 1 of its container, which would end with it: "
                      "start a new container instead\n");
        shelf_assert_serves(&f);
        kill(f.service.pid, SIGKILL); /* and with it its child */
        process_end(&f.service);
        unlink(f.control);
    }
    f.pid = f.service.pid = 0;
    shelf_end(&f);
    if (!allowed)
        skip(); /* a container may forbid namespaces */
}

static void while_it_starts_or_is_not_there_it_refuses(void **state)
{
    (void)state;
    struct shelf f;
    shelf_prepare(&f);
    shelf_upgrade(&f, EX_UNAVAILABLE,
                  "No such file or directory; does the service run, with this app.control?\n");
    shelf_write(f.mode, "hang\n");

    process_start(&f.service, f.argv, f.environment);
    process_await(&f.service, 0, "serving REST");
    shelf_upgrade(&f, EX_TEMPFAIL, "no upgrade: it is still starting\n");
    f.pid = f.service.pid;
    shelf_end(&f);
}

static void a_word_that_is_not_known_is_refused_and_only_its_user_may_ask(void **state)
{
    (void)state;
    struct shelf f;
    char line[300];
    struct stat file;
    shelf_prepare(&f);
    shelf_start(&f);
    assert_int_equal(stat(f.control, &file), 0);
    assert_int_equal(file.st_mode & 07777, 0600);
    int fd = connect_control(&f);
    assert_true(raw_send(fd, "downgrade\n"));
    read_line(fd, line, sizeof line);
    assert_string_equal(line, "refused what was asked for is not known here");
    close(fd);
    shelf_end(&f);
}

static void without_a_control_socket_there_is_none(void **state)
{
    (void)state;
    struct shelf f;
    shelf_prepare(&f);
    f.argv[2] = "--app.report=none";
    shelf_start(&f);
    shelf_upgrade(&f, EX_CONFIG, "no upgrade: app.control is not set");
    shelf_end(&f);
}

/* ---- What follows ---- */

static void a_stop_during_an_upgrade_ends_both(void **state)
{
    (void)state;
    struct shelf f;
    int successor;
    int fd = begin_upgrade_that_hangs(&f, &successor);
    kill(f.service.pid, SIGTERM);
    assert_int_equal(process_end(&f.service), 0);
    assert_true(shelf_is_over(successor));
    close(fd);
    shelf_end(&f);
}

static void a_file_that_takes_the_place_of_the_program_is_what_is_started(void **state)
{
    (void)state;
    struct shelf f;
    shelf_prepare(&f);
    assert_int_equal(unlink(f.program), 0);
    shelf_copy_program(f.program);
    shelf_start(&f);
    shelf_copy_program(f.program); /* another inode by the same name */
    struct stat installed, running;
    assert_int_equal(stat(f.program, &installed), 0);
    shelf_upgrade(&f, 0, "is ready and serves");
    shelf_await_up(&f);
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/exe", (int)f.pid);
    assert_int_equal(stat(path, &running), 0);
    assert_true(running.st_ino == installed.st_ino);
    shelf_end(&f);
}

static void the_cause_is_in_the_context_and_in_the_report(void **state)
{
    (void)state;
    struct shelf f;
    shelf_prepare(&f);
    shelf_write(f.mode, "announcer\n");
    shelf_flag(&f, "%s", "--app.report=text");
    shelf_flag(&f, "%s", "--app.deadline_ms=90000");
    shelf_flag(&f, "%s", "--app.pre_drain_ms=60000"); /* longer than anybody waits here: there is none */
    shelf_start(&f);
    shelf_write(f.mode, "\n");
    shelf_upgrade(&f, 0, "is ready and serves");
    char expected[100];
    shelf_await_up(&f);
    snprintf(expected, sizeof expected, "  cause handover to process %d  exit 0\n", (int)f.pid);
    process_await(&f.service, 0, "\nhandover 1\n");
    process_await(&f.service, 0, "stop clean: ");
    process_await(&f.service, 0, expected);
    assert_int_equal(process_end(&f.service), 0);
    f.argc--;
    kill(f.pid, SIGKILL); /* it would announce its stop for a minute */
    assert_true(shelf_is_over(f.pid));
    unlink(f.control);
    shelf_end(&f);
}

static void
a_successor_that_crashes_later_does_not_bring_the_old_one_back_and_its_drain_is_clean(void **state)
{
    (void)state;
    struct shelf f;
    shelf_prepare(&f);
    shelf_start(&f);
    int fd = raw_connect(f.rest);
    raw_send(fd, "POST /v1/wait HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
                 "Content-Length: 16\r\n\r\n{\"blockMs\":1500}");
    int control = connect_control(&f);
    assert_true(raw_send(control, "upgrade\n"));
    char line[300] = "";
    while (strncmp(line, "done ", 5) != 0)
        read_line(control, line, sizeof line);
    shelf_await_up(&f);
    kill(f.pid, SIGKILL);
    assert_true(shelf_is_over(f.pid));
    struct raw_answer *answer = raw_read(fd, false);
    assert_int_equal(answer->status, 200);
    free(answer);
    close(fd);
    assert_int_equal(process_end(&f.service), 0);
    close(control);
    unlink(f.control);
    shelf_end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_successor_that_does_not_become_ready_changes_nothing_and_the_command_says_why),
        cmocka_unit_test(a_successor_that_takes_too_long_is_stopped),
        cmocka_unit_test(a_successor_that_hears_no_signal_is_killed),
        cmocka_unit_test(a_bad_configuration_is_told_by_the_command_or_by_the_successor),
        cmocka_unit_test(an_upgrade_is_refused_with_the_reason),
        cmocka_unit_test(while_an_upgrade_runs_another_one_is_refused_and_who_goes_away_calls_it_off),
        cmocka_unit_test(before_the_successor_is_ready_the_running_process_alone_accepts),
        cmocka_unit_test(when_the_running_process_dies_its_successor_serves_also_who_waits_already),
        cmocka_unit_test(upgrades_may_follow_while_earlier_processes_still_drain),
        cmocka_unit_test(the_service_stays_ready_on_connections_that_the_old_process_still_has),
        cmocka_unit_test(as_pid_1_it_refuses),
        cmocka_unit_test(while_it_starts_or_is_not_there_it_refuses),
        cmocka_unit_test(a_word_that_is_not_known_is_refused_and_only_its_user_may_ask),
        cmocka_unit_test(without_a_control_socket_there_is_none),
        cmocka_unit_test(a_stop_during_an_upgrade_ends_both),
        cmocka_unit_test(a_file_that_takes_the_place_of_the_program_is_what_is_started),
        cmocka_unit_test(the_cause_is_in_the_context_and_in_the_report),
        cmocka_unit_test(
            a_successor_that_crashes_later_does_not_bring_the_old_one_back_and_its_drain_is_clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
