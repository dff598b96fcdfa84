#include <weir/service.h>

#include <stdlib.h>
#include <string.h>

#include "call/call.h"
#include "call/channel.h"
#include "core/memory.h"

static void destroy(void *self)
{
    struct weir_service *service = self;
    free(service->lanes);
    free(service);
}

/* Nothing to start or stop: a service is where its servers' edges meet those of what its handlers use. */
static const struct weir_component_ops ops = {.destroy = destroy};

static struct weir_service *add(struct weir_app *app, const struct weir_service_type *type,
                                const struct weir_component_options *options)
{
    struct weir_service *service = NEW(struct weir_service);
    service->type = type;
    component_add(app, &service->component, type->full_name, &ops, service, options);
    component_is(&service->component, COMPONENT_SERVICE);
    return service;
}

static void add_lanes(struct weir_service *service)
{
    const struct weir_service_type *type = service->type;
    service->lanes = memory_zalloc((type->method_count + 1) * sizeof(struct executor_lane *));
    for (size_t i = 0; i < type->method_count; i++) {
        const struct weir_method *method = &type->methods[i];
        if (!method->is_present(service->handlers) || method->is_inline(service->handlers))
            continue;
        const struct weir_method_limits *limits = method->limits(service->handlers);
        struct executor_lane_options options = {
            .service = type->full_name,
            .method = method->name,
            .threads_max = limits->threads_max,
            .queue_max = limits->queue_max,
        };
        service->lanes[i] = executor_lane_new(service->executor, &options);
    }
}

static void check_idempotency(const struct weir_service *service)
{
    const struct weir_service_type *type = service->type;
    for (size_t i = 0; i < type->method_count; i++) {
        const struct weir_method *method = &type->methods[i];
        if (!method->idempotency_key || !method->is_present(service->handlers))
            continue;
        if (!service->idempotency)
            app_mistake(service->component.app,
                        "%s takes an Idempotency-Key: name the database that keeps its answers, .idempotency",
                        method->full_name);
        else if (method->is_inline(service->handlers))
            app_mistake(service->component.app,
                        "%s takes an Idempotency-Key, which is looked up in a database: it cannot be inline",
                        method->full_name);
    }
}

struct weir_service *weir_service_add(struct weir_app *app, const struct weir_service_type *type,
                                      const struct weir_service_options *options)
{
    struct weir_component_options component = {0};
    memcpy(component.needs, options->needs, sizeof component.needs);
    struct weir_service *service = add(app, type, &component);
    service->handlers = options->handlers;
    service->self = options->self;
    service->executor = app_executor(app);
    service->idempotency = options->idempotency;
    component_needs(&service->component, app_executor_component(app));
    component_needs(&service->component, options->idempotency);
    if (options->handlers) {
        add_lanes(service);
        check_idempotency(service);
    } else {
        app_mistake(app, "%s: no handlers were given", type->full_name);
    }
    return service;
}

struct weir_service *weir_proxy_add(struct weir_app *app, const struct weir_service_type *type,
                                    struct weir_channel *channel)
{
    struct weir_service *service = add(app, type, NULL);
    service->proxy_to = channel;
    if (channel)
        component_needs(&service->component, channel);
    else
        app_mistake(app, "%s: no channel was given to pass its calls on", type->full_name);
    return service;
}
