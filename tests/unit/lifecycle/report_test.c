/* The example of docs/lifecycle.md, run on a virtual clock; the whole report is the expectation. */
#include "test.h"

#include <stdio.h>
#include <unistd.h>

#include "lifecycle/report.h"
#include "lifecycle/text.h"
#include "orders.h"
#include "sim.h"

struct story {
    struct plan *plan;
    struct sim sim;
    struct weir_buffer report;
};

static struct sim_fake *fake(struct story *story, const char *name)
{
    return &story->sim.fakes[graph_index(story->plan, name)];
}

static void drains(struct story *story, const char *name, int64_t ms, int64_t calls)
{
    fake(story, name)->ops[OP_DRAIN].takes = ms;
    fake(story, name)->work = (struct weir_work){.in_flight = calls, .completed = calls};
}

static void finishes(struct story *story, const char *name, int64_t ms)
{
    fake(story, name)->ops[OP_FINISH].takes = ms;
}

/* A signal comes at 1 s, while everybody has what the example says. */
static void begin(struct story *story)
{
    memset(story, 0, sizeof *story);
    story->plan = graph_plan(&orders_options, orders);
    sim_init(&story->sim, story->plan);
    drains(story, "registry", 40, 0);
    drains(story, "saga", 20, 1);
    drains(story, "consumer", 95, 32);
    drains(story, "grpc", 180, 41);
    drains(story, "rest", 310, 64);
    drains(story, "relay", 60, 9);
    finishes(story, "consumer", 12);
    finishes(story, "relay", 4);
    finishes(story, "producer", 9);
    finishes(story, "db", 22);
    finishes(story, "telemetry", 35);
    sim_at(&story->sim, 1000, sim_signal());
}

static void assert_report(struct story *story, const char *expected)
{
    const char *broken = sim_run(&story->sim);
    assert_string_equal(broken ? broken : "", "");
    report_text(story->sim.engine, "orders", &story->report);
    if (strcmp(weir_buffer_text(&story->report), expected) != 0)
        printf("%s", weir_buffer_text(&story->report)); /* whole: cmocka cuts */
    assert_string_equal(weir_buffer_text(&story->report), expected);
}

static void end(struct story *story)
{
    weir_buffer_free(&story->report);
    sim_clean_up(&story->sim);
    plan_destroy(story->plan);
}

static void a_clean_stop(void **state)
{
    (void)state;
    struct story story;
    begin(&story);
    assert_report(
        &story,
        "stop clean: 5.431 s of 25.000 s (announcement 5.000)  cause SIGTERM  exit 0\n"
        "component  waited  for        drain   until  finish     end  outcome  in flight  done  cancelled\n"
        "registry    0.000  -          0.040   2.000       -  20.500  clean            0     0          0\n"
        "saga        5.000  pre_drain  0.020  20.500       -  20.750  clean            1     1          0\n"
        "consumer    5.000  pre_drain  0.095  18.500   0.012  20.750  clean           32    32          0\n"
        "grpc        5.000  pre_drain  0.180  20.500       -  20.750  clean           41    41          0\n"
        "rest        5.000  pre_drain  0.310  20.500       -  20.750  clean           64    64          0\n"
        "relay       5.310  rest       0.060  10.310   0.004  21.500  clean            9     9          0\n"
        "executor    5.310  rest       0.000  23.350       -  23.600  clean            0     0          0\n"
        "inventory   5.310  rest       0.000  23.350       -  23.600  clean            0     0          0\n"
        "producer    5.374  relay          -       -   0.009  23.600  clean            -     -          -\n"
        "db          5.374  relay          -       -   0.022  23.600  clean            -     -          -\n"
        "admin       5.396  db         0.000  23.600       -  23.700  clean            0     0          0\n"
        "telemetry   5.396  admin          -       -   0.035  24.800  clean            -     -          -\n"
        "critical path: pre_drain 5.000, rest drain 0.310, relay drain 0.060, relay finish 0.004, db finish "
        "0.022, telemetry finish 0.035\n");
    end(&story);
}

