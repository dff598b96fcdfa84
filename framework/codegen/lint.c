#include <ctype.h>
#include <string.h>

#include "findings.h"
#include "names.h"

enum { SYNTAX_OF_FILE = 12, PACKAGE_OF_FILE = 2 };

static bool is_pascal(const char *name)
{
    if (!isupper((unsigned char)name[0]))
        return false;
    for (const char *c = name; *c != '\0'; c++)
        if (!isalnum((unsigned char)*c))
            return false;
    return true;
}

/* Words of `letters` and digits, joined by single underscores, beginning with a letter. */
static bool is_snake(const char *name, int (*is_letter)(int))
{
    if (!is_letter((unsigned char)name[0]))
        return false;
    for (const char *c = name; *c != '\0'; c++) {
        if (*c == '_' && (c[1] == '_' || c[1] == '\0'))
            return false;
        if (*c != '_' && !is_letter((unsigned char)*c) && !isdigit((unsigned char)*c))
            return false;
    }
    return true;
}

static bool is_versioned(const char *package)
{
    const char *last = strrchr(package, '.');
    if (!last || last[1] != 'v' || !isdigit((unsigned char)last[2]))
        return false;
    return strspn(last + 2, "0123456789") == strlen(last + 2);
}

static bool has_comment(const struct file *file)
{
    const Google__Protobuf__SourceCodeInfo *info = file->proto->source_code_info;
    if (!info)
        return true;
    for (size_t i = 0; i < info->n_location; i++) {
        const Google__Protobuf__SourceCodeInfo__Location *location = info->location[i];
        if (location->n_path == 1 && location->path[0] == SYNTAX_OF_FILE)
            return location->leading_comments != NULL || location->n_leading_detached_comments > 0;
    }
    return false;
}

static void lint_file(const struct file *file, struct findings *findings)
{
    static const int32_t syntax_path[] = {SYNTAX_OF_FILE}, package_path[] = {PACKAGE_OF_FILE};
    struct weir_arena *arena = file->model->arena;
    struct place syntax = {.file = file, .path = syntax_path, .size = 1};
    struct place package = {.file = file, .path = package_path, .size = 1};
    if (!has_comment(file))
        findings_add(findings, syntax, file->name, "FILE_COMMENT",
                     "no comment above its syntax says what it is for");
    if (!file->proto3)
        findings_add(findings, syntax, file->name, "FILE_SYNTAX", "is not proto3");
    if (!is_versioned(file->package))
        findings_add(findings, package, file->package, "PACKAGE_VERSION", "does not end in a version: .v1");
    char *folder = weir_arena_printf(arena, "%s/", file->package);
    for (char *c = folder; *c != '\0'; c++)
        if (*c == '.')
            *c = '/';
    const char *slash = strrchr(file->name, '/');
    size_t folder_size = slash ? (size_t)(slash - file->name) + 1 : 0;
    if (folder_size != strlen(folder) || strncmp(file->name, folder, folder_size) != 0)
        findings_add(findings, package, file->package, "PACKAGE_FOLDER",
                     "stands in the folder %.*s, not in %s", folder_size > 0 ? (int)folder_size : 2,
                     folder_size > 0 ? file->name : "./", folder);
    if (!file->c_package && file->message_count + file->enum_count > 0)
        findings_add(findings, package, file->name, "C_PACKAGE",
                     "no option (pb_c_file).c_package: its C types would be named %s",
                     names_type(arena, file->message_count > 0 ? file->messages[0].full_name
                                                               : file->enums[0].full_name));
}

static void lint_message(const struct message *message, struct findings *findings)
{
    if (message->map_entry)
        return;
    if (!is_pascal(message->name))
        findings_add(findings, message->place, message->full_name, "MESSAGE_NAME", "is not in PascalCase");
    for (size_t i = 0; i < message->field_count; i++) {
        const struct field *field = &message->fields[i];
        const char *element =
            weir_arena_printf(message->file->model->arena, "%s.%s", message->full_name, field->name);
        if (!is_snake(field->name, islower))
            findings_add(findings, field->place, element, "FIELD_NAME", "is not in lower_snake_case");
        if (field->oneof >= 0 && !is_snake(field->oneof_name, islower))
            findings_add(findings, field->place, element, "ONEOF_NAME",
                         "its oneof %s is not in lower_snake_case", field->oneof_name);
    }
}

static void lint_enum(const struct enumeration *enumeration, struct findings *findings)
{
    struct weir_arena *arena = enumeration->file->model->arena;
    if (!is_pascal(enumeration->name))
        findings_add(findings, enumeration->place, enumeration->full_name, "ENUM_NAME",
                     "is not in PascalCase");
    const char *snake = names_snake(arena, enumeration->name);
    const char *prefix = weir_arena_printf(arena, "%s_", names_upper(arena, snake));
    for (size_t i = 0; i < enumeration->value_count; i++) {
        const struct enum_value *value = &enumeration->values[i];
        const char *element = weir_arena_printf(arena, "%s.%s", enumeration->full_name, value->name);
        if (!is_snake(value->name, isupper))
            findings_add(findings, value->place, element, "ENUM_VALUE_NAME", "is not in UPPER_SNAKE_CASE");
        else if (strncmp(value->name, prefix, strlen(prefix)) != 0)
            findings_add(findings, value->place, element, "ENUM_VALUE_PREFIX", "does not begin with %s",
                         prefix);
        else if (value->number == 0 && strcmp(value->name + strlen(prefix), "UNSPECIFIED") != 0)
            findings_add(findings, value->place, element, "ENUM_ZERO_VALUE",
                         "0 is what was not given: name it %sUNSPECIFIED", prefix);
    }
}

static void lint_service(const struct service *service, struct findings *findings)
{
    const char *suffix = strstr(service->name, "Service");
    if (!is_pascal(service->name))
        findings_add(findings, service->place, service->full_name, "SERVICE_NAME", "is not in PascalCase");
    else if (!suffix || suffix == service->name || strcmp(suffix, "Service") != 0)
        findings_add(findings, service->place, service->full_name, "SERVICE_SUFFIX",
                     "does not end in Service");
    for (size_t i = 0; i < service->method_count; i++)
        if (!is_pascal(service->methods[i].name))
            findings_add(findings, service->methods[i].place, service->methods[i].full_name, "RPC_NAME",
                         "is not in PascalCase");
}

void lint_files(const struct model *model, const char *prefix, struct findings *findings)
{
    for (size_t i = 0; i < model->file_count; i++) {
        const struct file *file = &model->files[i];
        if (strncmp(file->name, prefix, strlen(prefix)) != 0)
            continue;
        lint_file(file, findings);
        for (size_t j = 0; j < file->message_count; j++)
            lint_message(&file->messages[j], findings);
        for (size_t j = 0; j < file->enum_count; j++)
            lint_enum(&file->enums[j], findings);
        for (size_t j = 0; j < file->service_count; j++)
            lint_service(&file->services[j], findings);
    }
}
