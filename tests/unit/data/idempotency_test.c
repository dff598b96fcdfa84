/* Idempotency keys: a call that is sent again has no effect of its own and gets the first one's answer. */
#include "kit.h"

#include <pthread.h>
#include <stdio.h>

#include <weir/idempotency.h>

#include "call/call.h"
#include "data/keeper.h"
#include "ledger_service.h"
#ifdef ON_POSTGRES
#include "postgres_kit.h"
#endif
#include "wait.h"

/* A process: its database, its service. The second one of a test is on the same file. */
struct process {
    struct kit kit;
    struct ledger ledger;
    struct weir_service service;
};

struct fixture {
    struct process first, second;
    struct executor *executor;
};

#ifdef ON_POSTGRES
static struct postgres server;
#endif

static void begin_process(struct fixture *f, struct process *process, const char *url)
{
    kit_open(&process->kit, ledger_schema);
    if (url)
        snprintf(process->kit.url, sizeof process->kit.url, "%s", url);
#ifdef ON_POSTGRES
    else
        postgres_database(&server, "test", process->kit.url, sizeof process->kit.url);
    process->kit.settings.connections = 4;
#endif
    assert_int_equal(kit_start(&process->kit), WEIR_OK);
    ledger_init(&process->ledger, process->kit.db);
    process->service = (struct weir_service){
        .type = &ledger_service_type,
        .handlers = &ledger_handlers,
        .self = &process->ledger,
        .executor = f->executor,
        .idempotency = process->kit.db,
    };
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    f->executor = executor_new(2, 16);
    executor_start(f->executor, NULL);
    begin_process(f, &f->first, NULL);
    begin_process(f, &f->second, f->first.kit.url);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    executor_destroy(f->executor);
    kit_close(&f->second.kit);
    kit_close(&f->first.kit);
    ledger_clean_up(&f->second.ledger);
    ledger_clean_up(&f->first.ledger);
    free(f);
    return 0;
}

/* ---- Asking ---- */

struct asked {
    struct process *process;
    const char *method, *key, *header,
        *principal; /* key: the message id; header: what came as Idempotency-Key */
    Ledger__Entry entry;
    struct weir_bytes wire; /* instead of the entry */
    bool comes_again;

    pthread_t thread;
    atomic_bool over;
    enum weir_status status;
    char text[1024], replayed[8], reason[32], retry_after[8], entry_id[WEIR_ID_SIZE], trace[64];
    int64_t total;
};

static struct asked ask_for(struct fixture *f, const char *key, const char *account, int64_t amount)
{
    struct asked asked = {.process = &f->first, .method = "Add", .key = key};
    ledger__entry__init(&asked.entry);
    asked.entry.account = (char *)(uintptr_t)account;
    asked.entry.amount = amount;
    return asked;
}

static void copy_metadata(const struct weir_call *call, const char *name, char *to, size_t size)
{
    const char *value = call_reply_metadata(call, name);
    snprintf(to, size, "%s", value ? value : "");
}

static void finish(struct weir_call *call)
{
    struct asked *asked = call->transport;
    asked->status = call->status;
    snprintf(asked->text, sizeof asked->text, "%s", call_error_text(call));
    copy_metadata(call, "idempotent-replayed", asked->replayed, sizeof asked->replayed);
    copy_metadata(call, "weir-reason", asked->reason, sizeof asked->reason);
    copy_metadata(call, "retry-after", asked->retry_after, sizeof asked->retry_after);
    snprintf(asked->trace, sizeof asked->trace, "%s", call->answer_trace ? call->answer_trace : "");
    if (call->status == WEIR_OK) {
        Ledger__Booking *booking = ledger__booking__unpack(NULL, call->reply.size, call->reply.data);
        snprintf(asked->entry_id, sizeof asked->entry_id, "%s", booking->entry_id);
        asked->total = booking->total;
        ledger__booking__free_unpacked(booking, NULL);
    }
    atomic_store(&asked->over, true);
    weir_call_release(call);
}

