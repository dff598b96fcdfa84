/* A real process, real threads, real signals: lifecycle_child is started, told what to do, and its exit is
 * looked at. */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include <weir/bytes.h>
#include <weir/clock.h>

#define DEADLINE_MS 20000
#define NOT_ALLOWED 99 /* a container may forbid namespaces */

struct child {
    pid_t pid;
    int out, err;
    struct weir_buffer said, complained;
    int64_t deadline_ns;
};

/* The parent of a namespace's first process: it ends as that one does. */
static void become_first_of_a_namespace(void)
{
    if (unshare(getuid() == 0 ? CLONE_NEWPID : CLONE_NEWUSER | CLONE_NEWPID) != 0)
        _exit(NOT_ALLOWED);
    pid_t first = fork();
    if (first == 0)
        return;
    int status;
    _exit(waitpid(first, &status, 0) == first && WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

static void start_child_as(struct child *child, bool first, const char *const *arguments)
{
    int out[2], err[2];
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    assert_int_equal(pipe2(err, O_CLOEXEC), 0);
    *child = (struct child){.out = out[0], .err = err[0], .deadline_ns = weir_deadline_in_ms(DEADLINE_MS)};
    child->pid = fork();
    assert_true(child->pid >= 0);
    if (child->pid == 0) {
        const char *argv[16] = {LIFECYCLE_CHILD};
        for (int i = 0; arguments[i]; i++)
            argv[i + 1] = arguments[i];
        if (first)
            become_first_of_a_namespace();
        dup2(out[1], STDOUT_FILENO);
        dup2(err[1], STDERR_FILENO);
        execv(LIFECYCLE_CHILD, (char *const *)argv);
        _exit(127);
    }
    close(out[1]);
    close(err[1]);
}

static void start_child(struct child *child, const char *const *arguments)
{
    start_child_as(child, false, arguments);
}

/* Reads what is there or comes; false at the end of both. */
static bool listen_to(struct child *child)
{
    struct pollfd ends[] = {{.fd = child->out, .events = POLLIN}, {.fd = child->err, .events = POLLIN}};
    int64_t left = (child->deadline_ns - weir_now_ns()) / WEIR_NS_PER_MS;
    if (left <= 0 || poll(ends, 2, (int)left) <= 0) {
        kill(child->pid, SIGKILL);
        fail_msg("the child did not do what it should in %d ms; it said:\n%s\n%s", DEADLINE_MS,
                 weir_buffer_text(&child->said), weir_buffer_text(&child->complained));
    }
    for (int i = 0; i < 2; i++) {
        struct weir_buffer *buffer = i == 0 ? &child->said : &child->complained;
        ssize_t size = ends[i].revents ? read(ends[i].fd, weir_buffer_reserve(buffer, 4096), 4096) : 0;
        if (size > 0)
            buffer->size += (size_t)size;
        else if (ends[i].revents)
            *(i == 0 ? &child->out : &child->err) = -1;
    }
    return child->out >= 0 || child->err >= 0;
}

static void wait_for_line(struct child *child, const char *line)
{
    while (!strstr(weir_buffer_text(&child->said), line))
        assert_true(listen_to(child));
}

static void wait_for_complaint(struct child *child, const char *text)
{
    while (!strstr(weir_buffer_text(&child->complained), text))
        assert_true(listen_to(child));
}

static void assert_exit(struct child *child, int expected)
{
    while (listen_to(child))
        continue;
    int status;
    assert_int_equal(waitpid(child->pid, &status, 0), child->pid);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != expected)
        fail_msg("wait status 0x%x, expected exit %d; it said:\n%s\n%s", (unsigned)status, expected,
                 weir_buffer_text(&child->said), weir_buffer_text(&child->complained));
}

static void assert_said(struct child *child, const char *text)
{
    if (!strstr(weir_buffer_text(&child->said), text))
        fail_msg("expected \"%s\" in:\n%s", text, weir_buffer_text(&child->said));
}

static void assert_not_said(struct child *child, const char *text)
{
    if (strstr(weir_buffer_text(&child->said), text))
        fail_msg("unexpected \"%s\" in:\n%s", text, weir_buffer_text(&child->said));
}

static void assert_complained(struct child *child, const char *text)
{
    if (!strstr(weir_buffer_text(&child->complained), text))
        fail_msg("expected \"%s\" in:\n%s", text, weir_buffer_text(&child->complained));
}

static void end_child(struct child *child)
{
    weir_buffer_free(&child->said);
    weir_buffer_free(&child->complained);
}

#define START(child, ...) start_child(child, (const char *const[]){__VA_ARGS__, NULL})

static void a_signal_stops_everything_in_order_and_the_exit_is_0(void **state)
{
    (void)state;
    struct child child;
    START(&child, "plain");
    wait_for_complaint(&child, "\"message\":\"ready\"");
    kill(child.pid, SIGTERM);
    assert_exit(&child, 0);
    const char *said = weir_buffer_text(&child.said);
    assert_true(strstr(said, "start db\n") < strstr(said, "start api\n"));
    assert_true(strstr(said, "finish api\n") < strstr(said, "quiesce db\n"));
    assert_true(strstr(said, "destroy api\n") < strstr(said, "destroy db\n"));
    assert_complained(&child, "stop clean: ");
    assert_complained(&child, "  cause SIGTERM  exit 0\n");
    end_child(&child);
}

static void a_failed_start_stops_what_started_and_the_exit_is_69(void **state)
{
    (void)state;
    struct child child;
    START(&child, "start-fails");
    assert_exit(&child, EX_UNAVAILABLE);
    assert_not_said(&child, "drain api");
    assert_said(&child, "destroy api");
    assert_said(&child, "finish db");
    assert_complained(&child, "cause start of api: port 1 is taken  exit 69");
    end_child(&child);
}

static void a_signal_during_start_cancels_it(void **state)
{
    (void)state;
    struct child child;
    START(&child, "start-waits");
    wait_for_line(&child, "start api\n");
    kill(child.pid, SIGINT);
    assert_exit(&child, 0);
    assert_complained(&child, "api: start failed: CANCELLED: was told to stop starting\n");
    assert_said(&child, "finish db");
    end_child(&child);
}

static void a_hung_drain_is_given_up_named_with_its_stack_and_everybody_else_finishes(void **state)
{
    (void)state;
    struct child child;
    START(&child, "drain-hangs", "--app.deadline_ms=2500");
    wait_for_complaint(&child, "\"message\":\"ready\"");
    kill(child.pid, SIGTERM);
    assert_exit(&child, EX_TEMPFAIL);
    assert_said(&child, "finish other");
    assert_said(&child, "finish db");
    assert_not_said(&child, "finish api");
    assert_not_said(&child, "destroy db");
    assert_complained(&child, "exit 75, forced");
    assert_complained(&child, "ABANDONED in drain");
    assert_complained(&child, "not destroyed: api (running); db (held by api)");
    assert_complained(&child, "api: still in drain\n");
    assert_complained(&child, "pause"); /* a frame of its stack */
    end_child(&child);
}

/* Two signals at once are one; the next one counts when 300 ms have passed since the last. */
static void a_second_signal_cuts_the_drain_at_once(void **state)
{
    (void)state;
    struct child child;
    START(&child, "drain-waits");
    wait_for_complaint(&child, "\"message\":\"ready\"");
    int64_t begun = weir_now_ns();
    kill(child.pid, SIGTERM);
    kill(child.pid, SIGINT);
    wait_for_line(&child, "drain api\n");
    while (weir_now_ns() - begun < 700 * WEIR_NS_PER_MS) /* the rule itself is about time */
        poll(NULL, 0, 50);
    assert_not_said(&child, "finish api");
    kill(child.pid, SIGTERM);
    assert_exit(&child, EX_TEMPFAIL);
    assert_true(weir_now_ns() - begun < 10 * WEIR_NS_PER_S);
    assert_said(&child, "finish api");
    assert_complained(&child, ", second at ");
    end_child(&child);
}

static void a_component_that_dies_stops_the_service_with_70(void **state)
{
    (void)state;
    struct child child;
    START(&child, "dies");
    assert_exit(&child, EX_SOFTWARE);
    assert_complained(&child, "cause api failed: lost its disk  exit 70");
    end_child(&child);
}

static void a_component_that_may_is_restarted_in_place(void **state)
{
    (void)state;
    struct child child;
    START(&child, "dies-once", "--api.restart_most=1", "--api.restart_first_backoff_ms=1");
    assert_exit(&child, 0);
    const char *again = strstr(weir_buffer_text(&child.said), "finish api\nstart api\n");
    assert_non_null(again);
    assert_non_null(strstr(again, "destroy api\n"));
    assert_complained(&child, "restarts 1");
    end_child(&child);
}

static void a_stop_may_be_asked_for_by_the_program(void **state)
{
    (void)state;
    struct child child;
    START(&child, "stops-itself", "--app.report=json");
    assert_exit(&child, 0);
    assert_complained(&child, "\"cause\": {\"kind\": \"stop\", \"text\": \"all is done\"}");
    end_child(&child);
}

static void author_mistakes_and_configuration_are_reported_together_with_78(void **state)
{
    (void)state;
    struct child child;
    START(&child, "mistakes", "--app.deadline_ms=soon", "--db.nonsense=1");
    assert_exit(&child, EX_CONFIG);
    assert_not_said(&child, "start");
    assert_said(&child, "destroy api");
    assert_complained(&child, "deadline_ms");
    assert_complained(&child, "nonsense");
    assert_complained(&child, "api: added twice");
    assert_complained(&child, "api: something in its needs is no component");
    end_child(&child);
}

static void modes_say_what_they_are_asked_and_run_nothing(void **state)
{
    (void)state;
    static const struct {
        const char *flag, *expected;
    } modes[] = {
        {"--help", "finish_min_ms"},
        {"--version", "child (weir "},
        {"--check-config", "configuration is good"},
        {"--print-config", "pre_drain_ms"},
        {"--plan", "plan of child: deadline 25000 ms"},
        {"--plan=json", "{\"weir_plan\": 1, \"service\": \"child\""},
        {"--plan=dot", "digraph \"child\" {"},
        {"--plan=kubernetes", "terminationGracePeriodSeconds: 32"},
        {"--plan=systemd", "TimeoutStopSec=27"},
        {"--migrate", "nothing to migrate"},
        {"--migrate=dry-run", "nothing to migrate"},
    };
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        struct child child;
        START(&child, "plain", modes[i].flag);
        assert_exit(&child, 0);
        assert_said(&child, modes[i].expected);
        assert_not_said(&child, "start db");
        assert_said(&child, "destroy db");
        end_child(&child);
    }
}

