/* What takes the place of components that touch the world: a door for servers and consumers, see answers.c for
 * channels, broker.c for producers. Their destroy is still called. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir/clock.h>

#include "call/gate.h"
#include "core/memory.h"
#include "data/sql.h"
#include "testing/kit.h"
#include "transports/kafka/producer.h"

#define CUT_CALLS_MS 150 /* for calls that were cancelled to say so */

static void destroy_own(void *self)
{
    struct stand_in *stand_in = self;
    if (stand_in->ops->destroy)
        stand_in->ops->destroy(stand_in->self);
}

/* ---- The door of a server or a consumer ---- */

static enum weir_status door_start(void *self, struct weir_context *context, struct weir_error *err)
{
    (void)context, (void)err;
    struct stand_in *door = self;
    gate_destroy(door->gate); /* this may be a restart */
    door->gate = gate_new(0);
    atomic_store(&door->cutting, false);
    atomic_store(&door->listens, true);
    return WEIR_OK;
}

static enum weir_status door_quiesce(void *self, struct weir_error *err)
{
    (void)err;
    struct stand_in *door = self;
    atomic_store(&door->listens, false);
    gate_drain(door->gate);
    return WEIR_OK;
}

static enum weir_status door_drain(void *self, struct weir_context *context, struct weir_work *work,
                                   struct weir_error *err)
{
    (void)err;
    struct stand_in *door = self;
    calls_draining(door, weir_context_left_ms(context));
    if (!gate_wait_empty(door->gate, context)) {
        atomic_store(&door->cutting, true);
        gate_close(door->gate);
        gate_cut(door->gate);
        calls_cancel(door);
        struct weir_context moment;
        context_init(&moment, NULL, weir_deadline_in_ms(CUT_CALLS_MS));
        gate_wait_empty(door->gate, &moment);
        context_clean_up(&moment);
    }
    gate_account(door->gate, work);
    return WEIR_OK;
}

/* What was not done would come again. */
static enum weir_status door_finish(void *self, struct weir_context *context, struct weir_work *work,
                                    struct weir_error *err)
{
    (void)context, (void)err;
    struct stand_in *door = self;
    work->uncommitted += atomic_load(&door->retries);
    return WEIR_OK;
}

static const struct weir_component_ops server_ops = {
    .start = door_start, .quiesce = door_quiesce, .drain = door_drain, .destroy = destroy_own};
static const struct weir_component_ops consumer_door_ops = {.start = door_start,
                                                            .quiesce = door_quiesce,
                                                            .drain = door_drain,
                                                            .finish = door_finish,
                                                            .destroy = destroy_own};
static const struct weir_component_ops nothing_ops = {.destroy = destroy_own};

/* A server needs the services that it serves. */
static void find_services(struct stand_in *door, const struct app_part *part)
{
    door->services = memory_zalloc((part->need_count + 1) * sizeof(struct weir_service *));
    for (size_t i = 0; i < part->need_count; i++) {
        struct weir_component *need = (struct weir_component *)part->needs[i]; /* calls count in it */
        if (need->magic == COMPONENT_MAGIC && need->kind == COMPONENT_SERVICE)
            door->services[door->service_count++] = (struct weir_service *)need;
    }
}

/* ---- All of them ---- */

static bool says_url(const struct weir_test *test, const char *name)
{
    char flag[128];
    snprintf(flag, sizeof flag, "--%s.url=", name);
    for (size_t i = 0; test->argv[i]; i++)
        if (!strncmp(test->argv[i], flag, strlen(flag)))
            return true;
    return false;
}

/* A file of the test's own, and no waiting for the disk: what a test ends with nobody keeps. */
static void set_database(struct weir_test *test, struct weir_sql *db)
{
    if (says_url(test, db->component.name))
        return;
    db->settings.url = weir_arena_printf(test->arena, "sqlite:%s/%s.db", test->folder, db->component.name);
    db->settings.synchronous = 1;
}

