/* Runs what may block on a bounded number of threads, with a bounded queue. */
#ifndef WEIR_CALL_EXECUTOR_H
#define WEIR_CALL_EXECUTOR_H

#include <stdbool.h>
#include <stdint.h>

#include <weir/component.h>

struct executor;

/* Intrusive: embed it in what shall be run. */
struct executor_task {
    void (*run)(struct executor_task *task);
    struct executor_task *next;
};

/* Threads start with executor_start(). Owner destroys. */
struct executor *executor_new(int64_t threads, int64_t queue_max);
enum weir_status executor_start(struct executor *executor, struct weir_error *err);
/* Runs what is queued, joins the threads. */
void executor_stop(struct executor *executor);
void executor_destroy(struct executor *executor);

/* False when the queue is full, or it is stopped: refuse politely. Any thread. */
bool executor_submit(struct executor *executor, struct executor_task *task);
/* For steps of work that was accepted already: never refuses while the executor runs. Any thread. */
void executor_continue(struct executor *executor, struct executor_task *task);

/* The app's component "executor" (keys threads, queue). Made by weir_app_new(). */
struct executor *executor_add(struct weir_app *app, struct weir_component **ret_component);

#endif
