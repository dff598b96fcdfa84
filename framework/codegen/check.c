#include "check.h"

#include <stdarg.h>
#include <string.h>

#include "options.h"

void check_fail(const struct checker *checker, struct place place, const char *format, ...)
{
    int line, column;
    place_find(place, &line, &column);
    weir_buffer_printf(checker->errors, "%s:%d:%d: ", place.file->name, line, column);
    va_list args;
    va_start(args, format);
    weir_buffer_vprintf(checker->errors, format, args);
    va_end(args);
    weir_buffer_append_byte(checker->errors, '\n');
}

/* ---- Messages and topics ---- */

static bool is_topic_name(const char *name)
{
    static const char *const classes[] = {"order.", "user.", "inventory.", "payment."};
    for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++) {
        size_t size = strlen(classes[i]);
        if (strncmp(name, classes[i], size) == 0 && name[size] != '\0')
            return strspn(name + size, "abcdefghijklmnopqrstuvwxyz_") == strlen(name + size);
    }
    return false;
}

static void check_key(const struct checker *checker, const struct message *message)
{
    const struct topic *topic = message->topic;
    const struct field *key = model_field(message, topic->key);
    if (topic->key[0] == '\0')
        check_fail(checker, topic->place,
                   "topic \"%s\" has no key: name the field by which its records are ordered", topic->name);
    else if (!key)
        check_fail(checker, topic->place, "topic \"%s\": its key \"%s\" is no field of %s", topic->name,
                   topic->key, message->full_name);
    else if (key->type != WEIR_TYPE_STRING || key->repeated || key->oneof_name)
        check_fail(checker, topic->place,
                   "topic \"%s\": its key \"%s\" must be a string that is neither repeated nor optional nor "
                   "in a oneof",
                   topic->name, topic->key);
}

/* The first message of the model that declares the same topic. */
static const struct message *first_of_topic(const struct model *model, const char *name)
{
    for (size_t i = 0; i < model->file_count; i++)
        for (size_t j = 0; j < model->files[i].message_count; j++) {
            const struct message *message = &model->files[i].messages[j];
            if (message->topic && strcmp(message->topic->name, name) == 0)
                return message;
        }
    return NULL;
}

static void check_topic(const struct checker *checker, const struct message *message)
{
    const struct topic *topic = message->topic;
    if (!is_topic_name(topic->name))
        check_fail(checker, topic->place,
                   "topic \"%s\" is not named CLASS.EVENT: CLASS is order, user, inventory or payment, EVENT "
                   "is of a-z "
                   "and _",
                   topic->name);
    const struct message *first = first_of_topic(checker->model, topic->name);
    if (first != message)
        check_fail(checker, topic->place, "topic \"%s\" is declared by %s already", topic->name,
                   first->full_name);
    check_key(checker, message);
}

void check_messages(const struct checker *checker)
{
    enum { GROUP = 10 };
    for (size_t i = 0; i < checker->file_count; i++)
        for (size_t j = 0; j < checker->files[i]->message_count; j++) {
            const struct message *message = &checker->files[i]->messages[j];
            for (size_t k = 0; k < message->field_count; k++)
                if ((int)message->fields[k].type == GROUP)
                    check_fail(checker, message->fields[k].place, "%s.%s is a group: use a message",
                               message->full_name, message->fields[k].name);
            if (message->topic)
                check_topic(checker, message);
        }
}

/* ---- Methods: what they consume, their idempotency keys ---- */

static void check_consumer(const struct checker *checker, const struct method *method)
{
    struct place place = place_in(checker->model->arena, method->place, PATH_METHOD_OPTIONS, OPTION_CONSUME);
    if (!method->consumed)
        check_fail(checker, place,
                   "%s consumes topic \"%s\", which no message declares: import the file that does",
                   method->full_name, method->consume);
    else if (method->consumed != method->request)
        check_fail(checker, place, "%s consumes topic \"%s\", which carries %s; its request is %s",
                   method->full_name, method->consume, method->consumed->full_name,
                   method->request->full_name);
    if (method->client_streaming || method->server_streaming)
        check_fail(checker, place, "%s streams: only a unary method consumes a topic", method->full_name);
    for (const struct method *other = method->service->methods; other < method; other++)
        if (other->consume && strcmp(other->consume, method->consume) == 0)
            check_fail(checker, place, "topic \"%s\" is consumed by %s already", method->consume,
                       other->full_name);
}

static void check_idempotency_key(const struct checker *checker, const struct method *method)
{
    if (method->client_streaming || method->server_streaming)
        check_fail(
            checker,
            place_in(checker->model->arena, method->place, PATH_METHOD_OPTIONS, OPTION_IDEMPOTENCY_KEY),
            "%s streams: only a unary method takes an idempotency key", method->full_name);
}

void check_methods(const struct checker *checker)
{
    for (size_t i = 0; i < checker->file_count; i++)
        for (size_t j = 0; j < checker->files[i]->service_count; j++) {
            const struct service *service = &checker->files[i]->services[j];
            for (size_t k = 0; k < service->method_count; k++) {
                if (service->methods[k].consume)
                    check_consumer(checker, &service->methods[k]);
                if (service->methods[k].idempotency_key)
                    check_idempotency_key(checker, &service->methods[k]);
            }
        }
}

void check_files(const struct model *model, char *const *names, size_t count, struct weir_buffer *ret_errors)
{
    struct checker checker = {
        .model = model,
        .files = weir_arena_alloc(model->arena, (count + 1) * sizeof(struct file *)),
        .errors = ret_errors,
    };
    for (size_t i = 0; i < count; i++) {
        const struct file *file = model_file(model, names[i]);
        if (file && !file->no_generate)
            checker.files[checker.file_count++] = file;
    }
    check_messages(&checker);
    check_methods(&checker);
    check_http(&checker);
    check_members(&checker);
    check_names(&checker);
}
