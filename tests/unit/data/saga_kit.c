#include "saga_kit.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "echo_service.h"

struct world world;
struct weir_sql *saga_kit_db;
struct weir_saga_runner *saga_kit_sagas[2];

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* the world */
static char folder[64];
static int now_open, runners;
static const char *const names[STEPS] = {"reserve", "authorize", "confirm", "deduct", "capture", "complete"};

struct order {
    int id;
    bool reserved_here; /* by a step of this activation */
    bool committed[STEPS];
    char *reason;
};

/* ---- The other side ---- */

static void note(const char *what, const char *name)
{
    size_t used = strlen(world.trace);
    snprintf(world.trace + used, sizeof world.trace - used, "%s%s%s", used ? ", " : "", what, name);
}

/* Holds: lock. The machine dies: its database is what has reached the file, and nobody hears of it any more. */
static void crash_here(void)
{
    if (world.crash_at == 0 || world.crashed || --world.crash_at > 0)
        return;
    world.crashed = true;
    char command[512];
    snprintf(command, sizeof command,
             "cd %s && cp %d.db crash.db && if test -e %d.db-wal; then cp %d.db-wal crash.db-wal; fi", folder,
             now_open, now_open, now_open);
    assert_int_equal(system(command), 0); /* NOLINT: a test's own names */
}

/* Holds: lock. Undoing leaves a mark: what comes after it has no effect. */
static enum weir_status affect(int id, int step, int way)
{
    enum effect *effect = &world.effects[id][step];
    if (way == FORTH && *effect == GAVE_IT_BACK)
        return WEIR_FAILED_PRECONDITION;
    *effect = way == FORTH ? HAS_IT : GAVE_IT_BACK;
    return WEIR_OK;
}

static struct answer answer_of(int step, int way)
{
    struct answer answer = world.answers[way][step];
    if (world.seed) {
        static const enum weir_status failures[] = {WEIR_UNAVAILABLE, WEIR_DEADLINE_EXCEEDED, WEIR_INTERNAL,
                                                    WEIR_ABORTED};
        unsigned dice = (unsigned)rand_r(&world.seed) % 100;
        answer = (struct answer){.takes_ms = rand_r(&world.seed) % 40};
        if (dice < 30)
            answer = (struct answer){.times = -1,
                                     .status = failures[rand_r(&world.seed) % 4],
                                     .does_it = dice < 12,
                                     .does_it_later = dice >= 12 && dice < 20 && way == FORTH,
                                     .takes_ms = rand_r(&world.seed) % 3000};
        else if (dice < 33 && way == FORTH)
            answer = (struct answer){.times = -1, .status = WEIR_FAILED_PRECONDITION};
    }
    return answer;
}

static enum weir_status ask(struct weir_call *call, struct order *order, int step, int way)
{
    pthread_mutex_lock(&lock);
    if (!world.crashed)
        crash_here();
    if (world.crashed) {
        pthread_mutex_unlock(&lock);
        return weir_call_fail(call, WEIR_UNAVAILABLE, "this process is dead");
    }
    struct answer answer = answer_of(step, way);
    bool fails = answer.status != WEIR_OK && (answer.times < 0 || world.ran[way][step] < answer.times);
    world.ran[way][step]++;
    note(way == BACK ? "undo " : "", names[step]);
    enum weir_status status = WEIR_OK;
    if (fails && answer.does_it_later && world.n_late < 256)
        world.late[world.n_late++] = order->id * STEPS + step;
    else if (!fails || answer.does_it)
        status = affect(order->id, step, way);
    if (fails)
        status = answer.status;
    if (!world.crashed)
        crash_here();
    pthread_mutex_unlock(&lock);
    if (answer.takes_ms > 0 && weir_context_sleep(weir_call_context(call), answer.takes_ms) != WEIR_OK)
        return weir_call_fail(call, WEIR_DEADLINE_EXCEEDED, "%s took too long", names[step]);
    return status == WEIR_OK ? WEIR_OK
                             : weir_call_fail(call, status, "%s: %s", names[step], weir_status_name(status));
}

void saga_kit_late(void)
{
    pthread_mutex_lock(&lock);
    for (int i = 0; i < world.n_late; i++)
        (void)affect(world.late[i] / STEPS, world.late[i] % STEPS, FORTH);
    world.n_late = 0;
    pthread_mutex_unlock(&lock);
}

/* ---- The business ---- */

#define STEP(name, step, way)                                                                                \
    static enum weir_status name(struct weir_call *call, void *subject)                                      \
    {                                                                                                        \
        return ask(call, subject, step, way);                                                                \
    }
STEP(unreserve, RESERVE, BACK)
STEP(unauthorize, AUTHORIZE, BACK)
STEP(undeduct, DEDUCT, BACK)
STEP(uncapture, CAPTURE, BACK)
STEP(deduct, DEDUCT, FORTH)
STEP(capture, CAPTURE, FORTH)

static enum weir_status reserve(struct weir_call *call, void *subject)
{
    struct order *order = subject;
    enum weir_status status = ask(call, order, RESERVE, FORTH);
    order->reserved_here = order->reserved_here || status == WEIR_OK;
    return status;
}

