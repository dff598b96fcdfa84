/* Tables of messages and enums, and helpers for presence. */
#include "emit.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "names.h"
#include "text.h"

static const char *well_known(const struct message *message)
{
    static const struct {
        const char *name, *kind;
    } kinds[] = {
        {"Timestamp", "TIMESTAMP"},  {"Duration", "DURATION"},
        {"FieldMask", "FIELD_MASK"}, {"Any", "ANY"},
        {"Struct", "STRUCT"},        {"Value", "VALUE"},
        {"ListValue", "LIST_VALUE"}, {"Empty", "EMPTY"},
        {"DoubleValue", "WRAPPER"},  {"FloatValue", "WRAPPER"},
        {"Int64Value", "WRAPPER"},   {"UInt64Value", "WRAPPER"},
        {"Int32Value", "WRAPPER"},   {"UInt32Value", "WRAPPER"},
        {"BoolValue", "WRAPPER"},    {"StringValue", "WRAPPER"},
        {"BytesValue", "WRAPPER"},
    };
    const char *package = "google.protobuf.";
    if (strncmp(message->full_name, package, strlen(package)) == 0)
        for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
            if (strcmp(message->full_name + strlen(package), kinds[i].name) == 0)
                return kinds[i].kind;
    return "NONE";
}

static const char *type_constant(enum weir_field_type type)
{
    static const char *const names[] = {
        [WEIR_TYPE_DOUBLE] = "DOUBLE",   [WEIR_TYPE_FLOAT] = "FLOAT",       [WEIR_TYPE_INT64] = "INT64",
        [WEIR_TYPE_UINT64] = "UINT64",   [WEIR_TYPE_INT32] = "INT32",       [WEIR_TYPE_FIXED64] = "FIXED64",
        [WEIR_TYPE_FIXED32] = "FIXED32", [WEIR_TYPE_BOOL] = "BOOL",         [WEIR_TYPE_STRING] = "STRING",
        [WEIR_TYPE_MESSAGE] = "MESSAGE", [WEIR_TYPE_BYTES] = "BYTES",       [WEIR_TYPE_UINT32] = "UINT32",
        [WEIR_TYPE_ENUM] = "ENUM",       [WEIR_TYPE_SFIXED32] = "SFIXED32", [WEIR_TYPE_SFIXED64] = "SFIXED64",
        [WEIR_TYPE_SINT32] = "SINT32",   [WEIR_TYPE_SINT64] = "SINT64",
    };
    return names[type];
}

static int by_number(const void *left, const void *right)
{
    const struct field *const *a = left, *const *b = right;
    return ((*a)->number > (*b)->number) - ((*a)->number < (*b)->number);
}

static const struct field **sorted_fields(const struct message *message)
{
    const struct field **fields =
        weir_arena_alloc(message->file->model->arena, (message->field_count + 1) * sizeof(struct field *));
    for (size_t i = 0; i < message->field_count; i++)
        fields[i] = &message->fields[i];
    qsort(fields, message->field_count, sizeof(struct field *), by_number);
    return fields;
}

/* Indices of `fields` in the order of what `name_of` gives. An insertion sort: messages are small. */
static void emit_order(struct weir_buffer *out, const struct message *message, const struct field **fields,
                       const char *suffix, const char *(*name_of)(const struct field *field))
{
    size_t count = message->field_count;
    size_t *order = weir_arena_alloc(message->file->model->arena, (count + 1) * sizeof *order);
    for (size_t i = 0; i < count; i++) {
        size_t at = i;
        for (; at > 0 && strcmp(name_of(fields[order[at - 1]]), name_of(fields[i])) > 0; at--)
            order[at] = order[at - 1];
        order[at] = i;
    }
    weir_buffer_printf(out, "static const uint16_t %s__%s[%zu] = {", message->c_lower, suffix, count);
    for (size_t i = 0; i < count; i++)
        weir_buffer_printf(out, "%s%zu", i > 0 ? ", " : "", order[i]);
    weir_buffer_printf(out, "};\n\n");
}

static const char *json_name_of(const struct field *field)
{
    return field->json_name;
}

static const char *name_of(const struct field *field)
{
    return field->name;
}

static void emit_field(struct weir_buffer *out, const struct file *file, const struct field *field)
{
    bool presence = !field->repeated && !field->required &&
                    (field->proto3_optional || field->oneof >= 0 || field->message || !file->proto3);
    weir_buffer_printf(
        out, "    {.name = \"%s\", .json_name = \"%s\", .number = %" PRId32 ", .type = WEIR_TYPE_%s",
        field->name, names_literal(file->model->arena, field->json_name), field->number,
        type_constant(field->type));
    const struct {
        const char *name;
        bool set;
    } flags[] = {
        {"repeated", field->repeated},
        {"packed", field->packed},
        {"map", field->message && field->message->map_entry},
        {"optional", presence},
        {"required", field->required},
        {"sensitive", field->sensitive},
    };
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++)
        if (flags[i].set)
            weir_buffer_printf(out, ", .%s = true", flags[i].name);
    weir_buffer_printf(out, ", .oneof = %" PRId32, field->oneof);
    if (field->message)
        weir_buffer_printf(out, ",\n     .message = &%s__table", field->message->c_lower);
    if (field->enumeration)
        weir_buffer_printf(out, ",\n     .enumeration = &%s__table", field->enumeration->c_lower);
    weir_buffer_printf(out, "},\n");
}

