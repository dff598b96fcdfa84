#include "lifecycle/stack.h"

#include <errno.h>
#include <execinfo.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#define STACK_SIGNAL (SIGRTMAX - 3)
#define FRAMES_MAX 48

static _Atomic int output = -1;
static sem_t printed;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;

static void print_own(int signal)
{
    (void)signal;
    int saved = errno;
    int descriptor = atomic_exchange(&output, -1);
    if (descriptor >= 0) {
        void *frames[FRAMES_MAX];
        int count = backtrace(frames, FRAMES_MAX);
        backtrace_symbols_fd(frames, count, descriptor);
        sem_post(&printed);
    }
    errno = saved;
}

/* The first backtrace() loads a library, which a signal handler must not do: so it is done here. */
static void prepare(void)
{
    void *frame;
    backtrace(&frame, 1);
    sem_init(&printed, 0, 0);
    struct sigaction action = {.sa_handler = print_own, .sa_flags = SA_RESTART};
    sigaction(STACK_SIGNAL, &action, NULL);
}

void stack_prepare(void)
{
    pthread_once(&once, prepare);
}

void stack_print(pthread_t thread, int descriptor)
{
    pthread_mutex_lock(&one_at_a_time);
    atomic_store(&output, descriptor);
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += 200000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    int answered = -1;
    if (pthread_kill(thread, STACK_SIGNAL) == 0)
        while ((answered = sem_clockwait(&printed, CLOCK_MONOTONIC, &until)) != 0 && errno == EINTR)
            continue;
    if (answered != 0 && atomic_exchange(&output, -1) == -1)
        sem_wait(&printed); /* it is at it after all */
    pthread_mutex_unlock(&one_at_a_time);
}
