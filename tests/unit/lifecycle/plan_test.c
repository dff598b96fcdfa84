#include "test.h"

#include "graph.h"
#include "orders.h"

static const struct plan_options plain = {.deadline_ms = 25000, .report_ms = 200, .destroy_max_ms = 1000};

static void assert_plan_says(const struct plan_options *options, const struct graph_line *lines,
                             bool warnings, const char *expected)
{
    struct plan *plan = graph_plan(options, lines);
    struct weir_buffer text = {0};
    for (size_t i = 0; i < plan->error_count; i++)
        weir_buffer_printf(&text, "%s\n", plan->errors[i]);
    for (size_t i = 0; warnings && i < plan->warning_count; i++)
        weir_buffer_printf(&text, "%s\n", plan->warnings[i]);
    assert_string_equal(weir_buffer_text(&text), expected);
    weir_buffer_free(&text);
    plan_destroy(plan);
}

static void assert_errors(const struct plan_options *options, const struct graph_line *lines,
                          const char *expected)
{
    assert_plan_says(options, lines, false, expected);
}

static void each_window_of_the_worked_example_is_exact(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int64_t reserve, turn_first, turn_latest, end;
    } expected[] = {
        {"registry", 250, 0, 20250, 20500},     {"rest", 250, 5000, 20500, 20750},
        {"grpc", 250, 5000, 20500, 20750},      {"consumer", 2250, 5000, 18500, 20750},
        {"saga", 250, 5000, 20500, 20750},      {"relay", 750, 5000, 20750, 21500},
        {"executor", 250, 5000, 23350, 23600},  {"inventory", 250, 5000, 23350, 23600},
        {"producer", 2100, 5000, 21500, 23600}, {"db", 1100, 5000, 22500, 23600},
        {"admin", 100, 5000, 23600, 23700},     {"telemetry", 1100, 5000, 23700, 24800},
    };
    struct plan *plan = graph_plan(&orders_options, orders);
    assert_int_equal(plan->error_count, 0);
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        const struct plan_part *part = &plan->parts[graph_index(plan, expected[i].name)];
        assert_int_equal(part->reserve, expected[i].reserve);
        assert_int_equal(part->turn_first, expected[i].turn_first);
        assert_int_equal(part->turn_latest, expected[i].turn_latest);
        assert_int_equal(part->end, expected[i].end);
    }
    assert_int_equal(plan->longest_ms, 11500);
    plan_destroy(plan);
}

static void the_plan_is_printed_as_a_table(void **state)
{
    (void)state;
    struct plan *plan = graph_plan(&orders_options, orders);
    struct weir_buffer text = {0};
    plan_text(plan, "orders", &text);
    assert_string_equal(
        weir_buffer_text(&text),
        "plan of orders: deadline 25000 ms, announcement 5000, report 200\n"
        "start: telemetry, admin, db, producer, inventory, executor, relay, rest, grpc, consumer, saga, "
        "registry\n"
        "stop, in ms from its begin; each one's turn comes when all that need it have ended:\n"
        "component  cut_min  finish_min  drain_max  first turn  cut by    end  kind       needs\n"
        "registry       250           0       2000           0   20250  20500  announcer  rest,grpc\n"
        "saga           250           0          -        5000   20500  20750             "
        "db,relay,inventory\n"
        "consumer       250        2000          -        5000   18500  20750  ingress    "
        "db,relay,inventory,producer\n"
        "grpc           250           0          -        5000   20500  20750  ingress    "
        "executor,db,relay,inventory\n"
        "rest           250           0          -        5000   20500  20750  ingress    "
        "executor,db,relay,inventory\n"
        "relay          250         500       5000        5000   20750  21500             db,producer\n"
        "executor       250           0          -        5000   23350  23600\n"
        "inventory      250           0          -        5000   23350  23600\n"
        "producer       100        2000          -        5000   21500  23600\n"
        "db             100        1000          -        5000   22500  23600\n"
        "admin          100           0          -        5000   23600  23700  base       telemetry\n"
        "telemetry      100        1000          -        5000   23700  24800  base\n"
        "longest chain: pre_drain 5000, consumer 2250, relay 750, producer 2100, admin 100, telemetry 1100, "
        "report 200 = 11500 of 25000 ms; slack 13500\n");
    weir_buffer_free(&text);
    plan_destroy(plan);
}

