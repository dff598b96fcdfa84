/* Finding what somebody meant by a name. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sysexits.h>

#include "codec/schema_read.h"
#include "tool.h"

#define NAME_MAX_SIZE 200

/* Edits of one character that make the left text the right one, without regard to case. */
static size_t distance(const char *left, const char *right)
{
    size_t row[NAME_MAX_SIZE + 1], right_size = strlen(right);
    if (right_size > NAME_MAX_SIZE || strlen(left) > NAME_MAX_SIZE)
        return NAME_MAX_SIZE;
    for (size_t j = 0; j <= right_size; j++)
        row[j] = j;
    for (size_t i = 1; left[i - 1]; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= right_size; j++) {
            size_t change = diagonal + (strncasecmp(&left[i - 1], &right[j - 1], 1) != 0);
            diagonal = row[j];
            size_t less = row[j] < row[j - 1] ? row[j] + 1 : row[j - 1] + 1;
            row[j] = change < less ? change : less;
        }
    }
    return row[right_size];
}

struct nearest {
    const char *name;
    size_t distance;
};

static void consider(struct nearest *nearest, const char *wanted, const char *name)
{
    /* Compared as much as was written: "PlaceOrdr" is near "shop.order.v1.OrderService/PlaceOrder". */
    size_t size = strlen(name), wanted_size = strlen(wanted);
    for (size_t at = 0; at < size; at++) {
        if (at > 0 && name[at - 1] != '.' && name[at - 1] != '/')
            continue;
        size_t apart = distance(wanted, name + at);
        if (apart < nearest->distance && apart <= wanted_size / 3 + 1)
            *nearest = (struct nearest){name, apart};
    }
}

void tool_say_nearest(const struct weir_schema *schema, const char *what, const char *name, bool methods)
{
    struct nearest nearest = {.distance = SIZE_MAX};
    for (size_t i = 0; i < weir_schema_service_count(schema); i++) {
        const struct weir_service_type *service = weir_schema_service_at(schema, i);
        for (size_t j = 0; j < service->method_count; j++)
            consider(&nearest, name, service->methods[j].full_name);
    }
    for (size_t i = 0; i < schema->count && !methods; i++)
        consider(&nearest, name, schema->definitions[i].full_name);
    if (nearest.name)
        tool_fail(EX_USAGE, "there is no %s %s; did you mean %s?", what, name, nearest.name);
    else
        tool_fail(EX_USAGE,
                  "there is no %s %s in these contracts; weir ls lists them, --descriptors FILE takes others",
                  what, name);
}

/* "Reserve", "InventoryService/Reserve": an end that begins with a word. */
static bool ends_with(const char *full_name, const char *name)
{
    size_t size = strlen(full_name), name_size = strlen(name);
    if (name_size == 0 || name_size > size || strcmp(full_name + size - name_size, name) != 0)
        return false;
    return name_size == size || full_name[size - name_size - 1] == '.' ||
           full_name[size - name_size - 1] == '/';
}

/* The methods whose name ends so; the last one found. */
static const struct weir_method *find_by_end(const struct weir_schema *schema, const char *name,
                                             size_t *ret_count)
{
    const struct weir_method *found = NULL;
    *ret_count = 0;
    for (size_t i = 0; i < weir_schema_service_count(schema); i++) {
        const struct weir_service_type *service = weir_schema_service_at(schema, i);
        for (size_t j = 0; j < service->method_count; j++) {
            if (!ends_with(service->methods[j].full_name, name))
                continue;
            found = &service->methods[j];
            ++*ret_count;
        }
    }
    return found;
}

static void say_which(const struct weir_schema *schema, const char *name, const char *path)
{
    tool_fail(EX_USAGE, "there are several methods %s:", name);
    for (size_t i = 0; i < weir_schema_service_count(schema); i++) {
        const struct weir_service_type *service = weir_schema_service_at(schema, i);
        for (size_t j = 0; j < service->method_count; j++) {
            if (ends_with(service->methods[j].full_name, path))
                fprintf(stderr, "  %s\n", service->methods[j].full_name);
        }
    }
}

const struct weir_method *tool_find_method(const struct weir_schema *schema, const char *name, bool quiet)
{
    const struct weir_method *found = weir_schema_method(schema, name[0] == '/' ? name + 1 : name);
    if (found)
        return found;
    char path[512];
    snprintf(path, sizeof path, "%s", name);
    char *dot = strchr(path, '/') ? NULL : strrchr(path, '.');
    if (dot)
        *dot = '/'; /* package.Service.Method, as others write it */
    size_t count;
    found = find_by_end(schema, path, &count);
    if (count > 1 && !quiet)
        say_which(schema, name, path);
    else if (count == 0 && !quiet)
        tool_say_nearest(schema, "method", name, true);
    return count == 1 ? found : NULL;
}
