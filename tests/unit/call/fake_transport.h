/* A transport that remembers what it was told, and a service to dispatch to, without an app. */
#ifndef FAKE_TRANSPORT_H
#define FAKE_TRANSPORT_H

#include <pthread.h>

#include "call/call.h"
#include "echo_service.h"

#define FAKE_SENT_MAX 64

struct fake {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct weir_call *call;
    int finished, reads;
    enum weir_status status;
    char text[1024];
    struct weir_buffer reply;
    struct weir_buffer sent[FAKE_SENT_MAX];
    int sent_count;
    enum weir_status send_status; /* what `send` answers */

    struct weir_service service;
    struct echo_service echo;
    struct executor *executor;
    struct gate *gate;
};

/* cmocka's setup and teardown: *state is a struct fake with the echo service on two executor threads. */
int fake_setup(void **state);
int fake_teardown(void **state);

/* A call of a method by name, not dispatched yet; the fake holds it until the teardown or the next one. */
struct weir_call *fake_call(struct fake *fake, const char *method, const ProtobufCMessage *request);

/* Until `*counter` is at least `least`; false after 10 s. */
bool fake_wait(struct fake *fake, const int *counter, int least);

/* Delivers a message to a stream. */
void fake_deliver(struct fake *fake, const ProtobufCMessage *message);

#endif
