#include <stdlib.h>

#include "codec/schema_read.h"

/* Numbers of extensions: weir/options.proto. */
enum { OPTION_TOPIC = 51000, OPTION_SENSITIVE = 51000 };
enum { LABEL_REQUIRED = 2, LABEL_REPEATED = 3, TYPE_GROUP = 10 };

/* ---- Well-known types ---- */

static enum weir_well_known well_known_named(const char *full_name)
{
    static const struct {
        const char *name;
        enum weir_well_known kind;
    } kinds[] = {
        {"Timestamp", WEIR_WELL_KNOWN_TIMESTAMP},  {"Duration", WEIR_WELL_KNOWN_DURATION},
        {"FieldMask", WEIR_WELL_KNOWN_FIELD_MASK}, {"Any", WEIR_WELL_KNOWN_ANY},
        {"Struct", WEIR_WELL_KNOWN_STRUCT},        {"Value", WEIR_WELL_KNOWN_VALUE},
        {"ListValue", WEIR_WELL_KNOWN_LIST_VALUE}, {"Empty", WEIR_WELL_KNOWN_EMPTY},
        {"DoubleValue", WEIR_WELL_KNOWN_WRAPPER},  {"FloatValue", WEIR_WELL_KNOWN_WRAPPER},
        {"Int64Value", WEIR_WELL_KNOWN_WRAPPER},   {"UInt64Value", WEIR_WELL_KNOWN_WRAPPER},
        {"Int32Value", WEIR_WELL_KNOWN_WRAPPER},   {"UInt32Value", WEIR_WELL_KNOWN_WRAPPER},
        {"BoolValue", WEIR_WELL_KNOWN_WRAPPER},    {"StringValue", WEIR_WELL_KNOWN_WRAPPER},
        {"BytesValue", WEIR_WELL_KNOWN_WRAPPER},
    };
    static const char package[] = "google.protobuf.";
    if (strncmp(full_name, package, sizeof package - 1) != 0)
        return WEIR_WELL_KNOWN_NONE;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strcmp(full_name + sizeof package - 1, kinds[i].name) == 0)
            return kinds[i].kind;
    }
    return WEIR_WELL_KNOWN_NONE;
}

/* The codec reads well-known types by their numbers: a set that has others under these names is not believed.
 */
static bool has_shape(const struct weir_message *message, enum weir_well_known kind)
{
    static const uint8_t value_types[] = {WEIR_TYPE_ENUM, WEIR_TYPE_DOUBLE,  WEIR_TYPE_STRING,
                                          WEIR_TYPE_BOOL, WEIR_TYPE_MESSAGE, WEIR_TYPE_MESSAGE};
    const struct weir_field *first = weir_message_field(message, 1), *second = weir_message_field(message, 2);
    switch (kind) {
    case WEIR_WELL_KNOWN_STRUCT:
        return first && first->map;
    case WEIR_WELL_KNOWN_LIST_VALUE:
        return first && first->repeated && first->type == WEIR_TYPE_MESSAGE;
    case WEIR_WELL_KNOWN_WRAPPER:
        return first && !first->repeated && first->type != WEIR_TYPE_MESSAGE;
    case WEIR_WELL_KNOWN_ANY:
        return first && second && first->type == WEIR_TYPE_STRING && second->type == WEIR_TYPE_BYTES &&
               !first->repeated && !second->repeated;
    case WEIR_WELL_KNOWN_VALUE:
        for (uint32_t i = 0; i < 6; i++) {
            const struct weir_field *field = weir_message_field(message, i + 1);
            if (!field || field->type != value_types[i] || field->repeated)
                return false;
        }
        return first->enumeration->is_null_value;
    default:
        return true;
    }
}

/* ---- Fields ---- */

struct field_proto {
    struct weir_bytes name, json_name, type_name;
    uint64_t number, label, type;
    int64_t oneof; /* -1: none */
    bool proto3_optional, sensitive;
    int packed; /* -1: not said */
};

static void read_field_options(struct weir_schema *schema, struct weir_bytes options,
                               struct field_proto *field)
{
    for (struct reader reader = reader_of(options, &schema->bad); reader_next(&reader);) {
        if (reader.member.number == 2)
            field->packed = reader.member.raw != 0;
        else if (reader.member.number == OPTION_SENSITIVE)
            field->sensitive = reader.member.raw != 0;
    }
}

