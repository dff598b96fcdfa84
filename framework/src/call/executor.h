/* Runs what may block on a bounded number of threads, with a bounded queue. Work of one kind has a lane, with bounds of
 * its own: what hangs in one lane leaves threads to the others.
 *
 * A task that waits at a parker (core/parker.h) gives its thread to another task, and may go on on a third one's: it
 * holds no mutex and no address of a thread-local variable then. It counts as running. */
#ifndef WEIR_CALL_EXECUTOR_H
#define WEIR_CALL_EXECUTOR_H

#include <stdbool.h>
#include <stdint.h>

#include <weir/component.h>

struct executor;
struct executor_lane;

/* Intrusive: embed it in what shall be run. */
struct executor_task {
    void (*run)(struct executor_task *task);
    struct executor_task *next;
    struct executor_lane *lane; /* set by who takes it */
};

/* Threads start with executor_start(). Owner destroys. */
struct executor *executor_new(int64_t threads, int64_t queue_max);
enum weir_status executor_start(struct executor *executor, struct weir_error *err);
/* Runs what is queued, joins the threads. */
void executor_stop(struct executor *executor);
void executor_destroy(struct executor *executor);

struct executor_lane_options {
    const char *service, *method; /* Required: of the metrics. Copies */
    int64_t threads_max;          /* tasks that run at once; 0: the configuration's method_threads */
    int64_t queue_max; /* tasks that wait for these; more are refused; 0: the configuration's method_queue */
};
/* Not while tasks are submitted. Lives as long as the executor. */
struct executor_lane *executor_lane_new(struct executor *executor,
                                        const struct executor_lane_options *options);

enum executor_answer {
    EXECUTOR_TAKEN,
    EXECUTOR_FULL,      /* so many tasks wait, or it has stopped */
    EXECUTOR_LANE_FULL, /* so many tasks of this lane wait */
};
/* Refuse politely what it does not take. `lane` may be NULL: only the executor's own bounds count. Any thread. */
enum executor_answer executor_submit(struct executor *executor, struct executor_lane *lane,
                                     struct executor_task *task);
/* For steps of work that was accepted already: never refuses while the executor runs. Any thread. */
void executor_continue(struct executor *executor, struct executor_lane *lane, struct executor_task *task);

/* The app's component "executor" (keys threads, queue, method_threads, method_queue, fibers). Made by weir_app_new(). */
struct executor *executor_add(struct weir_app *app, struct weir_component **ret_component);

#endif
