/* What is generated has C names of its own. */
#include <stdlib.h>
#include <string.h>

#include "check.h"

struct name {
    const char *name;
    const char *owner; /* "message shop.order.v1.Paid" */
    struct place place;
    size_t order; /* of being added */
};

struct names {
    struct weir_arena *arena;
    struct name *names;
    size_t count, most;
};

static void add(struct names *names, const char *prefix, const char *suffix, const char *owner,
                struct place place)
{
    if (names->count == names->most) {
        size_t most = names->most * 2 + 64;
        struct name *more = weir_arena_alloc(names->arena, most * sizeof *more);
        if (names->count > 0)
            memcpy(more, names->names, names->count * sizeof *more);
        names->names = more;
        names->most = most;
    }
    names->names[names->count] = (struct name){
        .name = weir_arena_printf(names->arena, "%s%s", prefix, suffix),
        .owner = owner,
        .place = place,
        .order = names->count,
    };
    names->count++;
}

static void add_method(struct names *names, const struct method *method)
{
    static const char *const always[] = {"_is_inline", "_is_present", "_limits", "_http", NULL};
    static const char *const unary[] = {"",  "_start", "_done_fn", "_started", "_started_done", "_call_unary",
                                        NULL};
    static const char *const stream[] = {"_open",          "_read",          "_call_open",
                                         "_call_message",  "_call_cancel",   "_call_half_close",
                                         "_call_draining", "_call_writable", NULL};
    static const char *const incoming[] = {"_write", NULL};
    static const char *const outgoing[] = {"_send", NULL};
    static const char *const one_reply[] = {"_reply", NULL};
    const char *const *sets[4] = {always, unary};
    size_t count = 2;
    if (method->client_streaming || method->server_streaming) {
        sets[1] = stream;
        sets[count++] = method->server_streaming ? outgoing : one_reply;
        if (method->client_streaming)
            sets[count++] = incoming;
    }
    const char *owner = weir_arena_printf(names->arena, "method %s", method->full_name);
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; sets[i][j]; j++)
            add(names, method->snake, sets[i][j], owner, method->place);
}

static void add_service(struct names *names, const struct service *service)
{
    static const char *const suffixes[] = {"_handlers",    "_service_type", "_service_options",
                                           "_service_add", "_methods",      "_channel_add"};
    const char *owner = weir_arena_printf(names->arena, "service %s", service->full_name);
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++)
        add(names, service->prefix, suffixes[i], owner, service->place);
    for (size_t i = 0; i < service->method_count; i++)
        add_method(names, &service->methods[i]);
}

static void add_message(struct names *names, const struct message *message)
{
    static const char *const suffixes[] = {"_topic", "_publish", "_send", "_post", "_emit", "_key"};
    const char *owner = weir_arena_printf(names->arena, "message %s", message->full_name);
    add(names, message->c_type, "", owner, message->place);
    for (size_t i = 0; message->topic && i < sizeof suffixes / sizeof suffixes[0]; i++)
        add(names, message->snake, suffixes[i], owner, message->place);
}

static void add_file(struct names *names, const struct file *file)
{
    for (size_t i = 0; i < file->message_count; i++)
        add_message(names, &file->messages[i]);
    for (size_t i = 0; i < file->enum_count; i++)
        add(names, file->enums[i].c_type, "",
            weir_arena_printf(names->arena, "enum %s", file->enums[i].full_name), file->enums[i].place);
    for (size_t i = 0; i < file->service_count; i++)
        add_service(names, &file->services[i]);
}

static int by_name(const void *left, const void *right)
{
    const struct name *a = left, *b = right;
    int order = strcmp(a->name, b->name);
    return order != 0 ? order : (a->order > b->order) - (a->order < b->order);
}

static bool is_checked(const struct checker *checker, const struct file *file)
{
    for (size_t i = 0; i < checker->file_count; i++)
        if (checker->files[i] == file)
            return true;
    return false;
}

/* The first name that two things have is enough: the others follow from it. */
static bool reported(const struct names *names, size_t index, const char *first_owner)
{
    for (size_t i = 1; i < index; i++)
        if (names->names[i].owner == names->names[index].owner && names->names[i - 1].owner == first_owner &&
            strcmp(names->names[i].name, names->names[i - 1].name) == 0)
            return true;
    return false;
}

/* Every program has the framework's own names, and those of the health service that it carries. */
static void check_prefix(const struct checker *checker, const struct service *service)
{
    if (strcmp(service->prefix, "weir") == 0)
        check_fail(checker, service->place, "service %s: the C prefix weir_ is the framework's",
                   service->name);
    else if (strcmp(service->prefix, "health") == 0 &&
             strcmp(service->full_name, "grpc.health.v1.Health") != 0)
        check_fail(checker, service->place,
                   "service %s: the C prefix health_ is that of grpc.health.v1.Health", service->name);
}

void check_names(const struct checker *checker)
{
    struct names names = {.arena = checker->model->arena};
    for (size_t i = 0; i < checker->model->file_count; i++)
        add_file(&names, &checker->model->files[i]);
    if (names.count > 0)
        qsort(names.names, names.count, sizeof *names.names, by_name);
    for (size_t i = 1; i < names.count; i++) {
        const struct name *first = &names.names[i - 1], *second = &names.names[i];
        if (strcmp(first->name, second->name) == 0 && is_checked(checker, second->place.file) &&
            !reported(&names, i, first->owner))
            check_fail(checker, second->place,
                       "the %s needs the C name %s, which the %s has: rename one of them", second->owner,
                       second->name, first->owner);
    }
    for (size_t i = 0; i < checker->file_count; i++)
        for (size_t j = 0; j < checker->files[i]->service_count; j++)
            check_prefix(checker, &checker->files[i]->services[j]);
}