static void a_deadline_beyond_the_grace_of_the_platform_is_refused(void **state)
{
    (void)state;
    struct child child;
    setenv("WEIR_PLATFORM_GRACE_MS", "27000", 1);
    START(&child, "plain", "--app.deadline_ms=27001");
    assert_exit(&child, EX_CONFIG);
    assert_complained(&child, "27001");
    assert_complained(&child, "27000");
    assert_not_said(&child, "start db");
    end_child(&child);
    START(&child, "plain", "--app.deadline_ms=27000", "--check-config");
    unsetenv("WEIR_PLATFORM_GRACE_MS");
    assert_exit(&child, 0);
    end_child(&child);
}

struct word {
    char text[64];
};

static struct word told(int descriptor)
{
    struct pollfd end = {.fd = descriptor, .events = POLLIN};
    struct word word = {""};
    assert_int_equal(poll(&end, 1, DEADLINE_MS), 1);
    assert_true(recv(descriptor, word.text, sizeof word.text - 1, 0) > 0);
    return word;
}

static void assert_told(int descriptor, const char *expected)
{
    assert_string_equal(told(descriptor).text, expected);
}

/* Listens where the next child will tell it; caller closes, and unsets NOTIFY_SOCKET. */
static int be_the_service_manager(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "weir-app-test-%d", (int)getpid());
    int descriptor = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    size_t size = offsetof(struct sockaddr_un, sun_path) + 1 + strlen(address.sun_path + 1);
    assert_int_equal(bind(descriptor, (struct sockaddr *)&address, (socklen_t)size), 0);
    address.sun_path[0] = '@';
    setenv("NOTIFY_SOCKET", address.sun_path, 1);
    return descriptor;
}