static struct field_proto read_field_proto(struct weir_schema *schema, struct weir_bytes proto)
{
    struct field_proto field = {.oneof = -1, .packed = -1};
    for (struct reader reader = reader_of(proto, &schema->bad); reader_next(&reader);) {
        const struct wire_member *member = &reader.member;
        switch (member->number) {
        case 1:
            field.name = member->content;
            break;
        case 3:
            field.number = member->raw;
            break;
        case 4:
            field.label = member->raw;
            break;
        case 5:
            field.type = member->raw;
            break;
        case 6:
            field.type_name = member->content;
            break;
        case 8:
            read_field_options(schema, member->content, &field);
            break;
        case 9:
            field.oneof = (int64_t)member->raw;
            break;
        case 10:
            field.json_name = member->content;
            break;
        case 17:
            field.proto3_optional = member->raw != 0;
            break;
        default:
            break;
        }
    }
    return field;
}

/* "customer_id" gives "customerId", as protoc does where json_name was not said. */
static const char *camel_case(struct weir_schema *schema, const char *name)
{
    char *result = weir_arena_strdup(schema->arena, name), *to = result;
    bool capital = false;
    for (; *name; name++) {
        if (*name == '_') {
            capital = true;
            continue;
        }
        *to++ = (char)(capital && *name >= 'a' && *name <= 'z' ? *name - 'a' + 'A' : *name);
        capital = false;
    }
    *to = 0;
    return result;
}

/* What the field's type is, by name. */
static bool link_type(struct weir_schema *schema, const char *type_name, struct weir_field *field)
{
    if (field->type == WEIR_TYPE_MESSAGE) {
        const struct definition *type = schema_find(schema, type_name, DEFINES_MESSAGE);
        field->message = type ? type->message : NULL;
        field->map = type && type->map_entry && field->repeated;
        return type;
    }
    if (field->type == WEIR_TYPE_ENUM) {
        const struct definition *type = schema_find(schema, type_name, DEFINES_ENUM);
        field->enumeration = type ? type->enumeration : NULL;
        return type;
    }
    return true;
}

static enum weir_status read_field(struct weir_schema *schema, const struct definition *definition,
                                   struct weir_bytes proto, struct weir_field *ret_field, bool *ret_made)
{
    struct field_proto field = read_field_proto(schema, proto);
    const char *name = schema_text(schema, field.name);
    if (field.type < 1 || field.type > WEIR_TYPE_SINT64 || field.type == TYPE_GROUP || field.number < 1 ||
        field.number > UINT32_MAX >> 3 || field.oneof > INT16_MAX || field.name.size == 0)
        return weir_fail(schema->err, WEIR_INVALID_ARGUMENT,
                         "descriptor set: field \"%s\" of %s has a type or a number that is not supported",
                         name, definition->full_name);
    bool repeated = field.label == LABEL_REPEATED;
    *ret_made = field.proto3_optional && field.oneof >= 0;
    *ret_field = (struct weir_field){
        .name = name,
        .json_name = field.json_name.size ? schema_text(schema, field.json_name) : camel_case(schema, name),
        .number = (uint32_t)field.number,
        .type = (uint8_t)field.type,
        .repeated = repeated,
        .required = field.label == LABEL_REQUIRED,
        .sensitive = field.sensitive,
        .oneof = (int16_t)(field.proto3_optional || field.oneof < 0 ? -1 : field.oneof),
    };
    bool numeric = repeated && field.type != WEIR_TYPE_STRING && field.type != WEIR_TYPE_BYTES &&
                   field.type != WEIR_TYPE_MESSAGE;
    ret_field->packed = numeric && (field.packed < 0 ? definition->proto3 : field.packed);
    ret_field->optional = !repeated && !ret_field->required &&
                          (field.proto3_optional || ret_field->oneof >= 0 ||
                           ret_field->type == WEIR_TYPE_MESSAGE || !definition->proto3);
    const char *type_name = schema_text(schema, field.type_name);
    if (!link_type(schema, type_name, ret_field))
        return weir_fail(schema->err, WEIR_INVALID_ARGUMENT,
                         "descriptor set: %s, the type of %s.%s, is missing (made without imports?)",
                         type_name, definition->full_name, name);
    return WEIR_OK;
}

static int by_number(const void *left, const void *right)
{
    const struct weir_field *a = left, *b = right;
    return (a->number > b->number) - (a->number < b->number);
}

static int by_json_name(const void *left, const void *right, void *arg)
{
    const uint16_t *a = left, *b = right;
    const struct weir_field *fields = arg;
    return strcmp(fields[*a].json_name, fields[*b].json_name);
}

static int by_name(const void *left, const void *right, void *arg)
{
    const uint16_t *a = left, *b = right;
    const struct weir_field *fields = arg;
    return strcmp(fields[*a].name, fields[*b].name);
}

static const uint16_t *order(struct weir_schema *schema, struct weir_field *fields, size_t count,
                             int (*compare)(const void *, const void *, void *))
{
    uint16_t *indices = weir_arena_alloc(schema->arena, (count + 1) * sizeof *indices);
    for (size_t i = 0; i < count; i++)
        indices[i] = (uint16_t)i;
    qsort_r(indices, count, sizeof *indices, compare, fields);
    return indices;
}