static const struct weir_component_ops *ops_of(struct weir_test *test, struct weir_component *component)
{
    switch (component->kind) {
    case COMPONENT_REST_SERVER:
    case COMPONENT_GRPC_SERVER:
        return &server_ops;
    case COMPONENT_CONSUMER:
        return &consumer_door_ops;
    case COMPONENT_CHANNEL:
        ((struct weir_channel *)component)->ops = answers_channel_ops();
        return &answers_ops;
    case COMPONENT_PRODUCER:
        producer_set_sink((struct weir_producer *)component, broker_take, test);
        return &broker_ops;
    case COMPONENT_SQL:
        set_database(test, (struct weir_sql *)component);
        return NULL;
    case COMPONENT_ADMIN:
        return &nothing_ops;
    default:
        return NULL;
    }
}

static bool takes_calls(const struct stand_in *stand_in)
{
    return stand_in->kind == COMPONENT_REST_SERVER || stand_in->kind == COMPONENT_GRPC_SERVER ||
           stand_in->kind == COMPONENT_CONSUMER;
}

void stand_in_all(struct weir_test *test)
{
    struct stand_in **last = &test->stand_ins;
    for (uint32_t i = 0; i < test->app->count; i++) {
        struct app_part *part = test->app->parts[i];
        const struct weir_component_ops *ops = ops_of(test, part->component);
        if (!ops)
            continue;
        struct stand_in *stand_in = NEW(struct stand_in);
        stand_in->test = test;
        stand_in->name = weir_arena_strdup(test->arena, part->name);
        stand_in->kind = part->component->kind;
        stand_in->ops = part->ops;
        stand_in->self = part->self;
        if (takes_calls(stand_in))
            find_services(stand_in, part);
        if (stand_in->kind == COMPONENT_CHANNEL)
            stand_in->gate = gate_new(0);
        part->ops = ops;
        part->self = stand_in;
        *last = stand_in;
        last = &stand_in->next;
    }
}

void stand_in_free(struct weir_test *test)
{
    while (test->stand_ins) {
        struct stand_in *stand_in = test->stand_ins;
        test->stand_ins = stand_in->next;
        gate_destroy(stand_in->gate);
        free(stand_in->services);
        free(stand_in);
    }
}

/* ---- Who serves a method ---- */

static const struct weir_method *method_of(const struct weir_service *service,
                                           const struct weir_test_request *request)
{
    for (size_t i = 0; i < service->type->method_count; i++) {
        const struct weir_method *method = &service->type->methods[i];
        if (request->topic ? method->topic && !strcmp(method->topic->name, request->topic)
                           : !strcmp(method->full_name, request->method))
            return method;
    }
    return NULL;
}

/* By REST come unary methods that have a path. */
static bool can_take(const struct stand_in *door, const struct weir_method *method)
{
    return door->kind != COMPONENT_REST_SERVER || (method->kind == WEIR_UNARY && method->http_count > 0);
}

struct stand_in *stand_in_find(struct weir_test *test, const struct weir_test_request *request,
                               struct weir_service **ret_service, const struct weir_method **ret_method)
{
    for (struct stand_in *door = test->stand_ins; door; door = door->next) {
        if (!takes_calls(door) || (door->kind == COMPONENT_CONSUMER) != (request->topic != NULL) ||
            (request->server && strcmp(request->server, door->name) != 0))
            continue;
        for (size_t i = 0; i < door->service_count; i++) {
            *ret_method = method_of(door->services[i], request);
            *ret_service = door->services[i];
            if (*ret_method && can_take(door, *ret_method))
                return door;
        }
    }
    test_die("%s %s is %s by %s%s", request->topic ? "the topic" : "the method",
             request->topic ? request->topic : request->method, request->topic ? "consumed" : "served",
             request->server ? "no component of the name " : "nobody",
             request->server ? request->server : "");
}
