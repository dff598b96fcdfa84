/* Messages and enums. A field is what its number is on the wire and its name in JSON, so neither may change;
 * what is no longer wanted stays, deprecated, until the package's next version. */
#include <inttypes.h>
#include <string.h>

#include "findings.h"

struct place compare_place(const struct file *old_file, const struct model *new)
{
    const struct file *file = model_file(new, old_file->name);
    return (struct place){.file = file ? file : old_file};
}

static const char *type_of(struct weir_arena *arena, const struct field *field)
{
    static const char *const names[] = {
        [WEIR_TYPE_DOUBLE] = "double",     [WEIR_TYPE_FLOAT] = "float",
        [WEIR_TYPE_INT64] = "int64",       [WEIR_TYPE_UINT64] = "uint64",
        [WEIR_TYPE_INT32] = "int32",       [WEIR_TYPE_FIXED64] = "fixed64",
        [WEIR_TYPE_FIXED32] = "fixed32",   [WEIR_TYPE_BOOL] = "bool",
        [WEIR_TYPE_STRING] = "string",     [10] = "group",
        [WEIR_TYPE_BYTES] = "bytes",       [WEIR_TYPE_UINT32] = "uint32",
        [WEIR_TYPE_SFIXED32] = "sfixed32", [WEIR_TYPE_SFIXED64] = "sfixed64",
        [WEIR_TYPE_SINT32] = "sint32",     [WEIR_TYPE_SINT64] = "sint64",
    };
    if (field->message && field->message->map_entry && field->message->field_count == 2)
        return weir_arena_printf(arena, "map<%s, %s>", type_of(arena, &field->message->fields[0]),
                                 type_of(arena, &field->message->fields[1]));
    return field->type_name[0] != '\0' ? field->type_name : names[field->type];
}

static const char *label_of(const struct field *field)
{
    if (field->message && field->message->map_entry)
        return "a map";
    if (field->repeated)
        return "repeated";
    if (field->required)
        return "required";
    return field->proto3_optional ? "optional" : "singular";
}

static const char *oneof_of(const struct field *field)
{
    return field->oneof >= 0 ? field->oneof_name : "none";
}

static const struct field *field_by_number(const struct message *message, int32_t number)
{
    for (size_t i = 0; i < message->field_count; i++)
        if (message->fields[i].number == number)
            return &message->fields[i];
    return NULL;
}

static void compare_field(const struct field *old, const struct message *message, struct findings *findings)
{
    struct weir_arena *arena = message->file->model->arena;
    const char *element = weir_arena_printf(arena, "%s.%s", message->full_name, old->name);
    const struct field *new = field_by_number(message, old->number);
    const struct field *namesake = model_field(message, old->name);
    if (namesake && namesake != new) {
        findings_add(findings, namesake->place, element, "FIELD_SAME_NUMBER", "%" PRId32 " became %" PRId32,
                     old->number, namesake->number);
        return;
    }
    if (!new) {
        findings_add(findings, message->place, element, "FIELD_KEPT",
                     "number %" PRId32 " was removed: keep it, deprecated", old->number);
        return;
    }
    if (!namesake)
        findings_add(findings, new->place, element, "FIELD_SAME_NAME", "became %s", new->name);
    const char *old_type = type_of(arena, old), *new_type = type_of(arena, new);
    if (strcmp(old_type, new_type) != 0)
        findings_add(findings, new->place, element, "FIELD_SAME_TYPE", "%s became %s", old_type, new_type);
    else if (strcmp(label_of(old), label_of(new)) != 0)
        findings_add(findings, new->place, element, "FIELD_SAME_LABEL", "%s became %s", label_of(old),
                     label_of(new));
    if (namesake && strcmp(old->json_name, new->json_name) != 0)
        findings_add(findings, new->place, element, "FIELD_SAME_JSON_NAME", "\"%s\" became \"%s\"",
                     old->json_name, new->json_name);
    if (strcmp(oneof_of(old), oneof_of(new)) != 0)
        findings_add(findings, new->place, element, "FIELD_SAME_ONEOF", "%s became %s", oneof_of(old),
                     oneof_of(new));
}