static const struct weir_method *method_of(const char *name)
{
    return strcmp(name, "Add") == 0 ? &ledger_methods[0] : &ledger_methods[1];
}

/* The handler runs on this thread, as on a worker of Kafka's. */
static enum weir_status ask(struct asked *asked)
{
    static const struct call_ops ops = {.name = "test", .finish = finish};
    struct weir_call *call = call_new(&ops, asked, &asked->process->service, method_of(asked->method), NULL);
    call->runs_here = true;
    call->comes_again = asked->comes_again;
    call->message_id = asked->key;
    if (asked->header)
        call_add_metadata(call, weir_bytes_of_text("Idempotency-Key"), weir_bytes_of_text(asked->header));
    if (asked->principal)
        call_set_principal(call, weir_bytes_of_text(asked->principal));
    call_set_deadline(call, weir_deadline_in_ms(20000));
    struct weir_buffer wire = {0};
    call_pack(&asked->entry.base, &wire);
    call->request = asked->wire.data ? asked->wire : weir_buffer_bytes(&wire);
    atomic_store(&asked->over, false);
    call_dispatch(call);
    weir_buffer_free(&wire); /* it is unpacked by now */
    return asked->status;
}

static void *ask_on(void *asked)
{
    ask(asked);
    return NULL;
}

static void start(struct asked *asked)
{
    assert_int_equal(pthread_create(&asked->thread, NULL, ask_on, asked), 0);
}

static enum weir_status end(struct asked *asked)
{
    pthread_join(asked->thread, NULL);
    return asked->status;
}

static int64_t entries(struct fixture *f)
{
    return kit_number(&f->first.kit, "SELECT count(*) FROM entries");
}

static int64_t runs(struct fixture *f)
{
    return ledger_runs(&f->first.ledger) + ledger_runs(&f->second.ledger);
}

/* ---- One effect, one answer ---- */

static void a_repeated_key_gets_the_first_answer_and_has_no_effect(void **state)
{
    struct fixture *f = *state;
    struct asked first = ask_for(f, "k", "a", 5), again = ask_for(f, "k", "a", 5);

    assert_int_equal(ask(&first), WEIR_OK);
    struct asked other = ask_for(f, "other", "a", 100);
    assert_int_equal(ask(&other), WEIR_OK);
    assert_int_equal(ask(&again), WEIR_OK);

    assert_string_equal(first.replayed, "");
    assert_string_equal(again.replayed, "true");
    assert_string_equal(again.entry_id, first.entry_id);
    assert_int_equal(again.total, 5); /* not 105, which it would be by now */
    assert_int_equal(entries(f), 2);
    assert_int_equal(runs(f), 2);
}

static void another_process_gives_the_same_answer(void **state)
{
    struct fixture *f = *state;
    struct asked first = ask_for(f, "k", "a", 5), again = ask_for(f, "k", "a", 5);
    again.process = &f->second;

    assert_int_equal(ask(&first), WEIR_OK);
    assert_int_equal(ask(&again), WEIR_OK);

    assert_string_equal(again.replayed, "true");
    assert_string_equal(again.entry_id, first.entry_id);
    assert_int_equal(runs(f), 1);
}

static void keys_are_each_methods_and_each_principals_own(void **state)
{
    struct fixture *f = *state;
    struct asked calls[] = {ask_for(f, "k", "a", 1), ask_for(f, "k", "a", 1), ask_for(f, "k", "a", 1)};
    calls[1].method = "Pay";
    calls[2].principal = "carla";

    for (int i = 0; i < 3; i++)
        assert_int_equal(ask(&calls[i]), WEIR_OK);

    assert_int_equal(entries(f), 3);
    assert_string_not_equal(calls[0].entry_id, calls[1].entry_id);
    assert_string_not_equal(calls[0].entry_id, calls[2].entry_id);
}

