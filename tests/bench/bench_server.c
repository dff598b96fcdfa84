/* A service of weir's whose one handler answers with what it was given.
 *
 *     bench-server serve|consume inline|executor [FLAG...]    REST and gRPC, or a consumer; prints "ready
 * REST GRPC", and "done" after each BENCH_COUNT messages consumed bench-server produce - [FLAG...] for each
 * line with a number from stdin: sends so many messages; prints "done" when all are acknowledged */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <weir/weir.h>

#include "bench.weir.h"

static struct {
    struct weir_app *app;
    struct weir_rest_server *rest;
    struct weir_grpc_server *grpc;
    struct weir_producer *producer;
    int64_t count; /* 0: nothing is said of messages */
    atomic_int_fast64_t taken, acknowledged, failed;
} bench;

static void say(const char *word)
{
    puts(word);
    fflush(stdout);
}

static enum weir_status take(struct weir_call *call, const Bench__Note *request, Bench__NoteReply *reply)
{
    (void)call;
    reply->key = request->key;
    reply->text = request->text[0] ? request->text
                                   : "a text of some seventy bytes, as one finds it in messages of services";
    reply->number = request->number;
    if (bench.count > 0 && (atomic_fetch_add(&bench.taken, 1) + 1) % bench.count == 0)
        say("done");
    return WEIR_OK;
}

static const struct note_handlers inline_handlers = {.take = {.fn = take, .inline_ = true}};
static const struct note_handlers executor_handlers = {.take = {.fn = take}};

/* ---- Producing ---- */

static void delivered(void *state, enum weir_status status, int32_t partition, int64_t offset,
                      const char *error)
{
    (void)state;
    (void)partition;
    (void)offset;
    if (status != WEIR_OK && atomic_fetch_add(&bench.failed, 1) == 0)
        fprintf(stderr, "bench-server: %s\n", error);
    atomic_fetch_add(&bench.acknowledged, 1);
}

static void send_one(int64_t number)
{
    char key[32], value[128];
    Bench__Note note = BENCH__NOTE__INIT;
    snprintf(key, sizeof key, "note-%012lld", (long long)(number % 1000000));
    note.key = key;
    note.text = "a text of some seventy bytes, as one finds it in messages of services.";
    note.number = 12345;
    struct weir_record record = {
        .topic = "user.note",
        .key = weir_bytes_of_text(key),
        .value = weir_bytes(value, bench__note__pack(&note, (uint8_t *)value)),
        .message_id = "0192f0c5-7b1a-7000-8000-000000000001",
        .type = "weir.bench.v1.Note",
    };
    struct weir_error err = {0};
    if (weir_producer_send(bench.producer, &record, delivered, NULL, &err) != WEIR_OK) {
        fprintf(stderr, "bench-server: %s\n", err.text);
        exit(1);
    }
}

static void produce_on_demand(void)
{
    char line[64];
    while (fgets(line, sizeof line, stdin)) {
        int64_t count = strtoll(line, NULL, 10);
        atomic_store(&bench.acknowledged, 0);
        for (int64_t i = 0; i < count; i++)
            send_one(i);
        while (atomic_load(&bench.acknowledged) < count)
            usleep(1000);
        if (atomic_load(&bench.failed) > 0)
            exit(1);
        say("done");
    }
    weir_app_stop(bench.app, "no more is wanted");
}

static void *announce(void *arg)
{
    (void)arg;
    char line[64] = "ready";
    while (!weir_app_ready(bench.app))
        usleep(1000);
    if (bench.rest)
        snprintf(line, sizeof line, "ready %d %d", weir_rest_server_port(bench.rest),
                 weir_grpc_server_port(bench.grpc));
    say(line);
    if (bench.producer)
        produce_on_demand();
    return NULL;
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "Usage: bench-server serve|consume|produce inline|executor|- [FLAG...]\n");
        return 64;
    }
    const char *mode = argv[1], *count = getenv("BENCH_COUNT");
    const struct note_handlers *handlers =
        strcmp(argv[2], "inline") == 0 ? &inline_handlers : &executor_handlers;
    argv[2] = argv[0];
    struct weir_app *app = bench.app = weir_app_new("bench", argc - 2, argv + 2);
    if (strcmp(mode, "produce") == 0) {
        bench.producer = weir_producer_add(app, "events", NULL);
    } else {
        struct weir_service *service =
            note_service_add(app, &(struct note_service_options){.handlers = handlers});
        if (strcmp(mode, "consume") == 0) {
            bench.count = count ? strtoll(count, NULL, 10) : 0;
            weir_consumer_add(app, "notes", service, NULL);
        } else {
            bench.rest = weir_rest_server_add(app, "rest", service, NULL);
            bench.grpc = weir_grpc_server_add(app, "grpc", service, NULL);
        }
    }
    pthread_t announcer;
    if (pthread_create(&announcer, NULL, announce, NULL) != 0)
        return 70;
    int status = weir_app_run(app);
    pthread_cancel(announcer);
    pthread_join(announcer, NULL);
    return status;
}
