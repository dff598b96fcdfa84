/* The log's way to its reader: in order, without waiting for it, and without losing count. Each test reads
 * the log through a pipe of its own. */
#include "test.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weir/clock.h>

#include "observe/log.h"
#include "observe/log_line.h"

struct fixture {
    int read_end, write_end;
    char *text; /* all that was read */
    size_t size;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    f->read_end = ends[0];
    f->write_end = ends[1];
    log_set_descriptor(f->write_end);
    log_configure(&(struct log_options){.level = WEIR_LOG_INFO, .format = LOG_TEXT});
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    log_stop(0);
    int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    log_set_descriptor(nowhere); /* for the report of what this test lost */
    log_start(NULL);
    log_stop(5000);
    log_set_descriptor(STDERR_FILENO);
    close(nowhere);
    close(f->read_end);
    close(f->write_end);
    free(f->text);
    free(f);
    return 0;
}

/* Reads until the pipe is empty (the writer has ended), or as long as somebody else holds its other end. */
static void *read_all(void *arg)
{
    struct fixture *f = arg;
    ssize_t got;
    do {
        f->text = realloc(f->text, f->size + 65536 + 1);
        got = read(f->read_end, f->text + f->size, 65536);
        f->size += got > 0 ? (size_t)got : 0;
    } while (got > 0);
    f->text[f->size] = 0;
    return NULL;
}

/* All that is in the pipe after the log was stopped. */
static const char *rest(struct fixture *f)
{
    close(f->write_end);
    f->write_end = -1;
    read_all(f);
    return f->text;
}

static size_t lines_of(const char *text)
{
    size_t lines = 0;
    for (; *text; text++)
        lines += *text == '\n';
    return lines;
}

#define TIME_LENGTH 25 /* 2026-11-22T16:29:53.012Z and the space */

static void a_line_before_the_start_is_written_at_once(void **state)
{
    weir_log_info("early", weir_field_int("n", 1));
    assert_string_equal(rest(*state) + TIME_LENGTH, "INFO  early n=1\n");
}

static void all_lines_arrive_in_order(void **state)
{
    struct fixture *f = *state;
    pthread_t reader;
    weir_log_info("before");
    log_start("shelf");
    assert_int_equal(pthread_create(&reader, NULL, read_all, f), 0);
    for (int i = 0; i < 5000; i++)
        weir_log_warn("line", weir_field_int("n", i));
    log_stop(5000);
    weir_log_info("after");
    close(f->write_end);
    f->write_end = -1;
    pthread_join(reader, NULL);

    assert_int_equal(lines_of(f->text), 5002);
    const char *line = strchr(f->text, '\n') + 1;
    for (int i = 0; i < 5000; i++, line = strchr(line, '\n') + 1) {
        char expected[40];
        int length = snprintf(expected, sizeof expected, "WARN  line n=%d\n", i);
        assert_memory_equal(line + TIME_LENGTH, expected, (size_t)length);
    }
    assert_string_equal(line + TIME_LENGTH, "INFO  after\n");
}

static void the_level_decides_before_fields_are_evaluated(void **state)
{
    int evaluated = 0;
    weir_log_debug("hidden", weir_field_int("n", evaluated++));
    log_configure(&(struct log_options){.level = WEIR_LOG_DEBUG, .format = LOG_TEXT});
    weir_log_debug("shown", weir_field_int("n", evaluated++));
    log_configure(&(struct log_options){.level = WEIR_LOG_ERROR, .format = LOG_TEXT});
    weir_log_warn("hidden", weir_field_int("n", evaluated++));

    assert_int_equal(evaluated, 1);
    assert_string_equal(rest(*state) + TIME_LENGTH, "DEBUG shown n=0\n");
}

static void what_is_no_terminal_gets_json(void **state)
{
    log_configure(&(struct log_options){.level = WEIR_LOG_INFO, .format = LOG_AUTO});
    log_start("shelf");
    weir_log_info("ready");
    log_stop(5000);
    const char *text = rest(*state);
    assert_non_null(strstr(text, "\"level\":\"info\",\"service\":\"shelf\",\"message\":\"ready\"}\n"));
}