static void without_a_key_a_call_runs_or_is_refused(void **state)
{
    struct fixture *f = *state;
    struct asked optional = ask_for(f, NULL, "a", 1), required = ask_for(f, NULL, "a", 1);
    required.method = "Pay";

    assert_int_equal(ask(&optional), WEIR_OK);
    assert_int_equal(ask(&optional), WEIR_OK);
    assert_int_equal(ask(&required), WEIR_INVALID_ARGUMENT);

    assert_string_equal(
        required.text,
        "weir.test.ledger.v1.LedgerService/Pay requires an Idempotency-Key: the header of that "
        "name, or the metadata \"idempotency-key\"");
    assert_int_equal(entries(f), 2);
    assert_int_equal(kit_number(&f->first.kit, "SELECT count(*) FROM weir_idempotency"), 0);
}

#define LONG "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void a_key_is_a_text_with_or_without_quotes(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *header, *refusal; /* NULL: it is the key "k" */
    } keys[] = {
        {"k", NULL},
        {"\"k\"", NULL},
        {"\"k\";v=1", NULL},
        {"\"\\k\"", "must end with one"},
        {"\"k", "must end with one"},
        {"\"k\" x", "must end with one"},
        {"", "it is empty"},
        {"\"\"", "it is empty"},
        {"k\xc3\xa9", "only printable ASCII"},
        {"k\t", "only printable ASCII"},
        {LONG LONG LONG LONG, "more than 255 characters"},
    };
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        struct asked asked = ask_for(f, NULL, "a", 1);
        asked.header = keys[i].header;
        assert_int_equal(ask(&asked), keys[i].refusal ? WEIR_INVALID_ARGUMENT : WEIR_OK);
        if (keys[i].refusal && !strstr(asked.text, keys[i].refusal))
            fail_msg("%s: %s", keys[i].header, asked.text);
    }
    struct asked longest = ask_for(f, NULL, "a", 1);
    char text[256] = LONG LONG LONG LONG;
    text[255] = 0;
    longest.header = text;
    assert_int_equal(ask(&longest), WEIR_OK);
    assert_int_equal(entries(f), 2);
}

static void other_content_is_refused_and_another_order_of_fields_is_none(void **state)
{
    struct fixture *f = *state;
    struct asked first = ask_for(f, "k", "a", 5), changed = ask_for(f, "k", "a", 6),
                 turned = ask_for(f, "k", "a", 5);
    turned.wire = weir_bytes("\x10\x05\x0a\x01"
                             "a",
                             5);

    assert_int_equal(ask(&first), WEIR_OK);
    assert_int_equal(ask(&changed), WEIR_INVALID_ARGUMENT);
    assert_int_equal(ask(&turned), WEIR_OK);

    assert_string_equal(changed.text, "Idempotency-Key: it was used for a request with other content");
    assert_string_equal(changed.reason, "idempotency-key-reused");
    assert_string_equal(turned.replayed, "true");
    assert_int_equal(entries(f), 1);
}

static void a_concurrent_duplicate_is_told_to_try_again(void **state)
{
    struct fixture *f = *state;
    struct asked first = ask_for(f, "k", "a", 5), duplicate = ask_for(f, "k", "a", 5),
                 changed = ask_for(f, "k", "b", 5);
    first.entry.wait = duplicate.entry.wait = true;

    start(&first);
    assert_true(ledger_await_waiting(&f->first.ledger, 1));
    assert_int_equal(ask(&duplicate), WEIR_ABORTED);
    assert_int_equal(ask(&changed), WEIR_INVALID_ARGUMENT);
    ledger_let_go(&f->first.ledger);
    assert_int_equal(end(&first), WEIR_OK);

    assert_string_equal(duplicate.text, "Idempotency-Key: a call with it is under way, try again");
    assert_string_equal(duplicate.retry_after, "1");
    assert_string_equal(changed.reason, "idempotency-key-reused");
    assert_int_equal(ask(&duplicate), WEIR_OK);
    assert_string_equal(duplicate.entry_id, first.entry_id);
    assert_int_equal(entries(f), 1);
    assert_int_equal(runs(f), 1);
}

