/* A small app whose component "api" does what the command line says, for app_test.c and
 * app_odd_test.c:
 *
 *     lifecycle_child SCENARIO [flags of the app]
 *
 * It writes one line for each operation to standard output. */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lifecycle/app.h"
#include "wait.h"

struct fake {
    const char *name;
    const char *scenario; /* NULL: an ordinary one */
    struct weir_component *component;
    struct weir_context_watch watch;
    int starts;
};

static bool is(const struct fake *fake, const char *scenario)
{
    return fake->scenario && !strcmp(fake->scenario, scenario);
}

static void say(const struct fake *fake, const char *what)
{
    char line[64];
    int length = snprintf(line, sizeof line, "%s %s\n", what, fake->name);
    if (write(STDOUT_FILENO, line, (size_t)length) < 0)
        abort();
}

static void hang(void)
{
    for (;;)
        pause();
}

/* Standard error is a pipe that is full, and nobody reads it. */
static void fill_standard_error(void)
{
    static const char page[4096];
    int ends[2];
    if (pipe(ends) != 0 || fcntl(ends[1], F_SETFL, O_NONBLOCK) != 0)
        _exit(3);
    while (write(ends[1], page, sizeof page) > 0)
        continue;
    if (fcntl(ends[1], F_SETFL, 0) != 0 || dup2(ends[1], STDERR_FILENO) < 0)
        _exit(3);
}

/* ---- A process that adopts ---- */

static struct orphan {
    pid_t pid;
    int may_end[2]; /* readable: api is up */
} orphan;

/* Once it is a child of this process it tells it to stop, and ends. */
static void live_as_orphan(pid_t app)
{
    char byte;
    alarm(20);
    while (getppid() != app)
        usleep(1000);
    _exit(read(orphan.may_end[0], &byte, 1) == 1 && kill(app, SIGTERM) == 0 ? 0 : 1);
}

/* A child of a child that has ended is left to whoever adopts. Both are forked before there are threads. */
static void make_orphan(void)
{
    pid_t app = getpid();
    int born[2];
    if ((app != 1 && prctl(PR_SET_CHILD_SUBREAPER, 1) != 0) || pipe(born) != 0 || pipe(orphan.may_end) != 0)
        _exit(3);
    process_block_signals();
    pid_t middle = fork();
    if (middle == 0) {
        pid_t pid = fork();
        if (pid == 0)
            live_as_orphan(app);
        _exit(write(born[1], &pid, sizeof pid) == sizeof pid ? 0 : 1);
    }
    if (read(born[0], &orphan.pid, sizeof orphan.pid) != sizeof orphan.pid)
        _exit(3);
}

/* Nobody can signal a process that was waited for; a zombie still can be. */
static void wait_until_reaped(struct fake *fake, struct weir_context *context)
{
    while (kill(orphan.pid, 0) == 0)
        if (weir_context_sleep(context, 5) != WEIR_OK)
            return;
    say(fake, "reaped the orphan of");
}

/* ---- A process that does not ---- */

static void wait_for_own_child(struct fake *fake)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(7);
    int status;
    if (waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 7)
        say(fake, "waited for the child of");
}

/* ---- Callbacks that fork ---- */

/* What becomes of the child; its parent goes on. True in the child, which returns as if nothing were. */
static bool forks_and_returns(struct fake *fake)
{
    bool waits = is(fake, "fork-killed") || is(fake, "fork-runs");
    pid_t pid = fork();
    if (pid == 0) {
        if (is(fake, "fork-exits"))
            exit(7);
        if (is(fake, "fork-runs"))
            execl("/bin/sleep", "sleep", "60", (char *)NULL);
        if (is(fake, "fork-killed"))
            hang();
        return true;
    }
    if (waits && kill(pid, is(fake, "fork-killed") ? SIGKILL : SIGTERM) != 0)
        abort();
    int status;
    char what[64];
    if (waitpid(pid, &status, 0) != pid)
        abort();
    if (WIFEXITED(status))
        snprintf(what, sizeof what, "child exited with %d in", WEXITSTATUS(status));
    else
        snprintf(what, sizeof what, "child was ended by signal %d in", WTERMSIG(status));
    say(fake, what);
    return false;
}