static void the_plan_is_printed_as_json_and_dot(void **state)
{
    (void)state;
    static const struct graph_line lines[] = {{"log", .kind = BASE, .has = "f"},
                                              {"db", NULL},
                                              {"a\"pi", "db", .drain_max = 70, .kind = INGRESS},
                                              {0}};
    struct plan *plan = graph_plan(&plain, lines);
    struct weir_buffer text = {0};
    plan_json(plan, "app", &text);
    assert_string_equal(
        weir_buffer_text(&text),
        "{\"weir_plan\": 1, \"service\": \"app\", \"deadline\": 25000, \"pre_drain\": 0, \"report\": 200, "
        "\"errors\": "
        "[], \"warnings\": [], \"components\": [\n"
        "  {\"name\": \"log\", \"kind\": \"base\", \"needs\": [], \"start_timeout\": 30000, \"cut_min\": "
        "250, "
        "\"finish_min\": 0, \"drain_max\": null, \"turn_first\": 0, \"cut_by\": 24550, \"end\": 24800},\n"
        "  {\"name\": \"db\", \"kind\": \"\", \"needs\": [], \"start_timeout\": 30000, \"cut_min\": 250, "
        "\"finish_min\": 0, \"drain_max\": null, \"turn_first\": 0, \"cut_by\": 24300, \"end\": 24550},\n"
        "  {\"name\": \"a\\\"pi\", \"kind\": \"ingress\", \"needs\": [\"db\"], \"start_timeout\": 30000, "
        "\"cut_min\": "
        "250, \"finish_min\": 0, \"drain_max\": 70, \"turn_first\": 0, \"cut_by\": 24050, \"end\": 24300}], "
        "\"longest_chain\": [\"a\\\"pi\", \"db\", \"log\"], \"longest\": 950}\n");
    weir_buffer_clear(&text);
    plan_dot(plan, "app", &text);
    assert_string_equal(weir_buffer_text(&text),
                        "digraph \"app\" {\n"
                        "  rankdir=LR;\n"
                        "  node [shape=box];\n"
                        "  \"db\" [tooltip=\"reserve 250 ms, end 24550 ms\"];\n"
                        "  \"a\\\"pi\" [tooltip=\"reserve 250 ms, end 24300 ms\", peripheries=2];\n"
                        "  subgraph cluster_base {\n"
                        "    label=base;\n"
                        "    \"log\" [tooltip=\"reserve 250 ms, end 24800 ms\"];\n"
                        "  }\n"
                        "  \"a\\\"pi\" -> \"db\";\n"
                        "}\n");
    weir_buffer_free(&text);
    plan_destroy(plan);
}

static void a_cycle_is_named_with_its_chain_and_so_is_every_other_cycle(void **state)
{
    (void)state;
    assert_errors(&plain,
                  (struct graph_line[]){
                      {"outside", "a"}, {"a", "b"}, {"b", "c"}, {"c", "a"}, {"x", "y"}, {"y", "x"}, {0}},
                  "components need each other in a circle: a -> b -> c -> a\n"
                  "components need each other in a circle: x -> y -> x\n");
}

static void a_component_that_needs_itself_is_an_error(void **state)
{
    (void)state;
    assert_errors(&plain, (struct graph_line[]){{"a", "a"}, {0}}, "a: needs itself: a -> a\n");
}

static void names_must_be_there_and_be_different(void **state)
{
    (void)state;
    assert_errors(&plain, (struct graph_line[]){{"a"}, {""}, {"a"}, {"a"}, {0}},
                  "component 2 has an empty name\n"
                  "a: added twice; every component has a name of its own\n"
                  "a: added twice; every component has a name of its own\n");
}

static void a_need_that_is_not_in_the_app_is_an_error(void **state)
{
    (void)state;
    assert_errors(&plain, (struct graph_line[]){{"a", "?"}, {0}},
                  "a: needs something that was not added to this app\n");
}