static void the_slower_of_two_processes_is_undone_and_gets_the_others_answer(void **state)
{
    struct fixture *f = *state;
    struct asked slow = ask_for(f, "k", "a", 5), fast = ask_for(f, "k", "a", 5);
    slow.entry.wait = fast.entry.wait = true;
    fast.process = &f->second;
    ledger_let_go(&f->second.ledger);

    start(&slow);
    assert_true(ledger_await_waiting(&f->first.ledger, 1));
    assert_int_equal(ask(&fast), WEIR_OK);
    ledger_let_go(&f->first.ledger);
    assert_int_equal(end(&slow), WEIR_OK);

    assert_string_equal(slow.replayed, "true");
    assert_string_equal(slow.entry_id, fast.entry_id);
    assert_int_equal(runs(f), 2);
    assert_int_equal(entries(f), 1);
}

/* ---- Failures ---- */

static void a_failure_is_kept_once_execution_began(void **state)
{
    struct fixture *f = *state;
    static const struct {
        int32_t before, inside, refuse;
        bool kept, has_entry;
    } failures[] = {
        {.before = WEIR_INVALID_ARGUMENT},
        {.inside = WEIR_FAILED_PRECONDITION, .kept = true},
        {.inside = WEIR_INTERNAL, .kept = true},
        {.inside = WEIR_UNAVAILABLE},
        {.inside = WEIR_RESOURCE_EXHAUSTED},
        {.inside = WEIR_DEADLINE_EXCEEDED},
        {.refuse = WEIR_FAILED_PRECONDITION, .kept = true, .has_entry = true},
    };
    for (size_t i = 0; i < sizeof failures / sizeof failures[0]; i++) {
        char key[8];
        snprintf(key, sizeof key, "k%zu", i);
        struct asked first = ask_for(f, key, "a", 1);
        first.entry.fail_before = failures[i].before;
        first.entry.fail_inside = failures[i].inside;
        first.entry.refuse = failures[i].refuse;
        struct asked again = first;
        int64_t runs_before = runs(f), entries_before = entries(f);

        enum weir_status status = ask(&first);
        assert_int_equal(status, failures[i].before + failures[i].inside + failures[i].refuse);
        assert_int_equal(ask(&again), status);

        assert_string_equal(again.text, first.text);
        assert_string_equal(again.replayed, failures[i].kept ? "true" : "");
        assert_int_equal(runs(f) - runs_before, failures[i].kept ? 1 : 2);
        assert_int_equal(entries(f) - entries_before, failures[i].has_entry ? 1 : 0);
    }
}

static void a_kept_defect_says_where_it_was_logged(void **state)
{
    struct fixture *f = *state;
    struct asked first = ask_for(f, "k", "a", 1);
    first.entry.fail_inside = WEIR_INTERNAL;
    struct asked again = first;

    ask(&first);
    assert_int_equal(ask(&again), WEIR_INTERNAL);

    assert_string_equal(again.text, "internal error");
    assert_int_equal(strlen(again.trace), 55);
}

