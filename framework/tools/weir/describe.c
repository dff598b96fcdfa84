/* weir ls, weir describe: the contracts as text. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "codec/schema_read.h"
#include "tool.h"

static const char *type_name(const struct weir_field *field)
{
    static const char *const names[] = {
        [WEIR_TYPE_DOUBLE] = "double",     [WEIR_TYPE_FLOAT] = "float",   [WEIR_TYPE_INT64] = "int64",
        [WEIR_TYPE_UINT64] = "uint64",     [WEIR_TYPE_INT32] = "int32",   [WEIR_TYPE_FIXED64] = "fixed64",
        [WEIR_TYPE_FIXED32] = "fixed32",   [WEIR_TYPE_BOOL] = "bool",     [WEIR_TYPE_STRING] = "string",
        [WEIR_TYPE_BYTES] = "bytes",       [WEIR_TYPE_UINT32] = "uint32", [WEIR_TYPE_SFIXED32] = "sfixed32",
        [WEIR_TYPE_SFIXED64] = "sfixed64", [WEIR_TYPE_SINT32] = "sint32", [WEIR_TYPE_SINT64] = "sint64",
    };
    if (field->type == WEIR_TYPE_MESSAGE)
        return field->message->full_name;
    return field->type == WEIR_TYPE_ENUM ? field->enumeration->full_name : names[field->type];
}

static void print_field(const struct weir_field *field)
{
    if (field->map) {
        const struct weir_message *entry = field->message;
        printf("map<%s, %s>", type_name(weir_message_field(entry, 1)),
               type_name(weir_message_field(entry, 2)));
    } else {
        bool presence = field->optional && field->oneof < 0 && field->type != WEIR_TYPE_MESSAGE;
        printf("%s%s", field->repeated ? "repeated " : presence ? "optional " : "", type_name(field));
    }
    printf(" %s = %u;", field->name, field->number);
    if (field->sensitive)
        printf("  // sensitive");
    putchar('\n');
}

static void print_message(const struct weir_message *message)
{
    int oneof = -1;
    printf("message %s {\n", message->full_name);
    for (size_t i = 0; i < message->field_count; i++) {
        const struct weir_field *field = &message->fields[i];
        if (oneof >= 0 && field->oneof != oneof)
            printf("  }\n");
        if (field->oneof >= 0 && field->oneof != oneof)
            printf("  oneof {\n");
        oneof = field->oneof;
        printf(oneof >= 0 ? "    " : "  ");
        print_field(field);
    }
    printf(oneof >= 0 ? "  }\n}\n" : "}\n");
}

static void print_enum(const struct weir_enum *enumeration)
{
    printf("enum %s {\n", enumeration->full_name);
    for (size_t i = 0; i < enumeration->value_count; i++)
        printf("  %s = %d;\n", enumeration->values[i].name, enumeration->values[i].number);
    printf("}\n");
}

static void print_method(const struct weir_method *method, const char *indent)
{
    bool requests = method->kind & WEIR_CLIENT_STREAM, replies = method->kind & WEIR_SERVER_STREAM;
    static const char *const keys[] = {"", "  // takes an Idempotency-Key",
                                       "  // requires an Idempotency-Key"};
    printf("%srpc %s(%s%s) returns (%s%s);%s%s\n", indent, method->name, requests ? "stream " : "",
           method->request->full_name, replies ? "stream " : "", method->reply->full_name,
           method->idempotent ? "  // idempotent" : "",
           method->idempotency_key < 3 ? keys[method->idempotency_key] : "");
    for (size_t i = 0; i < method->http_count; i++) {
        const struct weir_http_binding *http = &method->http[i];
        printf("%s  // %s %s", indent, http->verb, http->path);
        if (http->body[0])
            printf("  body: %s", http->body);
        if (http->response_body[0])
            printf("  response body: %s", http->response_body);
        putchar('\n');
    }
    if (method->topic)
        printf("%s  // consumes %s\n", indent, method->topic->name);
}

static void print_service(const struct weir_service_type *service)
{
    printf("service %s {\n", service->full_name);
    for (size_t i = 0; i < service->method_count; i++)
        print_method(&service->methods[i], "  ");
    printf("}\n");
}

/* By full name, or as much of its end as is unique. */
static const struct definition *find(const struct weir_schema *schema, const char *name)
{
    const struct definition *found = NULL;
    for (size_t i = 0; i < schema->count; i++) {
        const struct definition *definition = &schema->definitions[i];
        size_t size = strlen(definition->full_name), name_size = strlen(name);
        if (strcmp(definition->full_name, name) == 0)
            return definition;
        if (name_size < size && definition->full_name[size - name_size - 1] == '.' &&
            strcmp(definition->full_name + size - name_size, name) == 0)
            found = found ? NULL : definition;
    }
    return found;
}