static enum weir_status start(void *self, struct weir_context *context, struct weir_error *err)
{
    struct fake *fake = self;
    say(fake, "start");
    if (is(fake, "start-fails"))
        return weir_fail(err, WEIR_UNAVAILABLE, "port 1 is taken");
    if (is(fake, "start-waits"))
        return weir_fail(err, weir_context_sleep(context, 60000), "was told to stop starting");
    if (is(fake, "adopts") && write(orphan.may_end[1], "", 1) != 1)
        return weir_fail(err, WEIR_INTERNAL, "the orphan cannot be told");
    fake->starts++;
    if (is(fake, "dies"))
        weir_component_failed(fake->component, &(struct weir_error){WEIR_DATA_LOSS, "", "lost its disk"});
    if (is(fake, "stops-itself") || (is(fake, "dies-once") && fake->starts == 2))
        weir_app_stop(weir_component_app(fake->component), "all is done");
    return WEIR_OK;
}

static enum weir_status quiesce(void *self, struct weir_error *err)
{
    (void)err;
    say(self, "quiesce");
    return WEIR_OK;
}

/* It must not block, and does: the lifecycle's own thread hangs. */
static void block(struct weir_context_watch *watch, enum weir_status status)
{
    (void)watch, (void)status;
    hang();
}

static enum weir_status drain(void *self, struct weir_context *context, struct weir_work *work,
                              struct weir_error *err)
{
    (void)err;
    struct fake *fake = self;
    say(fake, "drain");
    if (is(fake, "freezes")) {
        fake->watch.over = block;
        weir_context_watch(context, &fake->watch);
    }
    if (is(fake, "drain-hangs") || is(fake, "freezes"))
        hang();
    if (is(fake, "thread-exits"))
        pthread_exit(NULL);
    if (fake->scenario && !strncmp(fake->scenario, "fork-", 5) && forks_and_returns(fake))
        return WEIR_OK;
    if (is(fake, "adopts"))
        wait_until_reaped(fake, context);
    if (is(fake, "has-child"))
        wait_for_own_child(fake);
    work->in_flight = 1;
    if (is(fake, "drain-waits") && weir_context_sleep(context, 60000) != WEIR_OK)
        work->cancelled = 1;
    else
        work->completed = 1;
    return WEIR_OK;
}

static enum weir_status finish(void *self, struct weir_context *context, struct weir_work *work,
                               struct weir_error *err)
{
    (void)context, (void)work, (void)err;
    say(self, "finish");
    return WEIR_OK;
}

static void destroy(void *self)
{
    say(self, "destroy");
}

static const struct weir_component_ops ops = {start, quiesce, drain, finish, destroy};

/* Once the app is ready, api fails. */
static void *fail_later(void *arg)
{
    struct fake *fake = arg;
    if (!kit_wait_in_time(kit_app_is_ready, weir_component_app(fake->component)))
        abort();
    weir_component_failed(fake->component, &(struct weir_error){WEIR_DATA_LOSS, "", "lost its disk"});
    return NULL;
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return 2;
    const char *scenario = argv[1];
    static struct fake db = {.name = "db"}, api = {.name = "api"}, other = {.name = "other"};
    static char no_component[sizeof(struct weir_component)];
    api.scenario = scenario;
    argv[1] = argv[0];
    if (!strcmp(scenario, "adopts"))
        make_orphan();
    if (!strcmp(scenario, "exit-hangs") && atexit(hang) != 0)
        return 3;
    if (!strcmp(scenario, "unheard"))
        fill_standard_error();
    struct weir_app *app = app_create("child", argc - 1, argv + 1);
    bool mistakes = is(&api, "mistakes");
    db.component =
        weir_component_add(app, "db", &ops, &db, &(struct weir_component_options){.finish_min_ms = 100});
    api.component =
        weir_component_add(app, "api", &ops, &api,
                           &(struct weir_component_options){
                               .needs = {db.component, mistakes ? no_component : NULL}, .ingress = true});
    weir_component_add(app, mistakes ? "api" : "other", &ops, &other, NULL);
    pthread_t failing;
    if (is(&api, "dies-once") &&
        (pthread_create(&failing, NULL, fail_later, &api) != 0 || pthread_detach(failing) != 0))
        return 3;
    return weir_app_run(app);
}
