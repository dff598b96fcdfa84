/* `weir dlq`, as a process, on the dead letters of a consumer. */
#include "consumer_kit.h"

#include <sys/wait.h>
#include <unistd.h>

#include "core/memory.h"
#include "wait.h"

struct fixture {
    struct kit *kit;
    struct weir_consumer *consumer;
    char *out; /* of the last dlq(): stdout, behind it stderr */
};

/* Runs `weir dlq` with these arguments, in which $T is the topic. Returns its exit status. */
static int dlq(struct fixture *f, const char *arguments)
{
    struct weir_buffer out = {0};
    char *command = memory_printf("T=%s; exec 2>&1; %s dlq %s --brokers %s", f->kit->topic, WEIR_CLI,
                                  arguments, kit_broker_address(f->kit->broker));
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    for (size_t size = 1; size > 0; out.size += size)
        size = fread(weir_buffer_reserve(&out, 4096), 1, 4096, pipe);
    int status = pclose(pipe);
    free(command);
    free(f->out);
    f->out = memory_strdup(weir_buffer_text(&out));
    weir_buffer_free(&out);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* One broker and one consumer for all tests, because each takes seconds to come and go. Every test begins
 * without open letters, with messages of its own. */
static int set_up(void **state)
{
    struct fixture *f = NEW(struct fixture);
    f->kit = kit_new(kit_broker_new(), 1);
    f->consumer = kit_start(f->kit, NULL, NULL);
    *state = f;
    return setenv("WEIR_DESCRIPTORS", ECHO_DESCRIPTORS, 1);
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    kit_stop(f->consumer, 1000, 2000);
    kit_broker_destroy(f->kit->broker);
    kit_destroy(f->kit);
    free(f->out);
    free(f);
    return 0;
}

static void wait_set_aside(struct fixture *f, int64_t count)
{
    int64_t until = weir_deadline_in_ms(15000);
    while (consumer_counts(f->consumer).set_aside < count && weir_now_ns() < until)
        usleep(1000);
    assert_int_equal(consumer_counts(f->consumer).set_aside, count);
}

/* Sends message `index`, whose key is k<index>, and has it set aside. */
static void set_aside(struct fixture *f, int index)
{
    int64_t before = consumer_counts(f->consumer).set_aside;
    f->kit->fail_index = index;
    f->kit->fail_times = 1;
    f->kit->fail_status = WEIR_FAILED_PRECONDITION;
    kit_send(f->kit, index, 1, KIT_KEYS_MAX);
    wait_set_aside(f, before + 1);
}

/* Lines, without what differs from run to run: every time, and the topic's name. */
static const char *normal(struct fixture *f)
{
    static char text[8192];
    size_t length = 0;
    for (const char *at = f->out; *at && length + 8 < sizeof text;) {
        int used = 0;
        if (*at >= '0' && *at <= '9' && sscanf(at, "%*4d-%*2d-%*2dT%*2d:%*2d:%*2d%n", &used) == 0 &&
            used > 0) {
            at += used;
            while (*at == '.' || (*at >= '0' && *at <= '9'))
                at++;
            at += *at == 'Z';
            text[length++] = '@';
        } else if (strncmp(at, f->kit->topic, strlen(f->kit->topic)) == 0) {
            at += strlen(f->kit->topic);
            text[length++] = '$';
        } else if (strncmp(at, f->kit->group, strlen(f->kit->group)) == 0) {
            at += strlen(f->kit->group);
            text[length++] = 'G';
        } else if (*at == ' ' && length > 0 && text[length - 1] == ' ') {
            at++;
        } else {
            text[length++] = *at++;
        }
    }
    text[length] = 0;
    return text;
}

static void letters_are_listed_and_shown(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(dlq(f, "ls"), 0);
    assert_string_equal(f->out, "no topic ends with .dlt: nothing was set aside\n");
    set_aside(f, 0);
    set_aside(f, 1);

    assert_int_equal(dlq(f, "ls"), 0);
    assert_string_equal(normal(f), "topic open oldest newest\n$.dlt 2 @ @\n");
    assert_int_equal(dlq(f, "ls $T"), 0);
    assert_memory_equal(normal(f), "place time key group attempts status error\n", 43);
    assert_non_null(strstr(normal(f), " @ k0 group-"));
    assert_non_null(strstr(normal(f), " 1 FAILED_PRECONDITION told to fail\n"));
    assert_int_equal(dlq(f, "ls $T --key k1"), 0);
    assert_null(strstr(f->out, "k0"));
    assert_non_null(strstr(f->out, "k1"));
    assert_int_equal(dlq(f, "ls $T --error nothing --since 1h"), 0);
    assert_string_equal(normal(f), "$.dlt: no letter is open and fits\n");
    assert_int_equal(dlq(f, "ls $T --until 1h"), 0);
    assert_string_equal(normal(f), "$.dlt: no letter is open and fits\n");
    assert_int_equal(dlq(f, "show $T.dlt --key k1"), 0);
    assert_string_equal(strstr(normal(f), "\"origin\""),
                        "\"origin\":{\"topic\":\"$\",\"partition\":\"0\",\"offset\":\"1\",\"group\":\"G\","
                        "\"status\":\"FAILED_PRECONDITION\",\"error\":\"told to fail\",\"attempts\":\"1\"},"
                        "\"bytes\":\"CgExEgJrMTIBAQ==\"}\n");
    assert_int_equal(dlq(f, "drop $T --all"), 0);
}

static void a_letter_that_is_replayed_is_handled_and_no_longer_open(void **state)
{
    struct fixture *f = *state;
    set_aside(f, 10);
    set_aside(f, 11);
    assert_int_equal(kit_handled(f->kit), 0);

    assert_int_equal(dlq(f, "replay $T --key k11 --dry-run"), 0);
    assert_memory_equal(f->out, "1 would be replayed\n", 20);
    assert_int_equal(dlq(f, "replay $T --key k11"), 0);
    assert_string_equal(f->out, "1 replayed\n");
    kit_wait_handled(f->kit, 1);
    assert_int_equal(f->kit->times[11], 1);
    assert_string_equal(f->kit->message_id, "message-11");

    assert_int_equal(dlq(f, "ls $T"), 0);
    assert_null(strstr(f->out, "k11"));
    assert_non_null(strstr(f->out, "k10"));
    assert_int_equal(dlq(f, "ls $T --resolved --key k11"), 0);
    assert_non_null(strstr(f->out, "(resolved)"));
    assert_int_equal(dlq(f, "replay $T --all"), 0);
    assert_string_equal(f->out, "1 replayed\n");
    kit_wait_handled(f->kit, 2);
    assert_int_equal(dlq(f, "replay $T --all"), 0);
    assert_string_equal(f->out, "0 replayed\n");
}

static bool is_settled(void *consumer)
{
    return consumer_held(consumer) == 0;
}

static void a_replay_is_for_the_group_that_set_it_aside(void **state)
{
    struct fixture *f = *state;
    set_aside(f, 20);
    char own[sizeof f->kit->group];
    memcpy(own, f->kit->group, sizeof own);
    snprintf(f->kit->group, sizeof f->kit->group, "another");
    int before = kit_handled(f->kit);
    struct weir_consumer *other = kit_start(f->kit, NULL, NULL);
    kit_wait_handled(f->kit, before + 5); /* 0, 1, 10, 11, 20: but none that was replayed */
    assert_int_equal(f->kit->times[20], 1);

    assert_int_equal(dlq(f, "replay $T --all"), 0);
    kit_send(f->kit, 21, 1, KIT_KEYS_MAX); /* behind the replay, and for both */
    kit_wait_handled(f->kit, before + 8);
    kit_wait(is_settled, other);
    kit_wait(is_settled, f->consumer);
    assert_int_equal(f->kit->times[20], 2);
    assert_int_equal(f->kit->times[21], 2);
    assert_int_equal(kit_handled(f->kit), before + 8);
    kit_stop(other, 1000, 2000);
    memcpy(f->kit->group, own, sizeof own);
}

static void what_fails_after_every_replay_is_not_replayed_for_ever(void **state)
{
    struct fixture *f = *state;
    set_aside(f, 30);
    f->kit->fail_times = 1000;
    int64_t aside = consumer_counts(f->consumer).set_aside;
    for (int i = 1; i <= 3; i++) {
        assert_int_equal(dlq(f, "replay $T --all"), 0);
        assert_string_equal(f->out, "1 replayed\n");
        wait_set_aside(f, aside + i);
    }
    assert_int_equal(dlq(f, "replay $T --all"), 1);
    assert_non_null(strstr(f->out,
                           " was not replayed: it has failed after every replay so far; --force replays it "
                           "once more\n0 replayed\n"));
    f->kit->fail_times = 0;
    int before = kit_handled(f->kit);
    assert_int_equal(dlq(f, "replay $T --all --force"), 0);
    kit_wait_handled(f->kit, before + 1);
    assert_int_equal(f->kit->times[30], 1);
}

static void a_letter_that_is_dropped_is_never_handled(void **state)
{
    struct fixture *f = *state;
    int before = kit_handled(f->kit);
    set_aside(f, 40);
    set_aside(f, 41);
    set_aside(f, 42);
    char place[16], drop[64];
    assert_int_equal(dlq(f, "ls $T --key k41"), 0);
    assert_int_equal(sscanf(strchr(f->out, '\n'), " %15s", place), 1);
    snprintf(drop, sizeof drop, "drop $T %s", place);
    assert_int_equal(dlq(f, drop), 0);
    assert_string_equal(f->out, "1 dropped\n");
    assert_int_equal(dlq(f, "ls $T"), 0);
    assert_null(strstr(f->out, " k41 "));
    assert_non_null(strstr(f->out, " k40 "));
    assert_non_null(strstr(f->out, " k42 "));
    assert_int_equal(dlq(f, "drop $T --all"), 0);
    assert_string_equal(f->out, "2 dropped\n");
    assert_int_equal(dlq(f, "ls"), 0);
    assert_string_equal(normal(f), "topic open oldest newest\n$.dlt 0 - -\n");
    assert_int_equal(kit_handled(f->kit), before);
}

static void mistakes_are_explained(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(dlq(f, "replay $T"), 64);
    assert_string_equal(
        f->out, "weir: which letters? Name them as weir dlq ls shows them, select them by key, group, "
                "status, error or time, or say --all\n");
    assert_int_equal(dlq(f, "show $T 7"), 64);
    assert_string_equal(f->out, "weir: 7 is no place: PARTITION:OFFSET, as weir dlq ls shows it\n");
    assert_int_equal(dlq(f, "ls $T --since yesterday"), 64);
    assert_string_equal(
        f->out, "weir: --since yesterday is no time: 2026-11-22T10:00:00Z, or how long ago: 90s, 15m, "
                "2h, 3d\n");
    assert_int_equal(dlq(f, "show"), 64);
    assert_memory_equal(f->out, "weir: usage: weir dlq ls ", 25);
    assert_int_equal(dlq(f, "burn $T"), 64);
    assert_int_equal(dlq(f, "show $T 0:99"), 65);
    assert_string_equal(normal(f), "weir: $.dlt has no letter at 0:99\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(letters_are_listed_and_shown),
        cmocka_unit_test(a_letter_that_is_replayed_is_handled_and_no_longer_open),
        cmocka_unit_test(a_replay_is_for_the_group_that_set_it_aside),
        cmocka_unit_test(what_fails_after_every_replay_is_not_replayed_for_ever),
        cmocka_unit_test(a_letter_that_is_dropped_is_never_handled),
        cmocka_unit_test(mistakes_are_explained),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
