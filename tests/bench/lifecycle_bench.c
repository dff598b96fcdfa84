/* What the lifecycle costs: a request at the gate and in the metrics, a plan, and a stop of a process that has
 * nothing to do.
 *
 *     lifecycle_bench [account|plan|stop]       without an argument all */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <weir/clock.h>
#include <weir/weir.h>

#include "bench.weir.h"
#include "call/call.h"
#include "call/call_metrics.h"
#include "call/gate.h"
#include "lifecycle/plan.h"

#define ROUNDS 41

static int by_value(const void *left, const void *right)
{
    double l = *(const double *)left, r = *(const double *)right;
    return (l > r) - (l < r);
}

/* "median (least-most)". Sorts. */
static void print_spread(double *values, int count, const char *unit)
{
    qsort(values, (size_t)count, sizeof *values, by_value);
    printf("%8.1f (%.1f-%.1f) %s\n", values[count / 2], values[0], values[count - 1], unit);
}

/* ---- A request ---- */

/* Counted by the linker's --wrap: what is called from weir and from here. */
static _Thread_local int64_t locks;
int __real_pthread_mutex_lock(pthread_mutex_t *mutex);
int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex);

int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex)
{
    locks++;
    return __real_pthread_mutex_lock(mutex);
}

enum part { GATE, METRICS, CLOCK, ALL };

struct account {
    enum part part;
    struct gate *gate;
    struct weir_service service;
    pthread_barrier_t barrier;
};

#define TIMES 50000

/* When it began is read from the clock for its deadline, too, and not counted here. */
static void one(struct account *account, struct weir_call *call)
{
    if (account->part == CLOCK) {
        call->begun_ns = weir_now_ns();
        return;
    }
    if (account->part != METRICS && gate_enter_here(account->gate, &call->place) != WEIR_OK)
        abort();
    if (account->part != GATE) {
        call_metrics_begin(call);
        call_metrics_end(call);
    }
    if (account->part != METRICS)
        gate_leave_from(account->gate, call->place, false);
}

/* The CPU time that one request took this thread: whoever else runs on the machine is not in it. */
static int64_t thread_ns(void)
{
    struct timespec used;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return used.tv_sec * WEIR_NS_PER_S + used.tv_nsec;
}

static double measure_one(struct account *account)
{
    static const struct call_ops ops = {.name = "bench"};
    static struct weir_method method = {.full_name = "bench.Bench/Bench", .name = "Bench"};
    struct weir_call call = {.ops = &ops, .service = &account->service, .method = &method};
    for (int i = 0; i < 100; i++)
        one(account, &call);
    locks = 0;
    pthread_barrier_wait(&account->barrier);
    int64_t began = thread_ns();
    for (int i = 0; i < TIMES; i++)
        one(account, &call);
    double ns = (double)(thread_ns() - began) / TIMES;
    if (locks > 0) {
        fprintf(stderr, "lifecycle_bench: %lld locks were taken by %d requests\n", (long long)locks, TIMES);
        exit(1);
    }
    return ns;
}

static void *measure_beside(void *arg)
{
    cpu_set_t last;
    CPU_ZERO(&last);
    CPU_SET((size_t)sysconf(_SC_NPROCESSORS_ONLN) - 1, &last);
    pthread_setaffinity_np(pthread_self(), sizeof last, &last);
    for (int i = 0; i < ROUNDS; i++)
        measure_one(arg);
    return NULL;
}

static void measure_part(enum part part, const char *name, int threads)
{
    static struct weir_service_type type = {.full_name = "bench.Bench"};
    struct account account = {.part = part, .gate = gate_new(4096), .service = {.type = &type}};
    pthread_barrier_init(&account.barrier, NULL, (unsigned)threads);
    pthread_t beside;
    double ns[ROUNDS];
    if (threads > 1)
        pthread_create(&beside, NULL, measure_beside, &account);
    for (int i = 0; i < ROUNDS; i++)
        ns[i] = measure_one(&account);
    if (threads > 1)
        pthread_join(beside, NULL);
    printf("%-52s%d ", name, threads);
    print_spread(ns, ROUNDS, "ns");
    pthread_barrier_destroy(&account.barrier);
    gate_destroy(account.gate);
}

static void account(void)
{
    printf("a request, CPU time, no lock taken                      threads\n");
    for (int threads = 1; threads <= 2; threads++) {
        measure_part(GATE, "gate: enter and leave", threads);
        measure_part(METRICS, "metrics: begin and end, with the clock at the end", threads);
        measure_part(CLOCK, "  of this the clock", threads);
        measure_part(ALL, "all", threads);
    }
}

/* ---- A plan ---- */