/* Needs what the reservation has put into the subject. */
static enum weir_status authorize(struct weir_call *call, void *subject)
{
    struct order *order = subject;
    assert_true(order->reserved_here);
    return ask(call, order, AUTHORIZE, FORTH);
}

/* What it does to the subject is gone when the transaction fails. */
static void commit(struct weir_tx *tx, struct order *order, int step, const char *state)
{
    pthread_mutex_lock(&lock);
    assert_false(order->committed[step]);
    order->committed[step] = true;
    bool fails = world.ran[FORTH][step]++ < world.answers[FORTH][step].times;
    if (!world.crashed)
        crash_here();
    if (world.crashed)
        weir_sql_fail(tx, WEIR_UNAVAILABLE, "this process is dead");
    else
        note("", names[step]);
    pthread_mutex_unlock(&lock);
    if (fails)
        weir_sql_fail(tx, world.answers[FORTH][step].status, "no %s", names[step]);
    weir_sql_exec(tx, "UPDATE orders SET state = ? WHERE id = ?", state, order->id);
}

static void confirm(struct weir_tx *tx, void *subject)
{
    commit(tx, subject, CONFIRM, "confirmed");
}

static enum weir_status cancel(struct weir_call *call, int id);

/* Runs on: the thread whose commit it is. */
static void has_ended(void *arg)
{
    struct weir_call *call = weir_call_background(saga_kit_sagas[0], NULL, 10000);
    assert_int_equal(cancel(call, *(const int *)arg), WEIR_OK);
    weir_call_background_end(call);
}

static void complete(struct weir_tx *tx, void *subject)
{
    commit(tx, subject, COMPLETE, "completed");
    static int id;
    id = ((struct order *)subject)->id;
    if (world.cancelled_as_it_ends)
        weir_sql_on_commit(tx, has_ended, &id);
}

static void turned(struct weir_tx *tx, void *subject, const char *reason)
{
    const struct order *order = subject;
    pthread_mutex_lock(&lock);
    if (!world.crashed)
        crash_here();
    if (world.crashed)
        weir_sql_fail(tx, WEIR_UNAVAILABLE, "this process is dead");
    else
        note("turned", "");
    pthread_mutex_unlock(&lock);
    weir_sql_exec(tx, "UPDATE orders SET state = 'turned', reason = ? WHERE id = ?", reason, order->id);
}

static enum weir_status load(struct weir_call *call, const char *id, void *subject)
{
    (void)call;
    *(struct order *)subject = (struct order){.id = atoi(id)};
    return WEIR_OK;
}

static const struct weir_saga_type life = {
    .name = "order",
    .steps = {{"reserve", .run = reserve, .undo = unreserve},
              {"authorize", .run = authorize, .undo = unauthorize},
              {"confirm", .commit = confirm, .pivot = true},
              {"deduct", .run = deduct, .undo = undeduct},
              {"capture", .run = capture, .undo = uncapture},
              {"complete", .commit = complete}},
    .subject_size = sizeof(struct order),
    .load = load,
    .turned = turned,
};

/* ---- The service: "place 1", "cancel 1", "look 1", or SQL ---- */

static enum weir_status place(struct weir_call *call, int id)
{
    char name[16];
    snprintf(name, sizeof name, "%d", id);
    struct weir_tx *tx = weir_sql_begin(call, saga_kit_db);
    if (weir_saga_begin(tx, saga_kit_sagas[0], &life, name, 30000))
        weir_sql_exec(tx, "INSERT INTO orders (id, state) VALUES (?, 'pending') ON CONFLICT (id) DO NOTHING",
                      id);
    enum weir_status status = weir_sql_commit(tx);
    struct order order = {.id = id};
    return status == WEIR_OK ? weir_saga_run(call, saga_kit_sagas[0], &life, name, &order) : status;
}

static enum weir_status cancel(struct weir_call *call, int id)
{
    char name[16];
    snprintf(name, sizeof name, "%d", id);
    struct order order = {.id = id};
    struct weir_tx *tx = weir_sql_begin(call, saga_kit_db);
    if (!weir_saga_turn(tx, saga_kit_sagas[0], &life, name, &order, "cancelled"))
        weir_sql_fail(tx, WEIR_FAILED_PRECONDITION, "nothing to cancel");
    return weir_sql_commit(tx);
}