static void the_service_manager_is_told_ready_and_stopping(void **state)
{
    (void)state;
    int descriptor = be_the_service_manager();
    struct child child;
    START(&child, "plain");
    unsetenv("NOTIFY_SOCKET");
    assert_told(descriptor, "READY=1");
    kill(child.pid, SIGTERM);
    assert_told(descriptor, "STOPPING=1");
    assert_exit(&child, 0);
    close(descriptor);
    end_child(&child);
}

static void the_service_managers_watchdog_hears_it_until_it_stops(void **state)
{
    (void)state;
    int descriptor = be_the_service_manager();
    setenv("WATCHDOG_USEC", "60000", 1);
    struct child child;
    START(&child, "plain");
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    wait_for_complaint(&child, "\"message\":\"ready\"");
    while (strcmp(told(descriptor).text, "READY=1") != 0)
        continue;
    for (int i = 0; i < 5; i++)
        assert_told(descriptor, "WATCHDOG=1");
    kill(child.pid, SIGTERM);
    assert_exit(&child, 0);
    close(descriptor);
    end_child(&child);
}

static void a_process_whose_stop_hangs_itself_is_ended_by_the_watchdog(void **state)
{
    (void)state;
    struct child child;
    START(&child, "freezes", "--app.deadline_ms=2500");
    wait_for_complaint(&child, "\"message\":\"ready\"");
    kill(child.pid, SIGTERM);
    assert_exit(&child, EX_TEMPFAIL);
    assert_complained(&child, "the stop's deadline is over, the process ends now");
    end_child(&child);
}