static void emit_message(struct weir_buffer *out, const struct message *message)
{
    if (message->field_count > 0) {
        const struct field **fields = sorted_fields(message);
        weir_buffer_printf(out, "static const struct weir_field %s__fields[%zu] = {\n", message->c_lower,
                           message->field_count);
        for (size_t i = 0; i < message->field_count; i++)
            emit_field(out, message->file, fields[i]);
        weir_buffer_printf(out, "};\n\n");
        emit_order(out, message, fields, "by_json_name", json_name_of);
        emit_order(out, message, fields, "by_name", name_of);
    }
    weir_buffer_printf(out, "const struct weir_message %s__table = {\n    .full_name = \"%s\",\n",
                       message->c_lower, message->full_name);
    if (message->field_count > 0)
        text_of_message(out, message,
                        "    .fields = $lower$__fields,\n"
                        "    .field_count = $count$,\n"
                        "    .by_json_name = $lower$__by_json_name,\n"
                        "    .by_name = $lower$__by_name,\n");
    weir_buffer_printf(out,
                       "    .oneof_count = %zu,\n    .well_known = WEIR_WELL_KNOWN_%s,\n"
                       "    .struct_size = sizeof(%s),\n};\n\n",
                       message->oneof_count, well_known(message), message->c_type);
}

static void emit_enum(struct weir_buffer *out, const struct enumeration *enumeration)
{
    weir_buffer_printf(out, "static const struct weir_enum_value %s__values[%zu] = {\n", enumeration->c_lower,
                       enumeration->value_count);
    for (size_t i = 0; i < enumeration->value_count; i++)
        weir_buffer_printf(out, "    {\"%s\", %" PRId32 "%s},\n", enumeration->values[i].name,
                           enumeration->values[i].number == INT32_MIN ? INT32_MIN + 1
                                                                      : enumeration->values[i].number,
                           enumeration->values[i].number == INT32_MIN ? " - 1" : "");
    weir_buffer_printf(out, "};\n\nconst struct weir_enum %s__table = {\n    .full_name = \"%s\",\n",
                       enumeration->c_lower, enumeration->full_name);
    weir_buffer_printf(out, "    .values = %s__values,\n    .value_count = %zu,\n", enumeration->c_lower,
                       enumeration->value_count);
    if (strcmp(enumeration->full_name, "google.protobuf.NullValue") == 0)
        weir_buffer_printf(out, "    .is_null_value = true,\n");
    weir_buffer_printf(out, "};\n\n");
}

/* ---- Presence of proto3's `optional`: protobuf-c has it as a oneof of one ---- */

static const char *member_type(struct weir_arena *arena, const struct field *field)
{
    switch (field->type) {
    case WEIR_TYPE_DOUBLE:
        return "double ";
    case WEIR_TYPE_FLOAT:
        return "float ";
    case WEIR_TYPE_INT64:
    case WEIR_TYPE_SINT64:
    case WEIR_TYPE_SFIXED64:
        return "int64_t ";
    case WEIR_TYPE_UINT64:
    case WEIR_TYPE_FIXED64:
        return "uint64_t ";
    case WEIR_TYPE_INT32:
    case WEIR_TYPE_SINT32:
    case WEIR_TYPE_SFIXED32:
        return "int32_t ";
    case WEIR_TYPE_UINT32:
    case WEIR_TYPE_FIXED32:
        return "uint32_t ";
    case WEIR_TYPE_BOOL:
        return "protobuf_c_boolean ";
    case WEIR_TYPE_STRING:
        return "char *";
    case WEIR_TYPE_BYTES:
        return "ProtobufCBinaryData ";
    case WEIR_TYPE_ENUM:
        return weir_arena_printf(arena, "%s ", field->enumeration->c_type);
    case WEIR_TYPE_MESSAGE:
        return weir_arena_printf(arena, "%s *", field->message->c_type);
    }
    return "void *";
}

static void emit_presence(struct weir_buffer *out, const struct message *message, const struct field *field)
{
    struct weir_arena *arena = message->file->model->arena;
    const char *member = names_lower(arena, field->oneof_name);
    const char *constant =
        weir_arena_printf(arena, "%s__%s_%s", message->c_upper, names_upper(arena, field->oneof_name),
                          names_upper(arena, field->name));
    weir_buffer_printf(out,
                       "static inline bool %s__has_%s(const %s *message)\n{\n"
                       "    return message->%s_case == %s;\n}\n",
                       message->c_lower, field->name, message->c_type, member, constant);
    weir_buffer_printf(out,
                       "static inline void %s__set_%s(%s *message, %svalue)\n{\n"
                       "    message->%s_case = %s;\n    message->%s = value;\n}\n\n",
                       message->c_lower, field->name, message->c_type, member_type(arena, field), member,
                       constant, field->member);
}

/* ---- A file's ---- */

void emit_message_declarations(struct output *out, const struct file *file)
{
    for (size_t i = 0; i < file->message_count; i++)
        weir_buffer_printf(&out->header, "extern const struct weir_message %s__table;\n",
                           file->messages[i].c_lower);
    for (size_t i = 0; i < file->enum_count; i++)
        weir_buffer_printf(&out->header, "extern const struct weir_enum %s__table;\n",
                           file->enums[i].c_lower);
    weir_buffer_append_text(&out->header, "\n");
    for (size_t i = 0; i < file->message_count; i++)
        for (size_t j = 0; j < file->messages[i].field_count; j++)
            if (file->messages[i].fields[j].proto3_optional)
                emit_presence(&out->header, &file->messages[i], &file->messages[i].fields[j]);
}

void emit_message_tables(struct output *out, const struct file *file)
{
    for (size_t i = 0; i < file->enum_count; i++)
        emit_enum(&out->source, &file->enums[i]);
    for (size_t i = 0; i < file->message_count; i++)
        emit_message(&out->source, &file->messages[i]);
}