static enum weir_status look(struct weir_call *call, int id, Echo__EchoReply *reply)
{
    static const char *const states[] = {"", "forward", "back", "done", "undone"};
    char name[16];
    snprintf(name, sizeof name, "%d", id);
    struct weir_saga_view view;
    enum weir_status status = weir_saga_look(call, saga_kit_sagas[0], &life, name, &view);
    if (status != WEIR_OK)
        return status;
    struct weir_rows *rows = weir_sql_read(call, saga_kit_db, "SELECT state FROM orders WHERE id = ?", id);
    const char *own = weir_rows_next(rows) ? weir_rows_text(rows, 0) : "nothing";
    status = weir_rows_end(rows);
    char *text = weir_call_printf(call, "%s, %s %s", own, states[view.state], view.step);
    for (size_t i = 0; i < view.n_steps; i++)
        if (view.steps[i].attempts > 0)
            text = weir_call_printf(call, "%s; %s %lld%s%s%s%s", text, view.steps[i].name,
                                    (long long)view.steps[i].attempts, view.steps[i].ended_ms ? "" : " open",
                                    view.steps[i].undone_ms ? " undone" : "",
                                    view.steps[i].error[0] ? " " : "", view.steps[i].error);
    reply->transport = weir_call_printf(call, "%s%s%s", text, view.reason[0] ? "; " : "", view.reason);
    return status;
}

static enum weir_status echo(struct weir_call *call, const Echo__EchoRequest *request, Echo__EchoReply *reply)
{
    int id = (int)request->id;
    if (strcmp(request->text, "place") == 0)
        return place(call, id);
    if (strcmp(request->text, "cancel") == 0)
        return cancel(call, id);
    if (strcmp(request->text, "look") == 0)
        return look(call, id, reply);
    struct weir_tx *tx = weir_sql_begin(call, saga_kit_db);
    weir_sql_exec_values(tx, weir_call_strdup(call, request->text), NULL, 0);
    return weir_sql_commit(tx);
}

static struct weir_app *app(int argc, char **argv)
{
    static const char *const schema[] = {
        "CREATE TABLE orders (id INTEGER PRIMARY KEY, state TEXT NOT NULL, reason TEXT NOT NULL DEFAULT '')",
        NULL};
    static const struct echo_handlers handlers = {.echo = {echo}};
    struct weir_app *app = weir_app_new("sagas", argc, argv);
    saga_kit_db = weir_sql_add(app, "db", &(struct weir_sql_options){.migrations = schema});
    struct echo_service_options options = {.handlers = &handlers, .needs = {saga_kit_db}};
    for (int i = 0; i < runners; i++) {
        char name[32];
        snprintf(name, sizeof name, "sagas-%d", i);
        saga_kit_sagas[i] =
            weir_saga_add(app, name, &(struct weir_saga_options){.db = saga_kit_db, .types = {&life}});
        options.needs[1 + i] = saga_kit_sagas[i];
    }
    weir_grpc_server_add(app, "grpc", echo_service_add(app, &options), NULL);
    return app;
}

/* ---- For tests ---- */

void saga_kit_begin(void)
{
    world = (struct world){0};
    snprintf(folder, sizeof folder, "/tmp/weir-saga-XXXXXX");
    assert_non_null(mkdtemp(folder));
}

struct weir_test *saga_kit_start(int database, int n_runners)
{
    static char url[128];
    snprintf(url, sizeof url, "--db.url=sqlite:%s/%d.db", folder, database);
    static const char *flags[] = {url, NULL};
    now_open = database;
    runners = n_runners;
    return weir_test_new_with(app, flags);
}

void saga_kit_restore(int database)
{
    char command[512];
    snprintf(command, sizeof command,
             "cd %s && mv crash.db %d.db && if test -e crash.db-wal; then mv crash.db-wal %d.db-wal; fi",
             folder, database, database);
    assert_int_equal(system(command), 0); /* NOLINT */
    world.crashed = false;
    world.crash_at = 0;
}

void saga_kit_end(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    assert_int_equal(system(command), 0); /* NOLINT */
}

#define ECHO "weir.test.v1.EchoService/Echo"

static char *request(const char *text, int id)
{
    static char json[256];
    snprintf(json, sizeof json, "{\"text\": \"%s\", \"id\": \"%d\"}", text, id);
    return json;
}

struct weir_test_call *saga_kit_place_start(struct weir_test *test, int id)
{
    return weir_test_call_start(test,
                                &(struct weir_test_request){.method = ECHO, .json = request("place", id)});
}

const struct weir_test_reply *saga_kit_place(struct weir_test *test, int id)
{
    return weir_test_call(test, ECHO, request("place", id));
}

const struct weir_test_reply *saga_kit_cancel(struct weir_test *test, int id)
{
    return weir_test_call(test, ECHO, request("cancel", id));
}

const struct weir_test_reply *saga_kit_sql(struct weir_test *test, const char *sql)
{
    return weir_test_call(test, ECHO, request(sql, 0));
}

const char *saga_kit_state(struct weir_test *test, int id)
{
    const struct weir_test_reply *reply = weir_test_call(test, ECHO, request("look", id));
    if (reply->status != WEIR_OK)
        return reply->error;
    static char text[512];
    const char *begin = strstr(reply->json, "\"transport\":\"");
    assert_non_null(begin);
    snprintf(text, sizeof text, "%s", begin + strlen("\"transport\":\""));
    *strchr(text, '"') = 0;
    return text;
}

const char *saga_kit_effects(int id)
{
    static char text[STEPS + 1];
    for (int step = 0; step < STEPS; step++)
        text[step] = step == CONFIRM || step == COMPLETE ? '-' : (char)('0' + world.effects[id][step]);
    return text;
}
