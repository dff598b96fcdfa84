/* Sagas at random: answers that are refusals, failures, lost or late; clients that cancel; a process that dies, and
 * another one that finds its database. In the end every saga is done or undone, and the other side has all of it or
 * nothing.
 *
 *     saga_simulation_test [COUNT [SEED]]
 *
 * A seed gives the same answers, and the same deaths; what runs at the same time may still take turns otherwise. */
#include "saga_kit.h"

#include <stdio.h>
#include <stdlib.h>

#define ORDERS 8
#define LIVES_MOST 4

static int count = 25;
static unsigned first_seed = 1;
static struct {
    int done, undone, deaths, cancelled, late, retried;
} seen;

static unsigned dice(unsigned *seed, unsigned below)
{
    return (unsigned)rand_r(seed) % below;
}

/* One process: clients come, some cancel; until it dies, or 60 s. */
static void live(struct weir_test *test, unsigned *seed, bool told[ORDERS])
{
    struct weir_test_call *calls[ORDERS] = {0};
    for (int step = 0; step < 24 && !world.crashed; step++) {
        int id = (int)dice(seed, ORDERS);
        if (dice(seed, 4) == 0)
            seen.cancelled += saga_kit_cancel(test, id)->status == WEIR_OK;
        else if (!calls[id])
            calls[id] = saga_kit_place_start(test, id);
        weir_test_advance(test, dice(seed, 3) ? dice(seed, 60) : dice(seed, 5000));
        if (dice(seed, 4) == 0) {
            seen.late += world.n_late;
            saga_kit_late();
        }
        for (int i = 0; i < ORDERS && !world.crashed; i++) {
            const struct weir_test_reply *reply = calls[i] ? weir_test_call_reply(calls[i]) : NULL;
            told[i] = told[i] || (reply && reply->status == WEIR_OK);
            if (reply)
                calls[i] = NULL;
        }
    }
}

static void check(struct weir_test *test, unsigned seed, const bool told[ORDERS])
{
    for (int id = 0; id < ORDERS; id++) {
        const char *state = saga_kit_state(test, id), *effects = saga_kit_effects(id);
        bool never = strstr(state, "no saga");
        bool done = strstr(state, "completed, done ") == state && strcmp(effects, "11-11-") == 0;
        bool undone = strstr(state, "turned, undone ") == state && !strchr(effects, '1');
        if ((done || undone || never) && !(told[id] && never)) {
            seen.done += done;
            seen.undone += undone;
            continue;
        }
        print_error("seed %u: order %d, %s: the other side has %s, its row is \"%s\"\n%s\n", seed, id,
                    told[id] ? "confirmed to its client" : "not confirmed", effects, state, world.trace);
        fail();
    }
}

static void run(unsigned first)
{
    unsigned seed = first;
    bool told[ORDERS] = {0};
    saga_kit_begin();
    world.seed = first;
    for (int life = 0; life < LIVES_MOST; life++) {
        world.crash_at = life + 1 < LIVES_MOST ? 1 + (int)dice(&seed, 60) : 0;
        world.trace[0] = 0;
        struct weir_test *test = saga_kit_start(life, 1);
        live(test, &seed, told);
        bool died = world.crashed;
        if (!died) { /* everybody is well again */
            world.crash_at = 0;
            world.seed = 0;
            saga_kit_late();
            weir_test_advance(test, 120000);
            check(test, first, told);
        }
        weir_test_free(test);
        if (!died)
            break;
        seen.deaths++;
        saga_kit_restore(life + 1);
    }
    for (int way = 0; way < WAYS; way++)
        for (int step = 0; step < STEPS; step++)
            seen.retried += world.ran[way][step];
    saga_kit_end();
}

static void every_saga_ends_done_or_undone_with_all_of_it_or_nothing(void **state)
{
    (void)state;
    for (int i = 0; i < count; i++)
        run(first_seed + (unsigned)i);
    printf("%d runs: %d sagas done, %d undone; %d deaths, %d cancelled, %d late effects, %d attempts\n",
           count, seen.done, seen.undone, seen.deaths, seen.cancelled, seen.late, seen.retried);
    if (count >= 25)
        assert_true(seen.done && seen.undone && seen.deaths && seen.cancelled && seen.late);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        count = atoi(argv[1]);
    if (argc > 2)
        first_seed = (unsigned)strtoul(argv[2], NULL, 10);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_saga_ends_done_or_undone_with_all_of_it_or_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