static void a_drain_that_never_returns(void **state)
{
    (void)state;
    struct story story;
    begin(&story);
    fake(&story, "rest")->ops[OP_DRAIN].hangs = true;
    fake(&story, "relay")->ops[OP_DRAIN] = (struct sim_op){.takes = 5000, .notice = 50};
    fake(&story, "relay")->lost = (struct weir_work){.in_flight = 9, .completed = 2, .kept = 7};
    assert_report(&story,
                  "stop UNCLEAN: 20.861 s of 25.000 s (announcement 5.000)  cause SIGTERM  exit 75, forced\n"
                  "component  waited  for         drain   until  finish     end  outcome             in "
                  "flight  done  cancelled\n"
                  "registry    0.000  -           0.040   2.000       -  20.500  clean                       "
                  "0     0          0\n"
                  "saga        5.000  pre_drain   0.020  20.500       -  20.750  clean                       "
                  "1     1          0\n"
                  "consumer    5.000  pre_drain   0.095  18.500   0.012  20.750  clean                      "
                  "32    32          0\n"
                  "grpc        5.000  pre_drain   0.180  20.500       -  20.750  clean                      "
                  "41    41          0\n"
                  "rest        5.000  pre_drain  15.750  20.500       -  20.750  ABANDONED in drain          "
                  "-     -          -  still running\n"
                  "relay      20.750  rest        0.050  20.750   0.004  21.500  cut                         "
                  "9     2          0  kept 7\n"
                  "executor   20.750  rest        0.000  23.350       -  23.600  clean                       "
                  "0     0          0\n"
                  "inventory  20.750  rest        0.000  23.350       -  23.600  clean                       "
                  "0     0          0\n"
                  "producer   20.804  relay           -       -   0.009  23.600  clean                       "
                  "-     -          -\n"
                  "db         20.804  relay           -       -   0.022  23.600  clean                       "
                  "-     -          -\n"
                  "admin      20.826  db          0.000  23.600       -  23.700  clean                       "
                  "0     0          0\n"
                  "telemetry  20.826  admin           -       -   0.035  24.800  clean                       "
                  "-     -          -\n"
                  "not destroyed: rest (running); relay, executor, inventory, producer, db, admin, telemetry "
                  "(held by rest)\n"
                  "critical path: pre_drain 5.000, rest drain 15.750 (abandoned), relay drain 0.050, relay "
                  "finish 0.004, db finish 0.022, telemetry finish 0.035\n");
    end(&story);
}

static void a_second_signal(void **state)
{
    (void)state;
    struct story story;
    begin(&story);
    fake(&story, "consumer")->ops[OP_DRAIN] = (struct sim_op){.takes = 30000, .notice = 100};
    fake(&story, "consumer")->lost =
        (struct weir_work){.in_flight = 32, .completed = 20, .cancelled = 12, .uncommitted = 12};
    fake(&story, "rest")->ops[OP_DRAIN] = (struct sim_op){.takes = 30000, .notice = 100};
    fake(&story, "rest")->lost = (struct weir_work){.in_flight = 64, .completed = 61, .cancelled = 3};
    fake(&story, "relay")->ops[OP_DRAIN] = (struct sim_op){.takes = 5000, .notice = 50};
    fake(&story, "relay")->lost = (struct weir_work){.in_flight = 9, .completed = 4, .kept = 5};
    sim_at(&story.sim, 9000, sim_signal());
    assert_report(
        &story,
        "stop UNCLEAN: 8.223 s of 25.000 s (announcement 5.000)  cause SIGTERM, second at 8.000: limit "
        "14.300  exit 75\n"
        "component  waited  for        drain   until  finish     end  outcome  in flight  done  cancelled\n"
        "registry    0.000  -          0.040   2.000       -  20.500  clean            0     0          0\n"
        "saga        5.000  pre_drain  0.020  20.500       -  20.750  clean            1     1          0\n"
        "consumer    5.000  pre_drain  3.100   8.000   0.012  10.250  cut             32    20         12  "
        "uncommitted 12\n"
        "grpc        5.000  pre_drain  0.180  20.500       -  20.750  clean           41    41          0\n"
        "rest        5.000  pre_drain  3.100   8.000       -  10.250  cut             64    61          3\n"
        "executor    8.100  rest       0.000   8.100       -  13.100  clean            0     0          0\n"
        "relay       8.112  consumer   0.050   8.112   0.004  11.000  cut              9     4          0  "
        "kept 5\n"
        "inventory   8.112  consumer   0.000   8.112       -  13.100  clean            0     0          0\n"
        "producer    8.166  relay          -       -   0.009  13.100  clean            -     -          -\n"
        "db          8.166  relay          -       -   0.022  13.100  clean            -     -          -\n"
        "admin       8.188  db         0.000   8.188       -  13.200  clean            0     0          0\n"
        "telemetry   8.188  admin          -       -   0.035  14.300  clean            -     -          -\n"
        "critical path: pre_drain 5.000, consumer drain 3.100, consumer finish 0.012, relay drain 0.050, "
        "relay finish 0.004, db finish 0.022, telemetry finish 0.035\n");
    end(&story);
}

