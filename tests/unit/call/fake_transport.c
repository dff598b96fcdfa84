#include "fake_transport.h"

#include "test.h"

#include <stdio.h>

#include <weir/clock.h>

#include "core/condition.h"

static void finish(struct weir_call *call)
{
    struct fake *fake = call->transport;
    pthread_mutex_lock(&fake->lock);
    fake->finished++;
    fake->status = call->status;
    snprintf(fake->text, sizeof fake->text, "%s", call_error_text(call));
    weir_buffer_clear(&fake->reply);
    weir_buffer_append(&fake->reply, call->reply.data, call->reply.size);
    pthread_cond_broadcast(&fake->changed);
    pthread_mutex_unlock(&fake->lock);
}

static enum weir_status send_message(struct weir_call *call, struct weir_bytes message)
{
    struct fake *fake = call->transport;
    pthread_mutex_lock(&fake->lock);
    enum weir_status status = fake->send_status;
    if (fake->sent_count < FAKE_SENT_MAX)
        weir_buffer_append(&fake->sent[fake->sent_count++], message.data, message.size);
    pthread_cond_broadcast(&fake->changed);
    pthread_mutex_unlock(&fake->lock);
    return status;
}

static void read_next(struct weir_call *call)
{
    struct fake *fake = call->transport;
    pthread_mutex_lock(&fake->lock);
    fake->reads++;
    pthread_cond_broadcast(&fake->changed);
    pthread_mutex_unlock(&fake->lock);
}

int fake_setup(void **state)
{
    struct fake *fake = calloc(1, sizeof *fake);
    pthread_mutex_init(&fake->lock, NULL);
    condition_init(&fake->changed);
    echo_service_init(&fake->echo);
    fake->executor = executor_new(2, 16);
    executor_start(fake->executor, NULL);
    fake->gate = gate_new(0);
    fake->service = (struct weir_service){
        .type = &echo_service_type,
        .handlers = &echo_service_handlers,
        .self = &fake->echo,
        .executor = fake->executor,
    };
    *state = fake;
    return 0;
}

static void drop_call(struct fake *fake)
{
    if (fake->call)
        weir_call_release(fake->call);
    fake->call = NULL;
}

int fake_teardown(void **state)
{
    struct fake *fake = *state;
    executor_destroy(fake->executor);
    drop_call(fake);
    gate_destroy(fake->gate);
    echo_service_clean_up(&fake->echo);
    for (int i = 0; i < fake->sent_count; i++)
        weir_buffer_free(&fake->sent[i]);
    weir_buffer_free(&fake->reply);
    pthread_cond_destroy(&fake->changed);
    pthread_mutex_destroy(&fake->lock);
    free(fake);
    return 0;
}

struct weir_call *fake_call(struct fake *fake, const char *method, const ProtobufCMessage *request)
{
    static const struct call_ops ops = {
        .name = "fake", .finish = finish, .send = send_message, .read = read_next};
    drop_call(fake);
    const struct weir_method *found = NULL;
    for (size_t i = 0; i < echo_service_type.method_count; i++)
        if (strcmp(echo_service_type.methods[i].name, method) == 0)
            found = &echo_service_type.methods[i];
    assert_non_null(found);
    fake->call = call_new(&ops, fake, &fake->service, found, fake->gate);
    if (request) {
        struct weir_buffer wire = {0};
        call_pack(request, &wire);
        const char *copy = weir_arena_text(weir_call_arena(fake->call), weir_buffer_bytes(&wire));
        fake->call->request = weir_bytes(copy, wire.size);
        weir_buffer_free(&wire);
    }
    return fake->call;
}

bool fake_wait(struct fake *fake, const int *counter, int least)
{
    int64_t until = weir_deadline_in_ms(10000);
    pthread_mutex_lock(&fake->lock);
    bool in_time = true;
    while (*counter < least && in_time)
        in_time = condition_wait(&fake->changed, &fake->lock, until);
    bool reached = *counter >= least;
    pthread_mutex_unlock(&fake->lock);
    return reached;
}

void fake_deliver(struct fake *fake, const ProtobufCMessage *message)
{
    struct weir_buffer wire = {0};
    call_pack(message, &wire);
    call_message(fake->call, weir_buffer_bytes(&wire));
    weir_buffer_free(&wire);
}
