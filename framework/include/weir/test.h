/* The test kit: runs a whole service inside a test program, on a clock of its own, with nothing outside the process.
 * Link weir::test (CMake) or weir-test (pkg-config).
 *
 *     struct weir_test *test = weir_test_new(inventory_app);
 *     weir_test_call(test, "shop.inventory.v1.InventoryService/Reserve", "{\"orderId\": \"o-1\", ...}");
 *     weir_test_stop_at(test, 0);
 *     assert_string_equal(weir_test_report(test)->outcome, "clean");
 *     weir_test_free(test);
 *
 * What stands in for what: servers open no sockets, and are called by a method's name; consumers are handed
 * messages; producers keep what they are given; channels give the answers that the test names; a database is a file
 * in a folder that is gone afterwards. Everything else is the service's own, on real threads.
 *
 * Time. weir_now_ns(), weir_unix_ns(), deadlines, weir_context_sleep(), timers, back-offs and the lifecycle's windows
 * are on the test's clock. It stands still until a function here lets time pass (each says so), and then goes from one
 * time that somebody waits for to the next, always waiting until all threads of the service are asleep: what costs no
 * such wait takes no time at all. Who waits for the same time is woken one after the other, the lifecycle last: so who
 * returns at his limit is in time. What is real: usleep(), sockets of one's own, child processes. Such a wait is waited
 * for half a second of real time; then time goes past it. A thread that never sleeps stops the test after 20 s.
 *
 * One test at a time, and all functions from the thread that made it; one that a failed test left behind is freed by
 * the next weir_test_new(). What a test does wrong (a method that there is
 * not, a message that is none) is written to standard error, and ends the program by abort(). */
#ifndef WEIR_TEST_H
#define WEIR_TEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/app.h>
#include <weir/component.h>
#include <weir/export.h>
#include <weir/method.h>
#include <weir/status.h>

struct weir_test;

/* Makes an app as main() does, and does not run it. */
typedef struct weir_app *weir_test_app_fn(int argc, char **argv);

/* Calls `app`. Nothing runs yet: the first function that lets time pass, or calls, starts it. Never NULL. Caller owns
 * the result. */
WEIR_API struct weir_test *weir_test_new(weir_test_app_fn *app);
/* With flags as on the command line, NULL at the end: {"--app.deadline_ms=5000", NULL}. Borrows until the test is
 * free. */
WEIR_API struct weir_test *weir_test_new_with(weir_test_app_fn *app, const char *const *flags);
/* Stops what still runs, destroys everything. What hangs by weir_test_trace_options is let go; of a component of
 * one's own that really hangs the memory is left, and a line says so. NULL is fine. */
WEIR_API void weir_test_free(struct weir_test *test);

/* To add components of the test's own before anything starts. */
WEIR_API struct weir_app *weir_test_app(struct weir_test *test);

/* ---- Time ---- */

/* Since the test began. */
WEIR_API int64_t weir_test_now_ms(const struct weir_test *test);
/* Begins the start, and lets no time pass: for a test that stops a service while it starts. */
WEIR_API void weir_test_start(struct weir_test *test);
/* Lets time pass until the service is ready. False: its start failed, or it has ended. */
WEIR_API bool weir_test_ready(struct weir_test *test);
/* Lets so much time pass. */
WEIR_API void weir_test_advance(struct weir_test *test, int64_t ms);
/* Waits until all threads are asleep; lets no time pass. For what a test has set going itself. */
WEIR_API void weir_test_settle(struct weir_test *test);

/* ---- Stop ---- */

/* SIGTERM, so many ms from now; where nothing has been started yet, from when the service is ready. Lets no other time
 * pass. */
WEIR_API void weir_test_stop_at(struct weir_test *test, int64_t ms);
/* SIGTERM, SIGINT, SIGHUP, SIGUSR1, now. As in a real process, one within 300 ms of another is the same one. */
WEIR_API void weir_test_signal(struct weir_test *test, int signal);
WEIR_API void weir_test_signal_at(struct weir_test *test, int64_t ms, int signal);
/* Lets time pass until the app has ended, for a day at most. Returns the exit status that the process would have. */
WEIR_API int weir_test_run_to_end(struct weir_test *test);

struct weir_test_step {
    const char *outcome; /* "clean", "cut", "failed", "abandoned", "skipped"; "" where it was not due */
    int64_t at_ms;       /* when it was called, from the begin of the stop; -1: it was not */
    int64_t used_ms;
    const char *error; /* "" without */
};

struct weir_test_component {
    const char *name;
    const char *outcome; /* the worst of start, quiesce, drain, finish, and a destroy that was called */
    struct weir_test_step start, quiesce, drain, finish, destroy;
    struct weir_work work;
    int restarts;
};

struct weir_test_report {
    const char *outcome; /* "clean", "unclean"; "not run": see the exit status */
    const char *cause;   /* "SIGTERM"; else the reason or the error */
    int exit;
    bool forced;
    int64_t elapsed_ms;                           /* of the stop */
    const struct weir_test_component *components; /* in the order in which they were added */
    size_t count;
    const char *text; /* as a service writes it to standard error */
    const char *json;
};

/* weir_test_run_to_end(), and what it cost. Lives as long as the test. */
WEIR_API const struct weir_test_report *weir_test_report(struct weir_test *test);
/* One component of it. There is one of this name. */
WEIR_API const struct weir_test_component *weir_test_component(struct weir_test *test, const char *name);

