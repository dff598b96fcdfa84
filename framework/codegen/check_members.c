/* What protobuf-c makes of a message compiles: each member of the struct has a name of its own, and no
 * keyword's. */
#include <string.h>

#include "check.h"
#include "names.h"

struct member {
    const char *name;
    const char *owner; /* "field items" */
};

struct members {
    const struct checker *checker;
    const struct message *message;
    struct member *members;
    size_t count;
};

/* protobuf-c appends an underscore to keywords of C++ and C, but not to these; and some are macros here or
 * there. */
static bool is_forbidden(const char *name)
{
    static const char *const words[] = {"restrict", "typeof", "linux", "unix", "errno"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcmp(name, words[i]) == 0)
            return true;
    return false;
}

static void add(struct members *members, const char *name, const char *owner, struct place place)
{
    for (size_t i = 0; i < members->count; i++)
        if (strcmp(members->members[i].name, name) == 0) {
            check_fail(members->checker, place,
                       "%s: the %s needs the C member %s, which the %s has: rename one of them",
                       members->message->full_name, owner, name, members->members[i].owner);
            return;
        }
    members->members[members->count++] = (struct member){.name = name, .owner = owner};
}

static void add_field(struct members *members, const struct field *field)
{
    struct weir_arena *arena = members->checker->model->arena;
    const char *owner = weir_arena_printf(arena, "field %s", field->name);
    if (is_forbidden(field->member))
        check_fail(members->checker, field->place,
                   "%s: a field cannot be named %s, which is a word of C's own", members->message->full_name,
                   field->name);
    bool pointer = field->type == WEIR_TYPE_STRING || field->type == WEIR_TYPE_MESSAGE;
    bool flagged = !field->message && !field->repeated && !field->required && !pointer &&
                   !field->oneof_name && !members->message->file->proto3;
    if (field->repeated)
        add(members, weir_arena_printf(arena, "n_%s", field->member), owner, field->place);
    if (flagged)
        add(members, weir_arena_printf(arena, "has_%s", field->member), owner, field->place);
    add(members, field->member, owner, field->place);
}

static bool is_first_of_oneof(const struct message *message, const struct field *field)
{
    for (const struct field *other = message->fields; other < field; other++)
        if (other->oneof_name && strcmp(other->oneof_name, field->oneof_name) == 0)
            return false;
    return true;
}

static void check_message(const struct checker *checker, const struct message *message)
{
    struct weir_arena *arena = checker->model->arena;
    struct members members = {
        .checker = checker,
        .message = message,
        .members = weir_arena_alloc(arena, (3 * message->field_count + 1) * sizeof(struct member)),
    };
    add(&members, "base", "message itself", message->place);
    for (size_t i = 0; i < message->field_count; i++) {
        const struct field *field = &message->fields[i];
        add_field(&members, field);
        if (field->oneof_name && is_first_of_oneof(message, field))
            add(&members, weir_arena_printf(arena, "%s_case", names_lower(arena, field->oneof_name)),
                weir_arena_printf(arena, "oneof %s", field->oneof_name), field->place);
    }
}

void check_members(const struct checker *checker)
{
    for (size_t i = 0; i < checker->file_count; i++)
        for (size_t j = 0; j < checker->files[i]->message_count; j++)
            check_message(checker, &checker->files[i]->messages[j]);
}