/* Nobody reads: the pipe takes 64 KiB, the ring 1 MiB, and whatever comes then is dropped. */
static void a_stuck_reader_blocks_nobody_and_every_line_is_accounted_for(void **state)
{
    struct fixture *f = *state;
    int64_t dropped_before = log_dropped();
    char text[1001];
    memset(text, 'x', 1000);
    text[1000] = 0;
    log_start("shelf");
    int64_t begun_ns = weir_now_ns();
    for (int i = 0; i < 10000; i++)
        weir_log_info("chatter", weir_field_text("x", text));
    for (int i = 0; i < 10; i++)
        weir_log_error("alarm", weir_field_int("n", i));
    assert_true(weir_now_ns() - begun_ns < 20 * WEIR_NS_PER_S);
    int64_t lost = log_dropped() - dropped_before;
    assert_in_range(lost, 8000, 9999);

    pthread_t reader;
    assert_int_equal(pthread_create(&reader, NULL, read_all, f), 0);
    log_stop(60000);
    close(f->write_end);
    f->write_end = -1;
    pthread_join(reader, NULL);

    char expected[64];
    snprintf(expected, sizeof expected, "WARN  log lines dropped count=%lld\n", (long long)lost);
    assert_non_null(strstr(f->text, expected));
    assert_non_null(strstr(f->text, "ERROR alarm n=9\n"));
    assert_int_equal((int64_t)lines_of(f->text) + lost, 10010 + 1);
}

static void a_stop_gives_up_a_reader_that_does_not_read(void **state)
{
    struct fixture *f = *state;
    int64_t dropped_before = log_dropped();
    log_start("shelf");
    for (int i = 0; i < 4000; i++)
        weir_log_error("alarm", weir_field_int("n", i));
    log_stop(100);

    int64_t lost = log_dropped() - dropped_before;
    assert_true(lost > 0);
    assert_int_equal((int64_t)lines_of(rest(f)) + lost, 4000);
}

static void a_reader_that_went_away_ends_nobody(void **state)
{
    struct fixture *f = *state;
    int64_t dropped_before = log_dropped();
    close(f->read_end);
    log_start("shelf");
    for (int i = 0; i < 100; i++)
        weir_log_error("alarm", weir_field_int("n", i));
    log_stop(5000);
    f->read_end = -1;
    assert_true(log_dropped() - dropped_before >= 100);
}

#define THREADS 8
#define LINES_PER_THREAD 500

static void *log_many(void *arg)
{
    for (int i = 0; i < LINES_PER_THREAD; i++)
        weir_log_warn("line", weir_field_text("by", arg), weir_field_int("n", i));
    return NULL;
}

static void threads_mix_lines_but_not_letters(void **state)
{
    struct fixture *f = *state;
    pthread_t reader, writers[THREADS];
    static char names[THREADS][2];
    assert_int_equal(pthread_create(&reader, NULL, read_all, f), 0);
    log_start("shelf");
    for (int i = 0; i < THREADS; i++) {
        names[i][0] = (char)('a' + i);
        assert_int_equal(pthread_create(&writers[i], NULL, log_many, names[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(writers[i], NULL);
    log_stop(5000);
    close(f->write_end);
    f->write_end = -1;
    pthread_join(reader, NULL);

    int seen[THREADS] = {0};
    size_t lines = 0;
    for (char *line = strtok(f->text, "\n"); line; line = strtok(NULL, "\n"), lines++) {
        char by;
        int n;
        assert_int_equal(sscanf(line + TIME_LENGTH, "WARN  line by=%c n=%d", &by, &n), 2);
        assert_in_range(by, 'a', 'a' + THREADS - 1);
        assert_int_equal(n, seen[by - 'a']++);
    }
    assert_int_equal(lines, THREADS * LINES_PER_THREAD);
}

static void it_starts_and_stops_while_others_log(void **state)
{
    struct fixture *f = *state;
    pthread_t reader, writer;
    int64_t dropped_before = log_dropped();
    assert_int_equal(pthread_create(&reader, NULL, read_all, f), 0);
    assert_int_equal(pthread_create(&writer, NULL, log_many, "a"), 0);
    for (int i = 0; i < 50; i++) {
        log_start(i % 2 ? "odd" : "even");
        log_stop(5000);
    }
    pthread_join(writer, NULL);
    close(f->write_end);
    f->write_end = -1;
    pthread_join(reader, NULL);
    assert_int_equal((int64_t)lines_of(f->text) + log_dropped() - dropped_before, LINES_PER_THREAD);
}

static void an_exit_without_a_stop_loses_nothing(void **state)
{
    struct fixture *f = *state;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        log_start("shelf");
        for (int i = 0; i < 100; i++)
            weir_log_info("line", weir_field_int("n", i));
        exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(lines_of(rest(f)), 100);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_line_before_the_start_is_written_at_once),
        TEST(all_lines_arrive_in_order),
        TEST(the_level_decides_before_fields_are_evaluated),
        TEST(what_is_no_terminal_gets_json),
        TEST(a_stuck_reader_blocks_nobody_and_every_line_is_accounted_for),
        TEST(a_stop_gives_up_a_reader_that_does_not_read),
        TEST(a_reader_that_went_away_ends_nobody),
        TEST(threads_mix_lines_but_not_letters),
        TEST(it_starts_and_stops_while_others_log),
        TEST(an_exit_without_a_stop_loses_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