static void a_message_that_comes_again_keeps_its_success_only(void **state)
{
    struct fixture *f = *state;
    struct asked failing = ask_for(f, "m", "a", 1), good = ask_for(f, "n", "a", 1);
    failing.comes_again = good.comes_again = true;
    failing.entry.fail_inside = WEIR_INTERNAL;

    assert_int_equal(ask(&failing), WEIR_INTERNAL);
    assert_int_equal(ask(&failing), WEIR_INTERNAL);
    assert_int_equal(runs(f), 2);
    assert_int_equal(ask(&good), WEIR_OK);
    assert_int_equal(ask(&good), WEIR_OK);
    assert_int_equal(runs(f), 3);
    assert_int_equal(entries(f), 1);

    int64_t week_ms = INT64_C(7) * 24 * 3600 * 1000, now_ms = weir_unix_ns() / WEIR_NS_PER_MS;
    int64_t expires_ms = kit_number(&f->first.kit, "SELECT expires_ms FROM weir_idempotency");
    assert_in_range(expires_ms, now_ms + week_ms - 60000, now_ms + week_ms + 60000);
}

static void an_answer_that_differs_from_the_kept_one_replaces_it(void **state)
{
    struct fixture *f = *state;
    struct asked first = ask_for(f, "k", "a", 1);
    first.entry.fail_after = WEIR_FAILED_PRECONDITION;
    struct asked again = first;

    assert_int_equal(ask(&first), WEIR_FAILED_PRECONDITION);
    assert_int_equal(ask(&again), WEIR_FAILED_PRECONDITION);

    assert_string_equal(again.text, first.text);
    assert_string_equal(again.replayed, "true");
    assert_int_equal(runs(f), 1);
}

/* ---- Several transactions ---- */

static void a_handler_with_two_transactions_keeps_the_answer_in_the_last(void **state)
{
    struct fixture *f = *state;
    struct asked first = ask_for(f, "k", "a", 5);
    first.entry.two_steps = true;
    struct asked again = first;

    assert_int_equal(ask(&first), WEIR_OK);
    assert_int_equal(ask(&again), WEIR_OK);

    assert_string_equal(again.replayed, "true");
    assert_string_equal(again.entry_id, first.entry_id);
    assert_int_equal(runs(f), 1);
    assert_int_equal(kit_number(&f->first.kit, "SELECT sum(confirmed) FROM entries"), 1);
}

static void what_failed_between_two_transactions_goes_on_with_the_same_id(void **state)
{
    struct fixture *f = *state;
    struct asked first = ask_for(f, "k", "a", 5);
    first.entry.two_steps = true;
    first.entry.fail_between = WEIR_UNAVAILABLE;
    assert_int_equal(ask(&first), WEIR_UNAVAILABLE);
    assert_int_equal(entries(f), 1);

    struct asked changed = ask_for(f, "k", "a", 6);
    assert_int_equal(ask(&changed), WEIR_INVALID_ARGUMENT);
    assert_string_equal(changed.reason, "idempotency-key-reused");

    assert_int_equal(ask(&first), WEIR_UNAVAILABLE); /* it ran again, at once */
    assert_int_equal(runs(f), 2);
    assert_int_equal(entries(f), 1);
}

static void a_definite_failure_between_two_transactions_is_kept(void **state)
{
    struct fixture *f = *state;
    struct asked first = ask_for(f, "k", "a", 5);
    first.entry.two_steps = true;
    first.entry.fail_between = WEIR_NOT_FOUND;
    struct asked again = first;

    assert_int_equal(ask(&first), WEIR_NOT_FOUND);
    assert_int_equal(ask(&again), WEIR_NOT_FOUND);

    assert_string_equal(again.replayed, "true");
    assert_int_equal(runs(f), 1);
}

static void a_claim_keeps_others_out_until_its_time_is_over_and_then_commits_nothing(void **state)
{
    struct fixture *f = *state;
    struct asked hanging = ask_for(f, "k", "a", 5);
    hanging.entry.two_steps = hanging.entry.wait = true;
    struct asked other = hanging;
    other.process = &f->second;
    ledger_let_go(&f->second.ledger);

    start(&hanging);
    assert_true(ledger_await_waiting(&f->first.ledger, 1));
    assert_int_equal(ask(&other), WEIR_ABORTED);
    assert_string_equal(other.retry_after, "1");
    assert_int_equal(runs(f), 1);

    assert_int_equal(kit_run(&f->first.kit, "UPDATE weir_idempotency SET lease_ms = 1"), WEIR_OK);
    assert_int_equal(ask(&other), WEIR_OK);
    assert_string_equal(other.replayed, "");
    ledger_let_go(&f->first.ledger);
    assert_int_equal(end(&hanging), WEIR_OK);

    assert_string_equal(hanging.replayed, "true");
    assert_string_equal(hanging.entry_id, other.entry_id);
    assert_int_equal(entries(f), 1);
    assert_int_equal(kit_number(&f->first.kit, "SELECT sum(confirmed) FROM entries"), 1);
}

