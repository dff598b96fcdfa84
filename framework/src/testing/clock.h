/* The test's clock: stands still unless it is moved, and knows who waits for what. One at a time. */
#ifndef WEIR_TESTING_CLOCK_H
#define WEIR_TESTING_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

/* From now on time is virtual, and those who wait for it are known; threads that exist already are not watched.
 * Before the app is made. */
void test_clock_begin(void);
/* Nothing waits any more. */
void test_clock_end(void);

int64_t test_clock_ns(void); /* as weir_now_ns() */
int64_t test_clock_ms(void); /* since test_clock_begin() */

/* Until all threads that were made since test_clock_begin() are asleep. */
void test_clock_settle(void);

/* Settles, then moves to the next time that somebody waits for, if that is not past `until_ns`, and wakes one who
 * does. False: nobody does. */
bool test_clock_step(int64_t until_ns);
/* No earlier wait is left: moves there. */
void test_clock_set(int64_t now_ns);

/* Something that the test does at a time, on the test's thread. Zero it first. Any thread. */
struct test_timer {
    int64_t at_ns;
    void (*fire)(struct test_timer *timer);
    struct test_timer *next, **link;
};
void test_timer_begin(struct test_timer *timer, int64_t in_ms);
void test_timer_end(struct test_timer *timer); /* also one that has fired, or never began */

/* Says what is wrong and ends the program. */
_Noreturn void test_die(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- threads.c: the process's threads, apart from the caller and those who were there at threads_begin() ---- */

enum threads_state {
    THREADS_RUN,
    THREADS_WAIT, /* all sleep, one of them in a call that may end by itself: a sleep, a file, a child */
    THREADS_SLEEP,
};

void threads_begin(void);
/* A thread's sleep is looked at twice: who was asleep both times, and did not run in between, slept at the same moment
 * as all others, so nobody was about to wake anybody. */
enum threads_state threads_look(void);
/* Those who waited have been waited for long enough: after some times that is not done again. */
void threads_waited_in_vain(void);
void threads_end(void);
/* The name of one that did not sleep when threads_look() was last asked. */
const char *threads_awake(void);

#endif