static void a_handler_of_exit_that_hangs_is_ended_by_the_watchdog(void **state)
{
    (void)state;
    struct child child;
    START(&child, "exit-hangs", "--app.deadline_ms=2500");
    wait_for_complaint(&child, "\"message\":\"ready\"");
    kill(child.pid, SIGTERM);
    assert_exit(&child, EX_TEMPFAIL);
    assert_complained(&child, "stop clean");
    assert_complained(&child, "exit() has not come to its end");
    end_child(&child);
}

static void a_report_that_nobody_reads_does_not_hold_the_process(void **state)
{
    (void)state;
    struct child child;
    START(&child, "unheard", "--app.deadline_ms=2500");
    wait_for_line(&child, "start other");
    kill(child.pid, SIGTERM);
    assert_exit(&child, EX_TEMPFAIL);
    assert_said(&child, "destroy db");
    end_child(&child);
}

static void a_process_that_adopts_leaves_no_zombies(void **state)
{
    (void)state;
    struct child child;
    START(&child, "adopts");
    assert_exit(&child, 0);
    assert_said(&child, "reaped the orphan of api\n");
    end_child(&child);
}

static void it_works_as_pid_1(void **state)
{
    (void)state;
    struct child child;
    start_child_as(&child, true, (const char *const[]){"adopts", NULL});
    while (listen_to(&child))
        continue;
    int status;
    assert_int_equal(waitpid(child.pid, &status, 0), child.pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == NOT_ALLOWED) {
        end_child(&child);
        skip();
    }
    assert_int_equal(status, 0);
    assert_said(&child, "reaped the orphan of api\n");
    assert_complained(&child, "  cause SIGTERM  exit 0\n");
    end_child(&child);
}

static void a_process_that_does_not_adopt_leaves_children_to_those_who_made_them(void **state)
{
    (void)state;
    struct child child;
    START(&child, "has-child");
    wait_for_complaint(&child, "\"message\":\"ready\"");
    kill(child.pid, SIGTERM);
    assert_exit(&child, 0);
    assert_said(&child, "waited for the child of api\n");
    end_child(&child);
}

static void sigusr1_says_what_every_component_does_and_changes_nothing(void **state)
{
    (void)state;
    struct child child;
    START(&child, "start-waits");
    wait_for_line(&child, "start api\n");
    kill(child.pid, SIGUSR1);
    wait_for_complaint(&child, "waits for\n");
    assert_complained(&child, "): starting, ");
    wait_for_complaint(&child, "api        starting  ");
    kill(child.pid, SIGTERM);
    assert_exit(&child, 0);
    end_child(&child);

    START(&child, "drain-waits", "--app.deadline_ms=2500");
    wait_for_complaint(&child, "\"message\":\"ready\"");
    kill(child.pid, SIGUSR1);
    wait_for_complaint(&child, "): ready, 3 of 3 are up\n");
    kill(child.pid, SIGTERM);
    wait_for_line(&child, "drain api\n");
    kill(child.pid, SIGUSR1);
    wait_for_complaint(&child, "): stopping, ");
    assert_exit(&child, EX_TEMPFAIL);
    assert_complained(&child, "api        draining");
    end_child(&child);
}