/* ---- Calls ---- */

struct weir_test_reply {
    enum weir_status status;
    const char *error; /* as a client is told; "" with OK */
    const char *json;  /* the reply, with fields that have their default; "" unless OK */
};

/* Waits until the service is ready, calls a method by its full name, and lets time pass until it is answered. What is
 * returned lives as long as the test. */
WEIR_API const struct weir_test_reply *weir_test_call(struct weir_test *test, const char *method,
                                                      const char *json);

/* Zero members take the default. Copies. */
struct weir_test_request {
    const char *method;     /* "shop.inventory.v1.InventoryService/Reserve"; or */
    const char *topic;      /* "order.paid": a message for the consumer of this topic */
    const char *json;       /* Default "{}". Of a client or bidi stream: none, see weir_test_call_send() */
    const char *server;     /* the component that it comes in by. Default: the first that serves the method */
    const char *principal;  /* who calls. Default: nobody is known */
    const char *message_id; /* idempotency-key, or of the message. Default: none; of a message, a new one */
    int64_t timeout_ms;     /* Default 30,000, for a stream none; negative: none */
};

/* Begins a call, as soon as the service is ready, and lets no time pass afterwards. A server that no longer listens
 * refuses it with UNAVAILABLE. */
struct weir_test_call;
WEIR_API struct weir_test_call *weir_test_call_start(struct weir_test *test,
                                                     const struct weir_test_request *request);
/* NULL while it is not over. Lets no time pass. */
WEIR_API const struct weir_test_reply *weir_test_call_reply(struct weir_test_call *call);
/* Lets time pass until it is over. */
WEIR_API const struct weir_test_reply *weir_test_call_wait(struct weir_test_call *call);
/* The client goes away. */
WEIR_API void weir_test_call_cancel(struct weir_test_call *call);

/* Of streams: one message to the service; no more of them; the next one from it, NULL when there is none. None lets
 * time pass. */
WEIR_API void weir_test_call_send(struct weir_test_call *call, const char *json);
WEIR_API void weir_test_call_half_close(struct weir_test_call *call);
WEIR_API const char *weir_test_call_receive(struct weir_test_call *call);

/* ---- Kafka ---- */

/* Hands a message to the method that consumes the topic, once, and lets time pass until it is done. OK: its offset
 * would be committed. Another status: it would come again, which is left to the test. */
WEIR_API const struct weir_test_reply *weir_test_deliver(struct weir_test *test, const char *topic,
                                                         const char *json);

struct weir_test_record {
    const char *key, *json, *message_id;
};
/* What producers and outboxes have published on a topic, and the broker has: the first is 0. NULL: not so many.
 * Generated: &order_paid_topic. Lets no time pass. */
WEIR_API const struct weir_test_record *weir_test_published(struct weir_test *test,
                                                            const struct weir_topic *topic, size_t index);
/* False: from now on nothing that is sent is acknowledged, as by a broker that is gone, until it is back. */
WEIR_API void weir_test_broker(struct weir_test *test, bool there);

/* ---- Other services ---- */

/* What a channel answers to a method, from now on; the newest one for a method counts. Without one a call fails with
 * UNAVAILABLE. A bidi stream has the answer once for each message, and ends when its caller has closed his side; a server
 * stream has it once, and ends. Copies. */
struct weir_test_answer {
    const char *method; /* "shop.payment.v1.PaymentService/Authorise" */
    enum weir_status status;
    const char *json;  /* with OK. Default "{}" */
    const char *error; /* with others */
    int64_t after_ms;  /* not of a stream, unless it fails */
};
WEIR_API void weir_test_answer(struct weir_test *test, const struct weir_test_answer *answer);
/* What was asked of a method, as JSON, each message of a stream by itself: the first is 0. NULL: not so often. Lets no
 * time pass. */
WEIR_API const char *weir_test_asked(struct weir_test *test, const char *method, size_t index);

/* ---- Trace ---- */

/* What one operation of a trace component does. Zero: it returns OK at once. */
struct weir_test_script {
    int64_t
        takes_ms; /* ends earlier when its context is over: a start fails with CANCELLED, a drain cancels its work */
    enum weir_status fails; /* returns this at its end */
    bool ignores_cancel;    /* takes all of its time in any case */
    bool hangs;             /* does not return before weir_test_free() */
};

/* Zero is the default everywhere. Copies. */
struct weir_test_trace_options {
    struct weir_component_options component;
    struct weir_test_script start, quiesce, drain, finish, destroy;
    int64_t in_flight; /* work when its drain begins: completed, or cancelled when its time is over */
    int64_t stuck;     /* of it, what ignores that */
};

/* A component that does what its script says and nothing else. Before anything starts: for the app that is tested, or
 * for one that is made of nothing else. Returns a handle for `needs` and weir_component_failed(). */
struct weir_test_trace;
WEIR_API struct weir_test_trace *weir_test_trace_add(struct weir_app *app, const char *name,
                                                     const struct weir_test_trace_options *options);
/* What the lifecycle called so far, in its order, and when: "0 start db, 0 start rest, 1000 quiesce rest, ...", of all
 * components but services and what every app has. What is independent of each other may come in any order within the
 * same millisecond. Lives as long as the test. */
WEIR_API const char *weir_test_trace(struct weir_test *test);

#endif
