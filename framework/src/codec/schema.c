#include "codec/schema_read.h"

#include <stdlib.h>

#include "core/memory.h"

/* Of messages within messages. */
#define NESTING_MAX 64

const char *schema_text(struct weir_schema *schema, struct weir_bytes text)
{
    return weir_arena_text(schema->arena, text);
}

/* ---- What there is, by name ---- */

static struct definition *add(struct weir_schema *schema, enum definition_kind kind, const char *full_name,
                              struct weir_bytes proto, bool proto3)
{
    if (schema->count == schema->capacity) {
        schema->capacity = schema->capacity ? schema->capacity * 2 : 64;
        schema->definitions =
            memory_realloc(schema->definitions, schema->capacity * sizeof *schema->definitions);
    }
    struct definition *definition = &schema->definitions[schema->count];
    *definition = (struct definition){
        .full_name = full_name, .proto = proto, .kind = kind, .proto3 = proto3, .order = schema->count};
    schema->count++;
    return definition;
}

static const char *join(struct weir_schema *schema, const char *scope, struct weir_bytes name)
{
    const char *text = schema_text(schema, name);
    return scope[0] ? weir_arena_printf(schema->arena, "%s.%s", scope, text) : text;
}

/* Field 1 of every definition. */
static struct weir_bytes name_of(struct weir_schema *schema, struct weir_bytes proto)
{
    struct weir_bytes name = {0};
    for (struct reader reader = reader_of(proto, &schema->bad); reader_next(&reader);) {
        if (reader.member.number == 1)
            name = reader.member.content;
    }
    return name;
}

static bool is_map_entry(struct weir_schema *schema, struct weir_bytes options)
{
    bool map_entry = false;
    for (struct reader reader = reader_of(options, &schema->bad); reader_next(&reader);) {
        if (reader.member.number == 7)
            map_entry = reader.member.raw != 0;
    }
    return map_entry;
}

static void collect_simple(struct weir_schema *schema, enum definition_kind kind, const char *scope,
                           struct weir_bytes proto)
{
    struct definition *definition =
        add(schema, kind, join(schema, scope, name_of(schema, proto)), proto, true);
    if (kind == DEFINES_ENUM)
        definition->enumeration = weir_arena_zalloc(schema->arena, sizeof *definition->enumeration);
    else
        definition->service = weir_arena_zalloc(schema->arena, sizeof *definition->service);
}

static void collect_message(struct weir_schema *schema, const char *scope, struct weir_bytes proto,
                            bool proto3, size_t depth)
{
    if (depth > NESTING_MAX) {
        schema->bad = true;
        return;
    }
    const char *full_name = join(schema, scope, name_of(schema, proto));
    struct weir_message *message = weir_arena_zalloc(schema->arena, sizeof *message);
    size_t index = schema->count;
    add(schema, DEFINES_MESSAGE, full_name, proto, proto3)->message = message;
    for (struct reader reader = reader_of(proto, &schema->bad); reader_next(&reader);) {
        struct weir_bytes content = reader.member.content;
        if (reader.member.number == 3)
            collect_message(schema, full_name, content, proto3, depth + 1);
        else if (reader.member.number == 4)
            collect_simple(schema, DEFINES_ENUM, full_name, content);
        else if (reader.member.number == 7 && is_map_entry(schema, content))
            schema->definitions[index].map_entry = true;
    }
}

static void collect_file(struct weir_schema *schema, struct weir_bytes file)
{
    const char *package = "";
    bool proto3 = false;
    for (struct reader reader = reader_of(file, &schema->bad); reader_next(&reader);) {
        if (reader.member.number == 2)
            package = schema_text(schema, reader.member.content);
        else if (reader.member.number == 12)
            proto3 = weir_bytes_equal_text(reader.member.content, "proto3");
    }
    for (struct reader reader = reader_of(file, &schema->bad); reader_next(&reader);) {
        struct weir_bytes content = reader.member.content;
        if (reader.member.number == 4)
            collect_message(schema, package, content, proto3, 0);
        else if (reader.member.number == 5)
            collect_simple(schema, DEFINES_ENUM, package, content);
        else if (reader.member.number == 6)
            collect_simple(schema, DEFINES_SERVICE, package, content);
    }
}

static int by_name(const void *left, const void *right)
{
    const struct definition *a = left, *b = right;
    return strcmp(a->full_name, b->full_name);
}

struct definition *schema_find(const struct weir_schema *schema, const char *name, enum definition_kind kind)
{
    struct definition key = {.full_name = name[0] == '.' ? name + 1 : name};
    if (schema->count == 0)
        return NULL;
    struct definition *found =
        bsearch(&key, schema->definitions, schema->count, sizeof *schema->definitions, by_name);
    return found && found->kind == kind ? found : NULL;
}

/* ---- Building ---- */