static void compare_topic(const struct message *old, const struct message *new, struct findings *findings)
{
    if (!old->topic)
        return;
    if (!new->topic)
        findings_add(findings, new->place, new->full_name, "MESSAGE_SAME_TOPIC", "%s was removed",
                     old->topic->name);
    else if (strcmp(old->topic->name, new->topic->name) != 0)
        findings_add(findings, new->topic->place, new->full_name, "MESSAGE_SAME_TOPIC", "%s became %s",
                     old->topic->name, new->topic->name);
    else if (strcmp(old->topic->key, new->topic->key) != 0)
        findings_add(findings, new->topic->place, new->full_name, "TOPIC_SAME_KEY",
                     "%s became %s: records of one key would lose their order", old->topic->key,
                     new->topic->key);
}

static void compare_message(const struct message *old, const struct message *new, struct findings *findings)
{
    struct weir_arena *arena = new->file->model->arena;
    for (size_t i = 0; i < old->field_count; i++)
        compare_field(&old->fields[i], new, findings);
    for (size_t i = 0; i < new->field_count; i++)
        if (new->fields[i].required && !field_by_number(old, new->fields[i].number))
            findings_add(findings, new->fields[i].place,
                         weir_arena_printf(arena, "%s.%s", new->full_name, new->fields[i].name),
                         "FIELD_NOT_REQUIRED", "a new field that old senders do not send is required");
    compare_topic(old, new, findings);
    if (strcmp(old->c_type, new->c_type) != 0)
        findings_add(findings, new->place, new->full_name, "MESSAGE_SAME_C_NAME", "%s became %s", old->c_type,
                     new->c_type);
}

static void compare_enum(const struct enumeration *old, const struct enumeration *new,
                         struct findings *findings)
{
    for (size_t i = 0; i < old->value_count; i++) {
        const struct enum_value *same_name = NULL, *same_number = NULL;
        for (size_t j = 0; j < new->value_count; j++) {
            if (strcmp(new->values[j].name, old->values[i].name) == 0)
                same_name = &new->values[j];
            if (new->values[j].number == old->values[i].number && !same_number)
                same_number = &new->values[j];
        }
        const char *element =
            weir_arena_printf(new->file->model->arena, "%s.%s", new->full_name, old->values[i].name);
        if (same_name && same_name->number != old->values[i].number)
            findings_add(findings, same_name->place, element, "ENUM_VALUE_SAME_NUMBER",
                         "%" PRId32 " became %" PRId32, old->values[i].number, same_name->number);
        else if (!same_name && same_number)
            findings_add(findings, same_number->place, element, "ENUM_VALUE_SAME_NAME", "became %s",
                         same_number->name);
        else if (!same_name)
            findings_add(findings, new->place, element, "ENUM_VALUE_KEPT",
                         "number %" PRId32 " was removed: keep it, deprecated", old->values[i].number);
    }
}

void compare_messages(const struct file *old_file, const struct model *new, struct findings *findings)
{
    for (size_t i = 0; i < old_file->message_count; i++) {
        const struct message *old = &old_file->messages[i];
        const struct message *message = model_message(new, old->full_name);
        if (message && !old->map_entry)
            compare_message(old, message, findings);
        else if (!message && !old->map_entry)
            findings_add(findings, compare_place(old_file, new), old->full_name, "MESSAGE_KEPT",
                         "was removed");
    }
    for (size_t i = 0; i < old_file->enum_count; i++) {
        const struct enumeration *old = &old_file->enums[i];
        const struct enumeration *enumeration = model_enum(new, old->full_name);
        if (enumeration)
            compare_enum(old, enumeration, findings);
        else
            findings_add(findings, compare_place(old_file, new), old->full_name, "ENUM_KEPT", "was removed");
    }
}

void compare_models(const struct model *old, const struct model *new, struct findings *findings)
{
    for (size_t i = 0; i < old->file_count; i++) {
        if (strcmp(old->files[i].package, "google.protobuf") == 0 || old->files[i].no_generate)
            continue;
        compare_messages(&old->files[i], new, findings);
        compare_services(&old->files[i], new, findings);
    }
}