static void base_needs_only_base_and_announces_nothing(void **state)
{
    (void)state;
    assert_errors(
        &plain,
        (struct graph_line[]){{"db"}, {"admin", "db", .kind = BASE}, {"log", .kind = BASE_ANNOUNCER}, {0}},
        "log: is base and announcer; base is the last to leave, an announcer the first\n"
        "admin: is base, and so needed by all that is not; it cannot need db: admin -> db -> admin\n");
}

static void nothing_may_need_an_announcer(void **state)
{
    (void)state;
    assert_errors(&plain, (struct graph_line[]){{"registry", .kind = ANNOUNCER}, {"rest", "registry"}, {0}},
                  "rest: needs registry, which is an announcer: it leaves first: rest -> registry\n");
}

static void a_chain_longer_than_the_deadline_is_an_error_that_names_it_once(void **state)
{
    (void)state;
    static const struct plan_options options = {.deadline_ms = 3000, .pre_drain_ms = 500, .report_ms = 100};
    assert_errors(
        &options,
        (struct graph_line[]){{"log", NULL, 100, 400, .kind = BASE},
                              {"db", NULL, 100, 2000},
                              {"api", "db", 100, 300},
                              {"idle"},
                              {0}},
        "api: the chain that a stop must have time for is longer than deadline_ms: pre_drain 500, api 400, "
        "db 2100, log 500, report 100 = 3600 of 3000 ms\n");
}

static void a_chain_that_fits_to_the_millisecond_is_no_error(void **state)
{
    (void)state;
    static const struct plan_options options = {.deadline_ms = 3600, .pre_drain_ms = 500, .report_ms = 100};
    static const struct graph_line lines[] = {
        {"log", NULL, 100, 400, .kind = BASE}, {"db", NULL, 100, 2000}, {"api", "db", 100, 300}, {0}};
    assert_plan_says(&options, lines, true, "app: of deadline_ms 3600 only 0 are left for work in flight\n");
}

static void an_announcement_longer_than_the_deadline_is_an_error_without_components_too(void **state)
{
    (void)state;
    static const struct plan_options options = {.deadline_ms = 1000, .pre_drain_ms = 900, .report_ms = 200};
    assert_errors(&options, (struct graph_line[]){{0}},
                  "app: pre_drain_ms 900 and report_ms 200 are longer than deadline_ms 1000\n");
}

static void the_deadline_must_be_within_the_grace_of_the_platform(void **state)
{
    (void)state;
    struct plan_options options = plain;
    options.platform_grace_ms = 10000;
    assert_errors(&options, (struct graph_line[]){{"a"}, {0}},
                  "app: deadline_ms 25000 is longer than the 10000 ms after which the platform kills\n");
    options.platform_grace_ms = 25000;
    assert_errors(&options, (struct graph_line[]){{"a"}, {0}}, "");
}

static void a_start_timeout_must_be_within_the_time_of_the_whole_start(void **state)
{
    (void)state;
    struct plan_options options = plain;
    options.start_total_ms = 10000;
    assert_errors(&options, (struct graph_line[]){{"slow", .start_timeout = 20000}, {"usual"}, {0}},
                  "slow: start_timeout_ms 20000 is longer than start_total_ms 10000 of the app\n");
}

static void numbers_that_cannot_be_are_all_named(void **state)
{
    (void)state;
    struct plan_options options = plain;
    options.report_ms = -1;
    assert_errors(&options,
                  (struct graph_line[]){
                      {"a", NULL, -1, INT64_MAX, -2, -3, .restart = {-1, -1, -1, -1}}, {"b", NULL, 9}, {0}},
                  "app: report_ms is -1; it must be from 0 to 10000000000\n"
                  "a: cut_min_ms is -1; it must be from 0 to 10000000000\n"
                  "a: finish_min_ms is 9223372036854775807; it must be from 0 to 10000000000\n"
                  "a: drain_max_ms is -2; it must be from 0 to 10000000000\n"
                  "a: start_timeout_ms is -3; it must be from 0 to 10000000000\n"
                  "a: restart within_ms is -1; it must be from 0 to 10000000000\n"
                  "a: restart first_backoff_ms is -1; it must be from 0 to 10000000000\n"
                  "a: restart longest_backoff_ms is -1; it must be from 0 to 10000000000\n"
                  "a: restart most is -1; it must be from 0 to 1000\n"
                  "b: cut_min_ms is 9; less than 10 leaves no time to say what was cut\n");
}