static void who_was_taken_over_commits_nothing_while_the_other_one_runs(void **state)
{
    struct fixture *f = *state;
    struct asked hanging = ask_for(f, "k", "a", 5);
    hanging.entry.two_steps = hanging.entry.wait = true;
    struct asked other = hanging;
    other.process = &f->second;

    start(&hanging);
    assert_true(ledger_await_waiting(&f->first.ledger, 1));
    assert_int_equal(kit_run(&f->first.kit, "UPDATE weir_idempotency SET lease_ms = 1"), WEIR_OK);
    start(&other);
    assert_true(ledger_await_waiting(&f->second.ledger, 1));
    ledger_let_go(&f->first.ledger);
    assert_int_equal(end(&hanging), WEIR_ABORTED);
    assert_int_equal(kit_number(&f->first.kit, "SELECT sum(confirmed) FROM entries"), 0);

    ledger_let_go(&f->second.ledger);
    assert_int_equal(end(&other), WEIR_OK);
    assert_int_equal(kit_number(&f->first.kit, "SELECT sum(confirmed) FROM entries"), 1);
}

static void a_handler_may_choose_the_transaction_that_keeps_the_answer(void **state)
{
    struct fixture *f = *state;
    struct asked first = ask_for(f, "k", "a", 5);
    first.entry.two_steps = first.entry.choose = true;
    struct asked again = first;

    assert_int_equal(ask(&first), WEIR_OK);
    assert_int_equal(ask(&again), WEIR_OK);

    assert_string_equal(again.replayed, "true");
    assert_string_equal(again.entry_id, first.entry_id);
    assert_int_equal(runs(f), 1);
    assert_int_equal(kit_number(&f->first.kit, "SELECT sum(confirmed) FROM entries"), 11);
}

static void a_transaction_behind_the_answer_is_a_mistake(void **state)
{
    struct fixture *f = *state;
    struct asked asked = ask_for(f, "k", "a", 5);
    asked.entry.two_steps = asked.entry.forget = true;

    assert_int_equal(ask(&asked), WEIR_INTERNAL);

    assert_int_equal(kit_number(&f->first.kit, "SELECT sum(confirmed) FROM entries"), 0);
}

/* ---- Ends ---- */

static bool is_deferred(void *ledger)
{
    pthread_mutex_lock(&((struct ledger *)ledger)->lock);
    struct weir_call *held = ((struct ledger *)ledger)->held;
    pthread_mutex_unlock(&((struct ledger *)ledger)->lock);
    return held && call_is_deferred(held);
}

static bool is_over(void *asked)
{
    return atomic_load(&((struct asked *)asked)->over);
}

static void an_answer_that_comes_later_is_kept_by_a_thread_that_may_block(void **state)
{
    struct fixture *f = *state;
    struct asked first = ask_for(f, "k", "a", 5);
    first.entry.defer = true;
    first.entry.fail_between = WEIR_NOT_FOUND;
    first.entry.two_steps = true;
    struct asked again = first;

    ask(&first);
    kit_wait(is_deferred, &f->first.ledger);
    weir_call_finish(f->first.ledger.held, f->first.ledger.held_status);
    weir_call_release(f->first.ledger.held);
    kit_wait(is_over, &first);
    assert_int_equal(first.status, WEIR_NOT_FOUND);

    ask(&again);
    kit_wait(is_over, &again);
    assert_int_equal(again.status, WEIR_NOT_FOUND);
    assert_string_equal(again.replayed, "true");
    assert_int_equal(runs(f), 1);
}

