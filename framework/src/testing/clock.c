#include "testing/clock.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <weir/clock.h>

#include "core/clock.h"

#define BEGIN_NS (1000 * WEIR_NS_PER_S)
#define BEGIN_UNIX_NS (INT64_C(1893456000) * WEIR_NS_PER_S) /* 2030-01-01T00:00:00Z */
#define PATIENCE_MS 20000
#define PATIENCE_WITH_WAITS_MS 500

static _Atomic int64_t now_ns;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* all below */
static struct clock_wait *waits, **last_wait = &waits;
static struct test_timer *timers, **last_timer = &timers;

void test_die(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("weir test: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    abort();
}

/* ---- Reading ---- */

int64_t test_clock_ns(void)
{
    return atomic_load(&now_ns);
}

int64_t test_clock_ms(void)
{
    return (test_clock_ns() - BEGIN_NS) / WEIR_NS_PER_MS;
}

static int64_t read_now(void *self)
{
    (void)self;
    return test_clock_ns();
}

static int64_t read_unix(void *self)
{
    (void)self;
    return test_clock_ns() - BEGIN_NS + BEGIN_UNIX_NS;
}

/* ---- Who waits ---- */

static void begin_wait(struct clock_wait *wait)
{
    pthread_mutex_lock(&lock);
    wait->next = NULL;
    wait->link = last_wait;
    *last_wait = wait;
    last_wait = &wait->next;
    pthread_mutex_unlock(&lock);
}

static void end_wait(struct clock_wait *wait)
{
    pthread_mutex_lock(&lock);
    *wait->link = wait->next;
    if (wait->next)
        wait->next->link = wait->link;
    else
        last_wait = wait->link;
    pthread_mutex_unlock(&lock);
}

/* Holds: lock. */
static void take_out(struct test_timer *timer)
{
    if (!timer->link)
        return;
    *timer->link = timer->next;
    if (timer->next)
        timer->next->link = timer->link;
    else
        last_timer = timer->link;
    timer->link = NULL;
}

void test_timer_begin(struct test_timer *timer, int64_t in_ms)
{
    pthread_mutex_lock(&lock);
    take_out(timer);
    timer->at_ns = test_clock_ns() + in_ms * WEIR_NS_PER_MS;
    timer->next = NULL;
    timer->link = last_timer;
    *last_timer = timer;
    last_timer = &timer->next;
    pthread_mutex_unlock(&lock);
}

void test_timer_end(struct test_timer *timer)
{
    pthread_mutex_lock(&lock);
    take_out(timer);
    pthread_mutex_unlock(&lock);
}

/* ---- Begin and end ---- */

void test_clock_begin(void)
{
    static const struct weir_clock_source source = {.now_ns = read_now, .unix_ns = read_unix};
    static const struct virtual_clock clock = {.begin = begin_wait, .end = end_wait};
    atomic_store(&now_ns, BEGIN_NS);
    threads_begin();
    weir_clock_set_source(&source);
    clock_set_virtual(&clock);
}

void test_clock_end(void)
{
    clock_set_virtual(NULL);
    weir_clock_set_source(NULL);
    threads_end();
}

/* ---- Moving ---- */

static int64_t real_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void pause_us(long us)
{
    nanosleep(&(struct timespec){.tv_nsec = us * 1000}, NULL);
}

void test_clock_settle(void)
{
    int64_t begun_ms = real_ms(), waits_since_ms = -1;
    enum threads_state state;
    for (long us = 20; (state = threads_look()) != THREADS_SLEEP; us = us < 1000 ? us * 2 : 1000) {
        int64_t now_ms = real_ms();
        if (state == THREADS_RUN)
            waits_since_ms = -1;
        else if (waits_since_ms < 0)
            waits_since_ms = now_ms;
        if (waits_since_ms >= 0 && now_ms - waits_since_ms > PATIENCE_WITH_WAITS_MS) {
            threads_waited_in_vain();
            return;
        }
        if (now_ms - begun_ms > PATIENCE_MS)
            test_die("the thread \"%s\" has not come to rest in %d s: while one runs, time stands still",
                     threads_awake(), PATIENCE_MS / 1000);
        pause_us(us);
    }
}

/* Holds: lock. The first of those who wait for the earliest time; the lifecycle's thread after all others. */
static struct clock_wait *earliest_wait(void)
{
    struct clock_wait *best = waits;
    for (struct clock_wait *wait = waits; wait; wait = wait->next)
        if (wait->until_ns < best->until_ns ||
            (wait->until_ns == best->until_ns && best->late && !wait->late))
            best = wait;
    return best;
}

/* Holds: lock. */
static struct test_timer *earliest_timer(void)
{
    struct test_timer *best = timers;
    for (struct test_timer *timer = timers; timer; timer = timer->next)
        if (timer->at_ns < best->at_ns)
            best = timer;
    return best;
}

static void move_to(int64_t ns)
{
    if (ns > test_clock_ns())
        atomic_store(&now_ns, ns);
}

/* Holds: lock. */
static bool still_waits(const struct clock_wait *wanted)
{
    for (const struct clock_wait *wait = waits; wait; wait = wait->next)
        if (wait == wanted)
            return true;
    return false;
}

/* One that has begun to wait and does not sleep yet would miss to be told once. Holds: lock, lets go of it meanwhile. */
static void wake(struct clock_wait *wait)
{
    int64_t begun_ms = real_ms();
    while (still_waits(wait) && wait->until_ns <= test_clock_ns()) {
        wait->wake(wait);
        pthread_mutex_unlock(&lock);
        pause_us(20);
        if (real_ms() - begun_ms > PATIENCE_MS)
            test_die("somebody whose time has come has not gone on in %d s", PATIENCE_MS / 1000);
        pthread_mutex_lock(&lock);
    }
}

bool test_clock_step(int64_t until_ns)
{
    test_clock_settle();
    pthread_mutex_lock(&lock);
    struct clock_wait *wait = earliest_wait();
    struct test_timer *timer = earliest_timer();
    if (timer && timer->at_ns <= until_ns && (!wait || timer->at_ns <= wait->until_ns)) {
        take_out(timer);
        move_to(timer->at_ns);
        pthread_mutex_unlock(&lock);
        timer->fire(timer);
        return true;
    }
    bool found = wait && wait->until_ns <= until_ns;
    if (found) {
        move_to(wait->until_ns);
        wake(wait);
    }
    pthread_mutex_unlock(&lock);
    return found;
}

void test_clock_set(int64_t ns)
{
    move_to(ns);
}