static void the_report_as_json(void **state)
{
    (void)state;
    static const struct plan_options options = {
        .deadline_ms = 1000, .pre_drain_ms = 100, .report_ms = 200, .destroy_max_ms = 1000};
    static const struct graph_line lines[] = {
        {"db", NULL, 50, 50, .has = "sfx"}, {"rest", "db", 50, .has = "sqdfx"}, {"saga", .has = "sqdx"}, {0}};
    struct story story = {.plan = graph_plan(&options, lines)};
    sim_init(&story.sim, story.plan);
    fake(&story, "rest")->ops[OP_DRAIN].hangs = true;
    fake(&story, "db")->ops[OP_FINISH] = (struct sim_op){.takes = 3, .fails = true};
    fake(&story, "saga")->ops[OP_DRAIN] = (struct sim_op){.takes = 9000, .notice = 1};
    fake(&story, "saga")->lost = (struct weir_work){.in_flight = 5, .completed = 3, .cancelled = 2};
    sim_at(&story.sim, 10, sim_signal());
    sim_at(&story.sim, 210, sim_signal());
    const char *broken = sim_run(&story.sim);
    assert_string_equal(broken ? broken : "", "");
    report_json_begun(story.sim.engine, "or\"ders", INT64_C(1763836200007), &story.report);
    assert_string_equal(
        weir_buffer_text(&story.report),
        "{\"weir_report\": 1, \"service\": \"or\\\"ders\", \"outcome\": \"unclean\", "
        "\"exit\": 75, \"forced\": true,\n"
        " \"cause\": {\"kind\": \"signal\", \"text\": \"SIGTERM\"}, "
        "\"begun\": \"2025-11-22T18:30:00.007Z\", \"signals\": [{\"at\": 0, "
        "\"name\": \"SIGTERM\"}, {\"at\": 200, \"name\": \"SIGTERM\"}],\n"
        " \"total\": 1000, \"pre_drain\": 100, \"limit\": 450, \"elapsed\": 253,\n"
        " \"components\": [\n"
        "  {\"name\": \"rest\", \"kind\": \"plain\", \"needs\": [\"db\"], \"cut_min\": 50, "
        "\"finish_min\": 0, \"waited\": 100, \"waited_for\": \"pre_drain\", \"cut_by\": 300, "
        "\"end\": 350, \"steps\": {\"start\": {\"at\": -10, \"used\": 0, \"outcome\": \"clean\"}, "
        "\"quiesce\": {\"at\": 100, \"used\": 0, "
        "\"outcome\": \"clean\"}, \"drain\": {\"at\": 100, \"until\": 200, \"used\": 150, "
        "\"outcome\": \"abandoned\"}, \"finish\": {\"outcome\": \"skipped\", "
        "\"why\": \"drain abandoned\"}, \"destroy\": {\"outcome\": \"skipped\", "
        "\"why\": \"still running\"}}, \"work\": {\"in_flight\": 0, \"completed\": 0, "
        "\"cancelled\": 0, \"stuck\": 0, \"undelivered\": 0, \"uncommitted\": 0, \"kept\": 0}, "
        "\"restarts\": 0},\n"
        "  {\"name\": \"saga\", \"kind\": \"plain\", \"needs\": [], \"cut_min\": 250, "
        "\"finish_min\": 0, \"waited\": 100, \"waited_for\": \"pre_drain\", \"cut_by\": 200, "
        "\"end\": 450, \"steps\": {\"start\": {\"at\": -10, \"used\": 0, \"outcome\": \"clean\"}, "
        "\"quiesce\": {\"at\": 100, \"used\": 0, "
        "\"outcome\": \"clean\"}, \"drain\": {\"at\": 100, \"until\": 200, \"used\": 101, "
        "\"outcome\": \"cut\"}, \"destroy\": {\"at\": 201, \"used\": 0, "
        "\"outcome\": \"clean\"}}, \"work\": {\"in_flight\": 5, \"completed\": 3, "
        "\"cancelled\": 2, \"stuck\": 0, \"undelivered\": 0, \"uncommitted\": 0, \"kept\": 0}, "
        "\"restarts\": 0},\n"
        "  {\"name\": \"db\", \"kind\": \"plain\", \"needs\": [], \"cut_min\": 50, "
        "\"finish_min\": 50, \"waited\": 250, \"waited_for\": \"rest\", \"cut_by\": 350, "
        "\"end\": 450, \"steps\": {\"start\": {\"at\": -10, \"used\": 0, \"outcome\": \"clean\"}, "
        "\"finish\": {\"at\": 250, \"used\": 3, "
        "\"outcome\": \"failed\", \"status\": \"UNAVAILABLE\", \"error\": \"it did not work\"}, "
        "\"destroy\": {\"outcome\": \"skipped\", \"why\": \"held by rest\"}}, "
        "\"work\": {\"in_flight\": 0, \"completed\": 0, \"cancelled\": 0, \"stuck\": 0, "
        "\"undelivered\": 0, \"uncommitted\": 0, \"kept\": 0}, \"restarts\": 0}],\n"
        " \"critical_path\": [{\"what\": \"pre_drain\", \"at\": 0, \"used\": 100}, "
        "{\"what\": \"rest drain\", \"component\": \"rest\", "
        "\"step\": \"drain\", \"at\": 100, \"used\": 150}, {\"what\": \"db finish\", \"component\": \"db\", "
        "\"step\": \"finish\", \"at\": 250, \"used\": 3}]}\n");
    end(&story);
}