static void answers_are_forgotten_when_their_time_is_over(void **state)
{
    struct fixture *f = *state;
    struct kit *kit = &f->first.kit;
    int64_t day_ms = INT64_C(24) * 3600 * 1000, now_ms = weir_unix_ns() / WEIR_NS_PER_MS;
    for (int i = 0; i < 25; i++) {
        char key[8];
        snprintf(key, sizeof key, "k%d", i);
        struct asked asked = ask_for(f, key, "a", 1);
        assert_int_equal(ask(&asked), WEIR_OK);
    }

    assert_int_equal(
        keeper_prune_idempotency(kit->db, &kit->context, now_ms + day_ms - 60000, 10, &kit->error), WEIR_OK);
    assert_int_equal(kit_number(kit, "SELECT count(*) FROM weir_idempotency"), 25);
    assert_int_equal(
        keeper_prune_idempotency(kit->db, &kit->context, now_ms + day_ms + 60000, 10, &kit->error), WEIR_OK);
    assert_int_equal(kit_number(kit, "SELECT count(*) FROM weir_idempotency"), 0);
}

static void *ask_thirty(void *self)
{
    struct fixture *f = self;
    for (int i = 0; i < 30; i++) {
        char key[8];
        snprintf(key, sizeof key, "k%d", i);
        struct asked asked = ask_for(f, key, "a", 1);
        while (ask(&asked) == WEIR_ABORTED)
            sched_yield();
        assert_int_equal(asked.status, WEIR_OK);
    }
    return NULL;
}

static void duplicates_that_come_at_once_have_one_effect(void **state)
{
    struct fixture *f = *state;
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, ask_thirty, f);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(entries(f), 30);
    assert_int_equal(runs(f), 30);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_repeated_key_gets_the_first_answer_and_has_no_effect),
        TEST(another_process_gives_the_same_answer),
        TEST(keys_are_each_methods_and_each_principals_own),
        TEST(without_a_key_a_call_runs_or_is_refused),
        TEST(a_key_is_a_text_with_or_without_quotes),
        TEST(other_content_is_refused_and_another_order_of_fields_is_none),
        TEST(a_concurrent_duplicate_is_told_to_try_again),
        TEST(the_slower_of_two_processes_is_undone_and_gets_the_others_answer),
        TEST(a_failure_is_kept_once_execution_began),
        TEST(a_kept_defect_says_where_it_was_logged),
        TEST(a_message_that_comes_again_keeps_its_success_only),
        TEST(an_answer_that_differs_from_the_kept_one_replaces_it),
        TEST(a_handler_with_two_transactions_keeps_the_answer_in_the_last),
        TEST(what_failed_between_two_transactions_goes_on_with_the_same_id),
        TEST(a_definite_failure_between_two_transactions_is_kept),
        TEST(a_claim_keeps_others_out_until_its_time_is_over_and_then_commits_nothing),
        TEST(who_was_taken_over_commits_nothing_while_the_other_one_runs),
        TEST(a_handler_may_choose_the_transaction_that_keeps_the_answer),
        TEST(a_transaction_behind_the_answer_is_a_mistake),
        TEST(an_answer_that_comes_later_is_kept_by_a_thread_that_may_block),
        TEST(answers_are_forgotten_when_their_time_is_over),
        TEST(duplicates_that_come_at_once_have_one_effect),
    };
#ifdef ON_POSTGRES
    if (!postgres_is_there())
        return 0;
    postgres_create(&server);
    postgres_run(&server);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    postgres_destroy(&server);
    return failed;
#else
    return cmocka_run_group_tests(tests, NULL, NULL);
#endif
}