static enum weir_status sort(struct weir_schema *schema)
{
    if (schema->count > 0)
        qsort(schema->definitions, schema->count, sizeof *schema->definitions, by_name);
    for (size_t i = 1; i < schema->count; i++) {
        if (strcmp(schema->definitions[i].full_name, schema->definitions[i - 1].full_name) == 0)
            return weir_fail(schema->err, WEIR_INVALID_ARGUMENT, "descriptor set: %s is defined twice",
                             schema->definitions[i].full_name);
    }
    return WEIR_OK;
}

static enum weir_status read_messages(struct weir_schema *schema)
{
    enum weir_status status = WEIR_OK;
    schema->topics = weir_arena_zalloc(schema->arena, (schema->count + 1) * sizeof *schema->topics);
    for (size_t i = 0; i < schema->count; i++) {
        if (schema->definitions[i].kind == DEFINES_ENUM)
            schema_read_enum(schema, &schema->definitions[i]);
    }
    for (size_t i = 0; i < schema->count && status == WEIR_OK; i++) {
        const struct definition *definition = &schema->definitions[i];
        if (definition->kind != DEFINES_MESSAGE)
            continue;
        status = schema_read_message(schema, definition);
        struct weir_topic topic = schema_read_topic(schema, definition);
        if (topic.name)
            schema->topics[schema->topic_count++] = topic;
    }
    return status;
}

static enum weir_status read_services(struct weir_schema *schema)
{
    enum weir_status status = WEIR_OK;
    const struct weir_service_type **places =
        weir_arena_zalloc(schema->arena, (schema->count + 1) * sizeof(struct weir_service_type *));
    for (size_t i = 0; i < schema->count && status == WEIR_OK; i++) {
        if (schema->definitions[i].kind != DEFINES_SERVICE)
            continue;
        status = schema_read_service(schema, &schema->definitions[i]);
        places[schema->definitions[i].order] = schema->definitions[i].service;
    }
    schema->services = places;
    for (size_t i = 0; i < schema->count; i++) {
        if (places[i])
            places[schema->service_count++] = places[i];
    }
    return status;
}

static enum weir_status build(struct weir_schema *schema, struct weir_bytes set)
{
    for (struct reader reader = reader_of(set, &schema->bad); reader_next(&reader);) {
        if (reader.member.number == 1)
            collect_file(schema, reader.member.content);
    }
    enum weir_status status = schema->bad ? WEIR_OK : sort(schema);
    if (status == WEIR_OK && !schema->bad)
        status = read_messages(schema);
    if (status == WEIR_OK && !schema->bad)
        status = read_services(schema);
    return schema->bad ? weir_fail(schema->err, WEIR_INVALID_ARGUMENT, "not a FileDescriptorSet") : status;
}

struct weir_schema *weir_schema_new(struct weir_bytes descriptor_set, struct weir_error *err)
{
    struct weir_schema *schema = NEW(struct weir_schema);
    schema->arena = weir_arena_new();
    schema->err = err;
    enum weir_status status = build(schema, descriptor_set);
    schema->err = NULL;
    if (status == WEIR_OK)
        return schema;
    weir_schema_destroy(schema);
    return NULL;
}

void weir_schema_destroy(struct weir_schema *schema)
{
    if (!schema)
        return;
    weir_arena_destroy(schema->arena);
    free(schema->definitions);
    free(schema);
}

/* ---- Looking up ---- */

const struct weir_message *weir_schema_message(const struct weir_schema *schema, const char *full_name)
{
    const struct definition *definition = schema_find(schema, full_name, DEFINES_MESSAGE);
    return definition ? definition->message : NULL;
}

const struct weir_service_type *weir_schema_service(const struct weir_schema *schema, const char *full_name)
{
    const struct definition *definition = schema_find(schema, full_name, DEFINES_SERVICE);
    return definition ? definition->service : NULL;
}

const struct weir_method *weir_schema_method(const struct weir_schema *schema, const char *path)
{
    for (size_t i = 0; i < schema->service_count; i++) {
        const struct weir_service_type *service = schema->services[i];
        for (size_t j = 0; j < service->method_count; j++) {
            if (strcmp(service->methods[j].full_name, path) == 0)
                return &service->methods[j];
        }
    }
    return NULL;
}

size_t weir_schema_service_count(const struct weir_schema *schema)
{
    return schema->service_count;
}

const struct weir_service_type *weir_schema_service_at(const struct weir_schema *schema, size_t index)
{
    return index < schema->service_count ? schema->services[index] : NULL;
}

const struct weir_message *weir_schema_topic(const struct weir_schema *schema, const char *topic)
{
    for (size_t i = 0; i < schema->topic_count; i++) {
        if (strcmp(schema->topics[i].name, topic) == 0)
            return schema->topics[i].message;
    }
    return NULL;
}
