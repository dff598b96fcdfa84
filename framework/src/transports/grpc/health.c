#include "transports/grpc/health.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <weir/clock.h>

#include "core/condition.h"
#include "core/memory.h"

/* While somebody watches. */
#define LOOK_EVERY_MS 50

enum serving { UNASKED = -1, UNKNOWN = 0, SERVING = 1, NOT_SERVING = 2, SERVICE_UNKNOWN = 3 };

/* One Watch. */
struct watch {
    struct rpc *rpc;
    bool known;
    bool finished;
    enum serving told;
    struct watch *next, **link;
};

struct health {
    struct weir_app *app;
    const char *const *services;
    size_t count;

    pthread_mutex_t lock; /* all below */
    pthread_cond_t changed;
    struct watch *watches;
    bool running, stopped;
    pthread_t thread;
};

struct health *health_new(struct weir_app *app, const char *const *services, size_t count)
{
    struct health *health = NEW(struct health);
    health->app = app;
    health->services = services;
    health->count = count;
    pthread_mutex_init(&health->lock, NULL);
    condition_init(&health->changed);
    return health;
}

void health_destroy(struct health *health)
{
    if (!health)
        return;
    health_stop(health);
    pthread_cond_destroy(&health->changed);
    pthread_mutex_destroy(&health->lock);
    free(health);
}

/* ---- Wire bytes: string service = 1; ServingStatus status = 1 ---- */

static bool read_varint(struct weir_bytes *wire, uint64_t *ret_value)
{
    *ret_value = 0;
    for (unsigned shift = 0; shift < 64 && wire->size > 0; shift += 7) {
        uint8_t byte = *wire->data++;
        wire->size--;
        *ret_value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            return true;
    }
    return false;
}

static bool skip(struct weir_bytes *wire, uint64_t size)
{
    if (size > wire->size)
        return false;
    wire->data += size;
    wire->size -= (size_t)size;
    return true;
}

/* Empty where the field is absent. False: not a message. */
static bool read_service(struct weir_bytes wire, struct weir_bytes *ret_service)
{
    *ret_service = (struct weir_bytes){0};
    while (wire.size > 0) {
        uint64_t tag, value;
        if (!read_varint(&wire, &tag))
            return false;
        switch (tag & 7) {
        case 0:
            if (!read_varint(&wire, &value))
                return false;
            break;
        case 1:
        case 5:
            if (!skip(&wire, (tag & 7) == 1 ? 8 : 4))
                return false;
            break;
        case 2: {
            if (!read_varint(&wire, &value))
                return false;
            const uint8_t *begins = wire.data;
            if (!skip(&wire, value))
                return false;
            if (tag >> 3 == 1)
                *ret_service = weir_bytes(begins, (size_t)value);
            break;
        }
        default:
            return false;
        }
    }
    return true;
}

static struct weir_bytes write_status(enum serving serving, uint8_t room[2])
{
    room[0] = 1 << 3;
    room[1] = (uint8_t)serving;
    return weir_bytes(room, 2);
}

/* ---- What is so ---- */

static bool is_known(const struct health *health, struct weir_bytes service)
{
    for (size_t i = 0; i < health->count; i++)
        if (weir_bytes_equal_text(service, health->services[i]))
            return true;
    return service.size == 0; /* the server as a whole */
}

static enum serving serving(const struct health *health)
{
    return weir_app_ready(health->app) && !health->stopped ? SERVING : NOT_SERVING;
}

/* Holds: lock. */
static void tell(const struct health *health, struct watch *watch)
{
    enum serving now = watch->known ? serving(health) : SERVICE_UNKNOWN;
    if (watch->finished || now == watch->told)
        return;
    uint8_t room[2];
    watch->told = now;
    rpc_send(watch->rpc, watch, write_status(now, room));
}

