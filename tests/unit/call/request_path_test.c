/* What a request passes on its way takes no lock. The linker puts these functions in place of pthread's
 * (--wrap), for weir and for this program. */
#include "test.h"

#include <pthread.h>

#include <weir/clock.h>

#include "call/call.h"
#include "echo.weir.h"

static int64_t locks;

int __real_pthread_mutex_lock(pthread_mutex_t *mutex);
int __real_pthread_mutex_trylock(pthread_mutex_t *mutex);
int __real_pthread_rwlock_rdlock(pthread_rwlock_t *lock);
int __real_pthread_rwlock_wrlock(pthread_rwlock_t *lock);
int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex);
int __wrap_pthread_mutex_trylock(pthread_mutex_t *mutex);
int __wrap_pthread_rwlock_rdlock(pthread_rwlock_t *lock);
int __wrap_pthread_rwlock_wrlock(pthread_rwlock_t *lock);

int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex)
{
    locks++;
    return __real_pthread_mutex_lock(mutex);
}

int __wrap_pthread_mutex_trylock(pthread_mutex_t *mutex)
{
    locks++;
    return __real_pthread_mutex_trylock(mutex);
}

int __wrap_pthread_rwlock_rdlock(pthread_rwlock_t *lock)
{
    locks++;
    return __real_pthread_rwlock_rdlock(lock);
}

int __wrap_pthread_rwlock_wrlock(pthread_rwlock_t *lock)
{
    locks++;
    return __real_pthread_rwlock_wrlock(lock);
}

static enum weir_status answer(struct weir_call *call, const Echo__EchoRequest *request,
                               Echo__EchoReply *reply)
{
    (void)call, (void)request, (void)reply;
    return WEIR_OK;
}

static int answered;

static void finish(struct weir_call *call)
{
    answered += call->status == WEIR_OK;
    weir_call_release(call);
}

static void from_its_arrival_to_its_answer_an_inline_call_takes_no_lock(void **state)
{
    (void)state;
    static const struct call_ops ops = {.name = "wire", .finish = finish};
    static const struct echo_handlers handlers = {.echo = {.fn = answer, .inline_ = true}};
    struct weir_service service = {.type = &echo_service_type, .handlers = &handlers};
    struct gate *gate = gate_new(4096);
    enum { WARM_UP = 100, TIMES = 1000 };
    for (int i = 0; i < WARM_UP + TIMES; i++) {
        if (i == WARM_UP)
            locks = 0;
        struct weir_call *call = call_new(&ops, NULL, &service, &echo_methods[0], gate);
        call_set_deadline(call, weir_deadline_in_ms(1000));
        call->request = weir_bytes("", 0);
        call_dispatch(call);
    }
    int64_t taken = locks;
    assert_int_equal(answered, WARM_UP + TIMES);
    assert_int_equal(taken, 0);

    struct weir_context context;
    context_init(&context, NULL, WEIR_NEVER);
    assert_true(gate_wait_empty(gate, &context));
    assert_true(locks > 0); /* so they are counted */
    context_clean_up(&context);
    gate_destroy(gate);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(from_its_arrival_to_its_answer_an_inline_call_takes_no_lock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