static void errors_of_all_kinds_are_reported_together(void **state)
{
    (void)state;
    struct plan_options options = plain;
    options.platform_grace_ms = 1000;
    assert_errors(&options,
                  (struct graph_line[]){{"a", "b"}, {"b", "a"}, {"c", "c", .finish_min = 90000}, {""}, {0}},
                  "component 4 has an empty name\n"
                  "c: needs itself: c -> c\n"
                  "components need each other in a circle: a -> b -> a\n"
                  "app: deadline_ms 25000 is longer than the 1000 ms after which the platform kills\n");
}

static void an_ingress_behind_another_component_is_a_warning_unless_that_announces_it(void **state)
{
    (void)state;
    static const struct graph_line lines[] = {{"grpc", .kind = INGRESS},
                                              {"gateway", "grpc", .kind = INGRESS},
                                              {"registry", "gateway, grpc", .kind = ANNOUNCER},
                                              {0}};
    assert_plan_says(&plain, lines, true,
                     "grpc: takes work from outside until gateway, which needs it, has ended\n");
}

static void a_drain_max_that_can_never_be_reached_is_a_warning(void **state)
{
    (void)state;
    assert_plan_says(&plain,
                     (struct graph_line[]){{"a", NULL, 250, 0, 24551}, {"b", NULL, 250, 0, 24550}, {0}}, true,
                     "a: drain_max_ms 24551 can never be reached; at most 24550 are left\n");
}

static void what_has_nothing_to_stop_reserves_nothing(void **state)
{
    (void)state;
    struct plan *plan =
        graph_plan(&plain, (struct graph_line[]){{"table", .has = "sx"}, {"api", "table"}, {0}});
    assert_int_equal(plan->parts[0].reserve, 0);
    assert_int_equal(plan->parts[1].end, 24800);
    plan_destroy(plan);
}

static void a_need_named_twice_or_implied_by_base_is_one_edge(void **state)
{
    (void)state;
    struct plan *plan =
        graph_plan(&plain, (struct graph_line[]){{"log", .kind = BASE}, {"db"}, {"api", "db, db, log"}, {0}});
    assert_int_equal(plan->parts[2].need_count, 1);
    assert_int_equal(plan->parts[1].dependant_count, 1);
    assert_true(plan_needs(plan, 2, 0));
    assert_true(plan_needs(plan, 1, 0));
    assert_false(plan_needs(plan, 1, 2));
    plan_destroy(plan);
}

static void assert_order(const struct graph_line *lines, const char *expected)
{
    struct plan *plan = graph_plan(&plain, lines);
    struct weir_buffer text = {0};
    assert_int_equal(plan->error_count, 0);
    for (uint32_t i = 0; i < plan->count; i++) {
        const struct plan_part *part = &plan->parts[plan->order[i]];
        assert_int_equal(part->rank, i);
        weir_buffer_printf(&text, "%s%s (", i ? ", " : "", part->name);
        for (uint32_t k = 0; k < part->dependant_count; k++)
            weir_buffer_printf(&text, "%s%s", k ? " " : "", plan->parts[part->dependants[k]].name);
        weir_buffer_append_text(&text, ")");
    }
    assert_string_equal(weir_buffer_text(&text), expected);
    weir_buffer_free(&text);
    plan_destroy(plan);
}

static void what_is_needed_stands_before_who_was_added_first(void **state)
{
    (void)state;
    assert_order((struct graph_line[]){{"api", "db, cache"}, {"saga", "db"}, {"db"}, {"cache", "db"}, {0}},
                 "db (api saga cache), saga (), cache (api), api ()");
}

