/* Where another thread stands: it is interrupted by a signal and writes its own stack. For what hangs. */
#ifndef WEIR_LIFECYCLE_STACK_H
#define WEIR_LIFECYCLE_STACK_H

#include <pthread.h>

/* Before the first stack_print(). */
void stack_prepare(void);

/* Waits at most 200 ms for the thread to answer. One at a time; the thread must not have ended. */
void stack_print(pthread_t thread, int descriptor);

#endif