static double plan_ms(size_t count, size_t needs)
{
    struct plan_input *inputs = calloc(count, sizeof *inputs);
    uint32_t *edges = calloc(count * needs, sizeof *edges);
    char(*names)[32] = calloc(count, sizeof *names);
    unsigned seed = 1;
    for (size_t i = 0; i < count; i++) {
        snprintf(names[i], sizeof names[i], "component%zu", i);
        inputs[i] = (struct plan_input){.name = names[i],
                                        .needs = &edges[i * needs],
                                        .need_count = i < needs ? i : needs,
                                        .has = {true, true, true, true, true},
                                        .cut_min_ms = 10};
        for (size_t k = 0; k < inputs[i].need_count; k++)
            edges[i * needs + k] = (uint32_t)((size_t)rand_r(&seed) % i);
    }
    struct plan_options options = plan_defaults();
    options.deadline_ms = PLAN_MS_MAX;
    int64_t began = thread_ns();
    struct plan *plan = plan_new(&options, inputs, count);
    double ms = (double)(thread_ns() - began) / 1e6;
    if (plan->error_count > 0) {
        fprintf(stderr, "lifecycle_bench: %s\n", plan->errors[0]);
        exit(1);
    }
    plan_destroy(plan);
    free(names);
    free(edges);
    free(inputs);
    return ms;
}

static void plans(void)
{
    printf(
        "a plan: components, each needs               ms                       ns per component and edge\n");
    static const size_t sizes[][2] = {{1000, 4}, {2000, 4}, {4000, 4}, {1000, 40}, {1000, 400}};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        double ms[ROUNDS];
        for (int round = 0; round < ROUNDS; round++)
            ms[round] = plan_ms(sizes[i][0], sizes[i][1]);
        printf("%8zu%6zu", sizes[i][0], sizes[i][1]);
        qsort(ms, ROUNDS, sizeof *ms, by_value);
        printf("%18s%8.2f (%.2f-%.2f) ms %12.0f\n", "", ms[ROUNDS / 2], ms[0], ms[ROUNDS - 1],
               ms[ROUNDS / 2] * 1e6 / (double)(sizes[i][0] * (1 + sizes[i][1])));
    }
}

/* ---- A stop of a process with nothing to do ---- */

static enum weir_status take(struct weir_call *call, const Bench__Note *request, Bench__NoteReply *reply)
{
    (void)call, (void)request, (void)reply;
    return WEIR_OK;
}

static void *tell_ready(void *app)
{
    while (!weir_app_ready(app))
        usleep(1000);
    if (write(STDOUT_FILENO, "!", 1) != 1)
        abort();
    return NULL;
}

/* REST, gRPC, the admin listener and SQLite. */
static int serve(const char *url)
{
    static const struct note_handlers handlers = {.take = {.fn = take}};
    static const char *const migrations[] = {"CREATE TABLE t (id INTEGER PRIMARY KEY)", NULL};
    char *argv[] = {"idle", "--app.report=none", "--log.level=error", "--admin.listen=127.0.0.1:0", NULL};
    struct weir_app *app = weir_app_new("idle", 4, argv);
    struct weir_sql *db =
        weir_sql_add(app, "db", &(struct weir_sql_options){.url = url, .migrations = migrations});
    struct weir_service *service =
        note_service_add(app, &(struct note_service_options){.handlers = &handlers, .needs = {db}});
    weir_rest_server_add(app, "rest", service, &(struct weir_rest_options){.listen = "127.0.0.1:0"});
    weir_grpc_server_add(app, "grpc", service, &(struct weir_grpc_options){.listen = "127.0.0.1:0"});
    pthread_t teller;
    pthread_create(&teller, NULL, tell_ready, app);
    int status = weir_app_run(app);
    pthread_join(teller, NULL);
    return status;
}

/* From the signal to the end of the process. */
static double stop_ms(const char *self, const char *url)
{
    int ready[2];
    if (pipe(ready) != 0)
        abort();
    pid_t child = fork();
    if (child == 0) {
        dup2(ready[1], STDOUT_FILENO);
        execl(self, self, "serve", url, (char *)NULL);
        _exit(127);
    }
    close(ready[1]);
    char byte;
    if (read(ready[0], &byte, 1) != 1)
        exit(1);
    close(ready[0]);
    int status;
    int64_t began = weir_now_ns();
    kill(child, SIGTERM);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        continue;
    double ms = (double)(weir_now_ns() - began) / 1e6;
    if (status != 0) {
        fprintf(stderr, "lifecycle_bench: the stop was not clean: %d\n", status);
        exit(1);
    }
    return ms;
}

static void stops(const char *self)
{
    char folder[] = "/tmp/weir-bench-XXXXXX", url[64], file[64];
    if (!mkdtemp(folder))
        exit(1);
    snprintf(url, sizeof url, "sqlite:%s/idle.db", folder);
    double ms[ROUNDS];
    for (int i = 0; i < ROUNDS; i++)
        ms[i] = stop_ms(self, url);
    printf("a stop of an idle process: REST, gRPC, admin, SQLite  ");
    print_spread(ms, ROUNDS, "ms from the signal to the end of the process");
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    for (int i = 0; i < 3; i++) {
        snprintf(file, sizeof file, "%s/idle.db%s", folder, suffixes[i]);
        unlink(file);
    }
    rmdir(folder);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "serve") == 0)
        return serve(argv[2]);
    const char *part = argc > 1 ? argv[1] : "";
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (!*part || strcmp(part, "account") == 0)
        account();
    if (!*part || strcmp(part, "plan") == 0)
        plans();
    if (!*part || strcmp(part, "stop") == 0)
        stops(argv[0]);
    return 0;
}
