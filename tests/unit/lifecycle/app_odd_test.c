/* What odd_test.c is about, where it takes a real process, real signals and the real clock. */
#include "test.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include <weir/clock.h>

#include "process.h"

/* Runs until it is ready. */
static void start_ready(struct process *process, const char *scenario, const char *flag)
{
    const char *const argv[] = {LIFECYCLE_CHILD, scenario, flag, NULL};
    process_start(process, argv, NULL);
    process_await(process, 0, "\"message\":\"ready\"");
}

static void assert_exit(struct process *process, int status)
{
    int ended = process_end(process);
    if (!WIFEXITED(ended) || WEXITSTATUS(ended) != status)
        fail_msg("wait status 0x%x, expected exit %d; it said:\n%s", (unsigned)ended, status,
                 weir_buffer_text(&process->said));
}

static void assert_said(struct process *process, const char *text)
{
    process_await(process, 0, text);
}

/* It has its parent's sockets and none of its threads, so it must not go on as a service; its parent does not notice. */
static void a_process_that_a_callback_forks_never_goes_on_as_the_service(void **state)
{
    (void)state;
    static const struct {
        const char *scenario, *says;
    } cases[] = {
        {"fork-returns", "child exited with 70 in api\n"},
        {"fork-exits", "child exited with 7 in api\n"},
        {"fork-killed", "child was ended by signal 9 in api\n"},
        {"fork-runs",
         "child was ended by signal 15 in api\n"}, /* another program, which hears SIGTERM as ever */
    };
    /* In a forked process LeakSanitizer finds no threads, and takes what theirs hold for leaked. */
    setenv("ASAN_OPTIONS", "detect_leaks=0", 1);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct process process;
        start_ready(&process, cases[i].scenario, NULL);
        kill(process.pid, SIGTERM);
        assert_exit(&process, 0);
        assert_said(&process, cases[i].says);
        const char *once = strstr(weir_buffer_text(&process.said), "finish api\n");
        assert_non_null(once);
        assert_null(strstr(once + 1, "finish api\n"));
        process_free(&process);
    }
    unsetenv("ASAN_OPTIONS");
}

static void a_callback_that_ends_its_thread_is_given_up(void **state)
{
    (void)state;
    struct process process;
    start_ready(&process, "thread-exits", "--app.deadline_ms=2500");
    kill(process.pid, SIGTERM);
    assert_exit(&process, EX_TEMPFAIL);
    assert_said(&process, "finish db");
    assert_said(&process, "ABANDONED in drain");
    process_free(&process);
}

static void thousands_of_signals_are_one_and_work_is_cut_at_its_time(void **state)
{
    (void)state;
    struct process process;
    start_ready(&process, "drain-waits", "--app.deadline_ms=2500");
    for (int i = 0; i < 500; i++) { /* over before the drain is cut, on a busy machine, too */
        kill(process.pid, SIGUSR1);
        kill(process.pid, SIGHUP);
        kill(process.pid, SIGTERM);
        kill(process.pid, SIGINT);
    }
    assert_exit(&process, EX_TEMPFAIL);
    assert_said(&process, "stop UNCLEAN");
    assert_said(&process, "exit 75\n");
    assert_said(&process, "waits for\n");
    assert_said(&process, "finish api");
    assert_said(&process, "destroy db");
    assert_null(strstr(weir_buffer_text(&process.said), "second at"));
    process_free(&process);
}

/* Printed each time, a thousand answers keep the lifecycle's thread from the drain's return. */
static void a_storm_of_sigusr1_is_answered_once_a_second_and_told_how_many_it_answers(void **state)
{
    (void)state;
    struct process process;
    start_ready(&process, "drain-waits", "--app.deadline_ms=2500");
    int64_t begun = weir_now_ns();
    while (weir_now_ns() - begun < 500 * WEIR_NS_PER_MS) {
        kill(process.pid, SIGUSR1);
        usleep(200);
    }
    process_await(&process, 0, " more of the last second\n"); /* none is left without an answer */
    double took_s = (double)(weir_now_ns() - begun) / WEIR_NS_PER_S;
    kill(process.pid, SIGTERM);
    assert_exit(&process, EX_TEMPFAIL);
    int answers = 0;
    for (const char *at = weir_buffer_text(&process.said); (at = strstr(at, "waits for\n")); at++)
        answers++;
    assert_true(answers >= 2);
    assert_true(answers <= 2 + (int)took_s);
    process_free(&process);
}

/* As by a debugger, a hypervisor or a laptop's lid, in the middle of a drain. */
static void a_process_that_was_frozen_past_its_deadline_ends_at_once_with_75(void **state)
{
    (void)state;
    struct process process;
    start_ready(&process, "drain-waits", "--app.deadline_ms=2500");
    kill(process.pid, SIGTERM);
    process_await(&process, 0, "drain api\n");
    kill(process.pid, SIGSTOP);
    int64_t thawed = weir_now_ns() + 2600 * WEIR_NS_PER_MS;
    while (weir_now_ns() < thawed)
        usleep(10000);
    kill(process.pid, SIGCONT);
    assert_exit(&process, EX_TEMPFAIL);
    assert_true(weir_now_ns() - thawed < 2 * WEIR_NS_PER_S);
    process_free(&process);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_process_that_a_callback_forks_never_goes_on_as_the_service),
        cmocka_unit_test(a_callback_that_ends_its_thread_is_given_up),
        cmocka_unit_test(thousands_of_signals_are_one_and_work_is_cut_at_its_time),
        cmocka_unit_test(a_storm_of_sigusr1_is_answered_once_a_second_and_told_how_many_it_answers),
        cmocka_unit_test(a_process_that_was_frozen_past_its_deadline_ends_at_once_with_75),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