/* ---- Messages ---- */

static enum weir_status check_fields(struct weir_schema *schema, const struct definition *definition)
{
    const struct weir_message *message = definition->message;
    for (size_t i = 0; i < message->field_count; i++) {
        if ((i > 0 && message->fields[i].number == message->fields[i - 1].number) ||
            message->fields[i].oneof >= message->oneof_count)
            return weir_fail(schema->err, WEIR_INVALID_ARGUMENT,
                             "descriptor set: %s has a number twice or a oneof that is not there",
                             message->full_name);
    }
    const struct weir_field *key = weir_message_field(message, 1), *value = weir_message_field(message, 2);
    if (definition->map_entry &&
        (!key || !value || key->repeated || value->repeated || key->type == WEIR_TYPE_MESSAGE ||
         key->type == WEIR_TYPE_BYTES || key->type == WEIR_TYPE_DOUBLE || key->type == WEIR_TYPE_FLOAT ||
         key->type == WEIR_TYPE_ENUM))
        return weir_fail(schema->err, WEIR_INVALID_ARGUMENT, "descriptor set: %s is no entry of a map",
                         message->full_name);
    return WEIR_OK;
}

enum weir_status schema_read_message(struct weir_schema *schema, const struct definition *definition)
{
    struct weir_message *message = definition->message;
    size_t count = 0, oneofs = 0;
    for (struct reader reader = reader_of(definition->proto, &schema->bad); reader_next(&reader);) {
        count += reader.member.number == 2;
        oneofs += reader.member.number == 8;
    }
    if (count >= UINT16_MAX || oneofs > INT16_MAX)
        return weir_fail(schema->err, WEIR_INVALID_ARGUMENT, "descriptor set: %s has too many fields",
                         definition->full_name);
    struct weir_field *fields = weir_arena_zalloc(schema->arena, (count + 1) * sizeof *fields);
    size_t at = 0;
    for (struct reader reader = reader_of(definition->proto, &schema->bad); reader_next(&reader);) {
        if (reader.member.number != 2)
            continue;
        bool made = false;
        enum weir_status status = read_field(schema, definition, reader.member.content, &fields[at++], &made);
        if (status != WEIR_OK)
            return status;
        /* protoc makes a oneof for each `optional`, behind the real ones. */
        oneofs -= made && oneofs > 0;
    }
    qsort(fields, count, sizeof *fields, by_number);
    *message = (struct weir_message){
        .full_name = definition->full_name,
        .fields = fields,
        .field_count = count,
        .by_json_name = order(schema, fields, count, by_json_name),
        .by_name = order(schema, fields, count, by_name),
        .oneof_count = (uint16_t)oneofs,
    };
    enum weir_well_known kind = well_known_named(definition->full_name);
    if (has_shape(message, kind))
        message->well_known = kind;
    return check_fields(schema, definition);
}

void schema_read_enum(struct weir_schema *schema, const struct definition *definition)
{
    size_t count = 0, at = 0;
    for (struct reader reader = reader_of(definition->proto, &schema->bad); reader_next(&reader);)
        count += reader.member.number == 2;
    struct weir_enum_value *values = weir_arena_zalloc(schema->arena, (count + 1) * sizeof *values);
    for (struct reader reader = reader_of(definition->proto, &schema->bad); reader_next(&reader);) {
        if (reader.member.number != 2)
            continue;
        struct weir_enum_value *value = &values[at++];
        value->name = "";
        for (struct reader inner = reader_of(reader.member.content, &schema->bad); reader_next(&inner);) {
            if (inner.member.number == 1)
                value->name = schema_text(schema, inner.member.content);
            else if (inner.member.number == 2)
                value->number = (int32_t)inner.member.raw;
        }
    }
    *definition->enumeration = (struct weir_enum){
        .full_name = definition->full_name,
        .values = values,
        .value_count = count,
        .is_null_value = strcmp(definition->full_name, "google.protobuf.NullValue") == 0,
    };
}

struct weir_topic schema_read_topic(struct weir_schema *schema, const struct definition *definition)
{
    struct weir_topic topic = {.message = definition->message};
    for (struct reader reader = reader_of(definition->proto, &schema->bad); reader_next(&reader);) {
        if (reader.member.number != 7)
            continue;
        for (struct reader options = reader_of(reader.member.content, &schema->bad); reader_next(&options);) {
            if (options.member.number != OPTION_TOPIC)
                continue;
            for (struct reader inner = reader_of(options.member.content, &schema->bad);
                 reader_next(&inner);) {
                if (inner.member.number == 1)
                    topic.name = schema_text(schema, inner.member.content);
                else if (inner.member.number == 2)
                    topic.key_field = schema_text(schema, inner.member.content);
            }
        }
    }
    return topic;
}