static void the_last_component_may_be_needed_and_one_more_is_an_error(void **state)
{
    (void)state;
    const uint32_t last = 1, none = 2;
    struct plan_input inputs[] = {{.name = "api", .needs = &last, .need_count = 1}, {.name = "db"}};
    struct plan *plan = plan_new(&plain, inputs, 2);
    assert_int_equal(plan->error_count, 0);
    plan_destroy(plan);
    inputs[0].needs = &none;
    plan = plan_new(&plain, inputs, 2);
    assert_int_equal(plan->error_count, 1);
    assert_string_equal(plan->errors[0], "api: needs something that was not added to this app");
    plan_destroy(plan);
}

static void a_cycle_is_found_though_its_members_need_others_too(void **state)
{
    (void)state;
    assert_errors(&plain, (struct graph_line[]){{"a", "b, x"}, {"b", "a, x"}, {"x"}, {0}},
                  "components need each other in a circle: a -> b -> a\n");
}

static void the_greatest_numbers_are_allowed(void **state)
{
    (void)state;
    struct plan_options options = plain;
    options.deadline_ms = PLAN_MS_MAX;
    struct plan *plan =
        graph_plan(&options, (struct graph_line[]){{"a", .restart = {.most = PLAN_RESTARTS_MAX}}, {0}});
    assert_int_equal(plan->error_count, 0);
    assert_int_equal(plan->parts[0].restart.most, PLAN_RESTARTS_MAX);
    plan_destroy(plan);
    plan =
        graph_plan(&options, (struct graph_line[]){{"a", .restart = {.most = PLAN_RESTARTS_MAX + 1}}, {0}});
    assert_int_equal(plan->error_count, 1);
    assert_int_equal(plan->parts[0].restart.most, 0);
    plan_destroy(plan);
}

static void a_chain_of_one_without_announcement_may_be_too_long(void **state)
{
    (void)state;
    static const struct plan_options options = {.deadline_ms = 1000, .report_ms = 100};
    assert_errors(
        &options, (struct graph_line[]){{"db", NULL, 100, 900}, {0}},
        "db: the chain that a stop must have time for is longer than deadline_ms: db 1000, report 100 = "
        "1100 of 1000 ms\n");
}

static void an_announcement_as_long_as_the_deadline_is_no_error_without_components(void **state)
{
    (void)state;
    static const struct plan_options options = {.deadline_ms = 1000, .pre_drain_ms = 800, .report_ms = 200};
    assert_errors(&options, (struct graph_line[]){{0}}, "");
}

static void the_longest_chain_may_have_no_length(void **state)
{
    (void)state;
    static const struct plan_options options = {.deadline_ms = 1000};
    struct plan *plan = graph_plan(&options, (struct graph_line[]){{"table", .has = "sx"}, {0}});
    assert_int_equal(plan->longest, 0);
    assert_int_equal(plan->longest_ms, 0);
    plan_destroy(plan);
}

static void warnings_count_the_announcement(void **state)
{
    (void)state;
    struct plan_options options = plain;
    options.pre_drain_ms = 5000;
    assert_plan_says(&options,
                     (struct graph_line[]){{"a", NULL, 250, 0, 19551}, {"b", NULL, 250, 0, 19550}, {0}}, true,
                     "a: drain_max_ms 19551 can never be reached; at most 19550 are left\n");
}

static void a_tenth_of_the_deadline_is_enough_for_work_in_flight(void **state)
{
    (void)state;
    struct plan_options options = {.deadline_ms = 1000, .report_ms = 100};
    static const struct graph_line lines[] = {{"db", NULL, 100, 700}, {0}};
    assert_plan_says(&options, lines, true, "");
    options.report_ms = 101;
    assert_plan_says(&options, lines, true, "app: of deadline_ms 1000 only 99 are left for work in flight\n");
}

static void with_errors_there_are_no_warnings(void **state)
{
    (void)state;
    assert_plan_says(&plain, (struct graph_line[]){{"a", "?", 250, 0, 90000}, {0}}, true,
                     "a: needs something that was not added to this app\n");
}