/* The text of an error is cut at a limit, be it within a character. */
static void its_json_is_valid_whatever_bytes_a_text_has(void **state)
{
    (void)state;
    static const struct {
        const char *text, *json;
    } rows[] = {
        {"a\"b\\c\n", "\"a\\\"b\\\\c\\u000a\""},
        {"\u00e9 \u20ac \U0001f375", "\"\u00e9 \u20ac \U0001f375\""},
        {"caf\xc3", "\"caf\\ufffd\""},
        {"\xe2\x82", "\"\\ufffd\\ufffd\""},
        {"\xc0\xaf \xed\xa0\x80 \xf5", "\"\\ufffd\\ufffd \\ufffd\\ufffd\\ufffd \\ufffd\""},
        {NULL, "null"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct weir_buffer out = {0};
        text_json(&out, rows[i].text);
        assert_string_equal(weir_buffer_text(&out), rows[i].json);
        weir_buffer_free(&out);
    }
}

static void hear(struct story *story, struct engine_event event, int64_t at)
{
    uint32_t count;
    engine_handle(story->sim.engine, &event, at, &count);
}

static void returns(struct story *story, const char *name, enum op op, int64_t at)
{
    hear(story,
         (struct engine_event){.kind = EVENT_RETURNED, .part = graph_index(story->plan, name), .op = op}, at);
}

static void assert_progress(struct story *story, int64_t now, const char *expected)
{
    weir_buffer_clear(&story->report);
    report_progress(story->sim.engine, now, &story->report);
    assert_string_equal(weir_buffer_text(&story->report), expected);
}

static void a_line_says_who_is_busy_and_who_waits_for_whom(void **state)
{
    (void)state;
    static const struct plan_options options = {
        .deadline_ms = 25000, .pre_drain_ms = 5000, .report_ms = 200, .destroy_max_ms = 1000};
    static const struct graph_line lines[] = {{"db", .has = "f"},
                                              {"relay", "db", .has = "d"},
                                              {"rest", "relay", .has = "dx"},
                                              {"saga", "db", .has = "f"},
                                              {0}};
    struct story story = {.plan = graph_plan(&options, lines)};
    sim_init(&story.sim, story.plan);
    hear(&story, (struct engine_event){.kind = EVENT_RUN}, 0);
    hear(&story, sim_signal(), 1000);
    assert_progress(
        &story, 3000,
        "stopping, 2.0 s of 25.0: announced until 5.0; relay waits for rest; db waits for saga\n");
    hear(&story, (struct engine_event){.kind = EVENT_TICK}, 6000);
    assert_progress(&story, 13000,
                    "stopping, 12.0 s of 25.0: rest draining (cut at 24.1); saga finishing (until 24.6); "
                    "relay waits for rest; db waits for saga\n");
    returns(&story, "saga", OP_FINISH, 14000);
    returns(&story, "rest", OP_DRAIN, 14000);
    assert_progress(
        &story, 14500,
        "stopping, 13.5 s of 25.0: rest being destroyed (until 14.0); relay draining (cut at 24.3); "
        "db waits for relay\n");
    end(&story);
}

static void assert_state(struct story *story, int64_t now, const char *expected)
{
    weir_buffer_clear(&story->report);
    report_state(story->sim.engine, "orders", now, &story->report);
    char text[2048];
    snprintf(text, sizeof text, "orders (pid %d): %s", (int)getpid(), expected);
    assert_string_equal(weir_buffer_text(&story->report), text);
}

static void at_any_time_it_says_what_each_does_since_when_and_for_whom_it_waits(void **state)
{
    (void)state;
    static const struct plan_options options = {
        .deadline_ms = 25000, .pre_drain_ms = 5000, .report_ms = 200, .destroy_max_ms = 1000};
    static const struct graph_line lines[] = {
        {"db", .has = "s", .start_timeout = 9000}, {"rest", "db", .has = "d"}, {"saga", .has = "f"}, {0}};
    struct story story = {.plan = graph_plan(&options, lines)};
    sim_init(&story.sim, story.plan);
    hear(&story, (struct engine_event){.kind = EVENT_RUN}, 0);
    assert_state(&story, 1500,
                 "starting, 1 of 3 are up\n"
                 "component  now          for s  s left  waits for\n"
                 "rest       not started      -       -  db\n"
                 "saga       up           1.500       -  -\n"
                 "db         starting     1.500   7.500  -\n");
    returns(&story, "db", OP_START, 2000);
    hear(&story, sim_signal(), 3000);
    assert_state(&story, 4000,
                 "stopping, 1.000 s of 25.000, 3 not ended\n"
                 "component  now  for s  s left  waits for\n"
                 "rest       up   2.000       -  announcement\n"
                 "saga       up   4.000       -  announcement\n"
                 "db         up   2.000       -  announcement, rest\n");
    hear(&story, (struct engine_event){.kind = EVENT_TICK}, 8000);
    assert_state(&story, 8500,
                 "stopping, 5.500 s of 25.000, 3 not ended\n"
                 "component  now        for s  s left  waits for\n"
                 "rest       draining   0.500  19.300  -\n"
                 "saga       finishing  0.500  19.300  -\n"
                 "db         up         6.500       -  rest\n");
    end(&story);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_clean_stop),
        cmocka_unit_test(a_drain_that_never_returns),
        cmocka_unit_test(a_second_signal),
        cmocka_unit_test(the_report_as_json),
        cmocka_unit_test(its_json_is_valid_whatever_bytes_a_text_has),
        cmocka_unit_test(a_line_says_who_is_busy_and_who_waits_for_whom),
        cmocka_unit_test(at_any_time_it_says_what_each_does_since_when_and_for_whom_it_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