/* Each start hears of the one before it, and of no other. */
static void the_next_start_tells_of_a_run_that_did_not_end_well(void **state)
{
    (void)state;
    char path[64], flag[96], last[80];
    snprintf(path, sizeof path, "/tmp/weir-report-%d.json", (int)getpid());
    snprintf(flag, sizeof flag, "--app.report_file=%s", path);
    snprintf(last, sizeof last, "%s.last", path);
    static const struct {
        const char *scenario;
        int signal, exit;
        const char *tells; /* NULL: nothing */
    } runs[] = {
        {"dies", 0, EX_SOFTWARE, NULL},
        {"plain", SIGTERM, 0,
         "\"message\":\"the last run did not end well\",\"outcome\":\"clean\",\"exit\":\"70\",\"cause\":"
         "\"lost its disk\""},
        {"plain", SIGKILL, -1, NULL},
        {"plain", SIGTERM, 0, "\"message\":\"the last run ended without a report: it was killed"},
        {"plain", SIGTERM, 0, NULL},
    };
    for (size_t i = 0; i < sizeof runs / sizeof runs[0]; i++) {
        struct child child;
        START(&child, runs[i].scenario, flag);
        if (runs[i].signal) {
            wait_for_complaint(&child, "\"message\":\"ready\"");
            kill(child.pid, runs[i].signal);
        }
        if (runs[i].exit >= 0) {
            assert_exit(&child, runs[i].exit);
        } else {
            while (listen_to(&child))
                continue;
            assert_int_equal(waitpid(child.pid, NULL, 0), child.pid);
        }
        if (runs[i].tells)
            assert_complained(&child, runs[i].tells);
        else
            assert_null(strstr(weir_buffer_text(&child.complained), "the last "));
        end_child(&child);
    }
    assert_int_equal(unlink(path), 0);
    assert_int_equal(unlink(last), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_signal_stops_everything_in_order_and_the_exit_is_0),
        cmocka_unit_test(a_failed_start_stops_what_started_and_the_exit_is_69),
        cmocka_unit_test(a_signal_during_start_cancels_it),
        cmocka_unit_test(a_hung_drain_is_given_up_named_with_its_stack_and_everybody_else_finishes),
        cmocka_unit_test(a_second_signal_cuts_the_drain_at_once),
        cmocka_unit_test(a_component_that_dies_stops_the_service_with_70),
        cmocka_unit_test(a_component_that_may_is_restarted_in_place),
        cmocka_unit_test(a_stop_may_be_asked_for_by_the_program),
        cmocka_unit_test(author_mistakes_and_configuration_are_reported_together_with_78),
        cmocka_unit_test(modes_say_what_they_are_asked_and_run_nothing),
        cmocka_unit_test(a_deadline_beyond_the_grace_of_the_platform_is_refused),
        cmocka_unit_test(the_service_manager_is_told_ready_and_stopping),
        cmocka_unit_test(the_service_managers_watchdog_hears_it_until_it_stops),
        cmocka_unit_test(a_process_whose_stop_hangs_itself_is_ended_by_the_watchdog),
        cmocka_unit_test(a_handler_of_exit_that_hangs_is_ended_by_the_watchdog),
        cmocka_unit_test(a_report_that_nobody_reads_does_not_hold_the_process),
        cmocka_unit_test(a_process_that_adopts_leaves_no_zombies),
        cmocka_unit_test(it_works_as_pid_1),
        cmocka_unit_test(a_process_that_does_not_adopt_leaves_children_to_those_who_made_them),
        cmocka_unit_test(sigusr1_says_what_every_component_does_and_changes_nothing),
        cmocka_unit_test(the_next_start_tells_of_a_run_that_did_not_end_well),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