static void assert_kubernetes(struct plan_options options, const char *listen, const char *expected)
{
    struct plan *plan = graph_plan(&options, (struct graph_line[]){{"admin", .kind = BASE},
                                                                   {"db", .start_timeout = 4000},
                                                                   {"rest", "db", .start_timeout = 1500},
                                                                   {0}});
    struct weir_buffer text = {0};
    plan_kubernetes(plan, "orders", listen, &text);
    assert_string_equal(weir_buffer_text(&text), expected);
    weir_buffer_free(&text);
    plan_destroy(plan);
}

static void a_pods_values_fit_the_plan(void **state)
{
    (void)state;
    struct plan_options options = plain;
    options.deadline_ms = 24001;
    assert_kubernetes(
        options, "127.0.0.1:9100",
        "# of a pod's template; all in seconds\n"
        "spec:\n"
        "  # preStop 5 + app.deadline_ms 25 + 2 to leave\n"
        "  terminationGracePeriodSeconds: 32\n"
        "  containers:\n"
        "    - name: \"orders\"\n"
        "      env:\n"
        "        # from SIGTERM to SIGKILL: a longer deadline is refused at start\n"
        "        - {name: WEIR_PLATFORM_GRACE_MS, value: \"27000\"}\n"
        "      # serves on until load balancers have heard of the end; app.pre_drain_ms is 0 (sleep: "
        "Kubernetes "
        "1.30)\n"
        "      lifecycle:\n"
        "        preStop: {sleep: {seconds: 5}}\n"
        "      # admin.listen is 127.0.0.1:9100: the kubelet does not reach it; set it to 0.0.0.0:9100\n"
        "      # a start that hangs is given up, and rolled back, by the service itself within 63 s\n"
        "      startupProbe:\n"
        "        httpGet: {path: /ready, port: 9100}\n"
        "        periodSeconds: 1\n"
        "        timeoutSeconds: 2\n"
        "        failureThreshold: 63\n"
        "      # ready until SIGTERM and not after it\n"
        "      readinessProbe:\n"
        "        httpGet: {path: /ready, port: 9100}\n"
        "        periodSeconds: 2\n"
        "        timeoutSeconds: 2\n"
        "        failureThreshold: 1\n"
        "      # alive from the start to the end of a stop\n"
        "      livenessProbe:\n"
        "        httpGet: {path: /healthz, port: 9100}\n"
        "        periodSeconds: 10\n"
        "        timeoutSeconds: 2\n"
        "        failureThreshold: 3\n");

    options.pre_drain_ms = 5000;
    assert_kubernetes(options, NULL,
                      "# of a pod's template; all in seconds\n"
                      "spec:\n"
                      "  # preStop 0 + app.deadline_ms 25 + 2 to leave\n"
                      "  terminationGracePeriodSeconds: 27\n"
                      "  containers:\n"
                      "    - name: \"orders\"\n"
                      "      env:\n"
                      "        # from SIGTERM to SIGKILL: a longer deadline is refused at start\n"
                      "        - {name: WEIR_PLATFORM_GRACE_MS, value: \"27000\"}\n"
                      "      # no preStop: app.pre_drain_ms announces the end for 5.000 s, serving on\n"
                      "      # no probes: admin.listen must be an address with a port\n");
}

static void an_announcement_too_short_for_load_balancers_is_filled_up_by_prestop(void **state)
{
    (void)state;
    struct plan_options options = plain;
    options.deadline_ms = 20000;
    options.pre_drain_ms = 1900;
    assert_kubernetes(
        options, NULL,
        "# of a pod's template; all in seconds\n"
        "spec:\n"
        "  # preStop 4 + app.deadline_ms 20 + 2 to leave\n"
        "  terminationGracePeriodSeconds: 26\n"
        "  containers:\n"
        "    - name: \"orders\"\n"
        "      env:\n"
        "        # from SIGTERM to SIGKILL: a longer deadline is refused at start\n"
        "        - {name: WEIR_PLATFORM_GRACE_MS, value: \"22000\"}\n"
        "      # serves on until load balancers have heard of the end; app.pre_drain_ms is 1900 "
        "(sleep: Kubernetes 1.30)\n"
        "      lifecycle:\n"
        "        preStop: {sleep: {seconds: 4}}\n"
        "      # no probes: admin.listen must be an address with a port\n");
}