/* Holds: lock. */
static void finish(struct watch *watch, enum weir_status status, const char *text)
{
    if (watch->finished)
        return;
    watch->finished = true;
    rpc_finish(watch->rpc, status, text, NULL);
}

static void *look(void *arg)
{
    struct health *health = arg;
    pthread_mutex_lock(&health->lock);
    while (!health->stopped) {
        if (!health->watches) {
            pthread_cond_wait(&health->changed, &health->lock);
            continue;
        }
        for (struct watch *watch = health->watches; watch; watch = watch->next)
            tell(health, watch);
        int64_t until = weir_deadline_in_ms(LOOK_EVERY_MS);
        condition_wait(&health->changed, &health->lock, until);
    }
    pthread_mutex_unlock(&health->lock);
    return NULL;
}

enum weir_status health_start(struct health *health, struct weir_error *err)
{
    int errnum = pthread_create(&health->thread, NULL, look, health);
    if (errnum != 0)
        return weir_fail_errno(err, WEIR_UNAVAILABLE, errnum, "cannot start a thread for health");
    pthread_setname_np(health->thread, "weir-health");
    health->running = true;
    return WEIR_OK;
}

void health_stop(struct health *health)
{
    pthread_mutex_lock(&health->lock);
    health->stopped = true;
    for (struct watch *watch = health->watches; watch; watch = watch->next) {
        tell(health, watch);
        finish(watch, WEIR_UNAVAILABLE, "the server is stopping");
    }
    bool running = health->running;
    health->running = false;
    pthread_cond_signal(&health->changed);
    pthread_mutex_unlock(&health->lock);
    if (running)
        pthread_join(health->thread, NULL);
}

/* ---- Rpcs ---- */

static void check(struct health *health, struct rpc *rpc, struct weir_bytes service)
{
    if (!is_known(health, service)) {
        rpc_finish(rpc, WEIR_NOT_FOUND, "no such service here", NULL);
        return;
    }
    uint8_t room[2];
    pthread_mutex_lock(&health->lock);
    struct weir_bytes reply = write_status(serving(health), room);
    pthread_mutex_unlock(&health->lock);
    rpc_finish(rpc, WEIR_OK, "", &reply);
}

static void add_watch(struct health *health, struct rpc *rpc, struct weir_bytes service)
{
    struct watch *watch = NEW(struct watch);
    watch->rpc = rpc;
    watch->known = is_known(health, service);
    watch->told = UNASKED;
    rpc_set_user(rpc, watch);
    pthread_mutex_lock(&health->lock);
    watch->next = health->watches;
    if (watch->next)
        watch->next->link = &watch->next;
    watch->link = &health->watches;
    health->watches = watch;
    tell(health, watch);
    if (health->stopped)
        finish(watch, WEIR_UNAVAILABLE, "the server is stopping");
    pthread_cond_signal(&health->changed);
    pthread_mutex_unlock(&health->lock);
}

void health_begin(struct health *health, struct rpc *rpc)
{
    struct weir_bytes service;
    if (!read_service(rpc_request(rpc), &service))
        rpc_finish(rpc, WEIR_INVALID_ARGUMENT, "not a HealthCheckRequest", NULL);
    else if (rpc_method(rpc)->kind == WEIR_UNARY)
        check(health, rpc, service);
    else
        add_watch(health, rpc, service);
}

void health_over(struct health *health, struct rpc *rpc)
{
    struct watch *watch = rpc_user(rpc);
    if (!watch)
        return;
    pthread_mutex_lock(&health->lock);
    finish(watch, WEIR_CANCELLED, "");
    pthread_mutex_unlock(&health->lock);
}

void health_gone(struct health *health, struct rpc *rpc)
{
    struct watch *watch = rpc_user(rpc);
    if (!watch)
        return;
    pthread_mutex_lock(&health->lock);
    *watch->link = watch->next;
    if (watch->next)
        watch->next->link = watch->link;
    pthread_mutex_unlock(&health->lock);
    free(watch);
}