static int describe(const struct weir_schema *schema, const char *name)
{
    const struct definition *definition = find(schema, name[0] == '.' ? name + 1 : name);
    const struct weir_method *method = definition ? NULL : tool_find_method(schema, name, true);
    if (method) {
        print_method(method, "");
        print_message(method->request);
        print_message(method->reply);
        return 0;
    }
    if (!definition) {
        tool_say_nearest(schema, "message, enum, service or method", name, false);
        return EX_USAGE;
    }
    if (definition->kind == DEFINES_MESSAGE)
        print_message(definition->message);
    else if (definition->kind == DEFINES_ENUM)
        print_enum(definition->enumeration);
    else
        print_service(definition->service);
    return 0;
}

static void list(const struct weir_schema *schema)
{
    for (size_t i = 0; i < weir_schema_service_count(schema); i++) {
        const struct weir_service_type *service = weir_schema_service_at(schema, i);
        printf("%s\n", service->full_name);
        for (size_t j = 0; j < service->method_count; j++) {
            const struct weir_method *method = &service->methods[j];
            static const char *const kinds[] = {"", "stream of requests", "stream of replies",
                                                "streams both ways"};
            if (method->http_count > 0)
                printf("  %-24s  %s %s\n", method->name, method->http[0].verb, method->http[0].path);
            else if (method->topic)
                printf("  %-24s  consumes %s\n", method->name, method->topic->name);
            else if (method->kind != WEIR_UNARY)
                printf("  %-24s  %s\n", method->name, kinds[method->kind]);
            else
                printf("  %s\n", method->name);
        }
    }
    if (schema->topic_count > 0)
        printf("topics\n");
    for (size_t i = 0; i < schema->topic_count; i++)
        printf("  %-24s  %s, by %s\n", schema->topics[i].name, schema->topics[i].message->full_name,
               schema->topics[i].key_field ? schema->topics[i].key_field : "nothing");
}

/* Their only option. False: said why. */
static bool parse(int argc, char **argv, const char **ret_descriptors)
{
    static const struct option options[] = {{"descriptors", required_argument, NULL, 'd'}, {0}};
    *ret_descriptors = NULL;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (option != 'd')
            return false;
        *ret_descriptors = optarg;
    }
    return true;
}

int ls_command(int argc, char **argv)
{
    const char *descriptors;
    if (!parse(argc, argv, &descriptors))
        return EX_USAGE;
    if (optind < argc)
        return tool_fail(EX_USAGE, "weir ls takes no name; weir describe does");
    struct weir_schema *schema = tool_load(descriptors);
    if (!schema)
        return EX_NOINPUT;
    list(schema);
    weir_schema_destroy(schema);
    return 0;
}

int describe_command(int argc, char **argv)
{
    const char *descriptors;
    if (!parse(argc, argv, &descriptors))
        return EX_USAGE;
    if (argc - optind != 1)
        return tool_fail(EX_USAGE, "usage: weir describe NAME");
    struct weir_schema *schema = tool_load(descriptors);
    if (!schema)
        return EX_NOINPUT;
    int status = describe(schema, argv[optind]);
    weir_schema_destroy(schema);
    return status;
}