static void a_units_times_fit_the_plan(void **state)
{
    (void)state;
    struct plan_options options = plain;
    options.deadline_ms = 24001;
    options.report_ms = 1001;
    struct plan *plan =
        graph_plan(&options, (struct graph_line[]){{"admin", .kind = BASE, .start_timeout = 1000},
                                                   {"db", .start_timeout = 4000},
                                                   {"rest", "db", .start_timeout = 1501},
                                                   {0}});
    struct weir_buffer text = {0};
    plan_systemd(plan, "orders", &text);
    assert_string_equal(weir_buffer_text(&text),
                        "# What the plan of orders asks of systemd: printed by --plan=systemd\n"
                        "[Service]\n"
                        "# start timeouts 7 + TimeoutStopSec: a start that hangs is given up, and rolled "
                        "back, by the service itself\n"
                        "TimeoutStartSec=34\n"
                        "# app.deadline_ms 25 + 2 to leave: the report comes before SIGKILL\n"
                        "TimeoutStopSec=27\n"
                        "# from SIGTERM to SIGKILL: a longer deadline is refused at start\n"
                        "Environment=WEIR_PLATFORM_GRACE_MS=27000\n"
                        "# a process that is frozen is ended and started again\n"
                        "WatchdogSec=22\n");
    weir_buffer_free(&text);
    plan_destroy(plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_window_of_the_worked_example_is_exact),
        cmocka_unit_test(the_plan_is_printed_as_a_table),
        cmocka_unit_test(a_pods_values_fit_the_plan),
        cmocka_unit_test(an_announcement_too_short_for_load_balancers_is_filled_up_by_prestop),
        cmocka_unit_test(a_units_times_fit_the_plan),
        cmocka_unit_test(the_plan_is_printed_as_json_and_dot),
        cmocka_unit_test(a_cycle_is_named_with_its_chain_and_so_is_every_other_cycle),
        cmocka_unit_test(a_component_that_needs_itself_is_an_error),
        cmocka_unit_test(names_must_be_there_and_be_different),
        cmocka_unit_test(a_need_that_is_not_in_the_app_is_an_error),
        cmocka_unit_test(base_needs_only_base_and_announces_nothing),
        cmocka_unit_test(nothing_may_need_an_announcer),
        cmocka_unit_test(a_chain_longer_than_the_deadline_is_an_error_that_names_it_once),
        cmocka_unit_test(a_chain_that_fits_to_the_millisecond_is_no_error),
        cmocka_unit_test(an_announcement_longer_than_the_deadline_is_an_error_without_components_too),
        cmocka_unit_test(the_deadline_must_be_within_the_grace_of_the_platform),
        cmocka_unit_test(a_start_timeout_must_be_within_the_time_of_the_whole_start),
        cmocka_unit_test(numbers_that_cannot_be_are_all_named),
        cmocka_unit_test(errors_of_all_kinds_are_reported_together),
        cmocka_unit_test(an_ingress_behind_another_component_is_a_warning_unless_that_announces_it),
        cmocka_unit_test(a_drain_max_that_can_never_be_reached_is_a_warning),
        cmocka_unit_test(what_has_nothing_to_stop_reserves_nothing),
        cmocka_unit_test(a_need_named_twice_or_implied_by_base_is_one_edge),
        cmocka_unit_test(what_is_needed_stands_before_who_was_added_first),
        cmocka_unit_test(the_last_component_may_be_needed_and_one_more_is_an_error),
        cmocka_unit_test(a_cycle_is_found_though_its_members_need_others_too),
        cmocka_unit_test(the_greatest_numbers_are_allowed),
        cmocka_unit_test(a_chain_of_one_without_announcement_may_be_too_long),
        cmocka_unit_test(an_announcement_as_long_as_the_deadline_is_no_error_without_components),
        cmocka_unit_test(the_longest_chain_may_have_no_length),
        cmocka_unit_test(warnings_count_the_announcement),
        cmocka_unit_test(a_tenth_of_the_deadline_is_enough_for_work_in_flight),
        cmocka_unit_test(with_errors_there_are_no_warnings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
