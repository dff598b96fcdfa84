/* HTTP bindings: what they name exists, and no request fits two of them. */
#include <string.h>

#include "check.h"
#include "options.h"
#include "template.h"

struct route {
    const struct method *method;
    const struct binding *binding;
    struct template template;
    struct place place;
};

struct routes {
    struct route *routes;
    size_t count;
};

/* ---- What a binding names ---- */

static bool is_verb(const char *verb)
{
    static const char *const verbs[] = {"GET", "PUT", "POST", "DELETE", "PATCH", "HEAD", "OPTIONS"};
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
        if (strcmp(verb, verbs[i]) == 0)
            return true;
    return false;
}

/* Its JSON is one string, number or bool. */
static bool is_text(const struct field *field)
{
    static const char *const well_known[] = {"Timestamp",   "Duration",   "FieldMask",   "DoubleValue",
                                             "FloatValue",  "Int64Value", "UInt64Value", "Int32Value",
                                             "UInt32Value", "BoolValue",  "StringValue", "BytesValue"};
    const char *package = "google.protobuf.";
    if (field->type != WEIR_TYPE_MESSAGE)
        return true;
    if (strncmp(field->type_name, package, strlen(package)) == 0)
        for (size_t i = 0; i < sizeof well_known / sizeof well_known[0]; i++)
            if (strcmp(field->type_name + strlen(package), well_known[i]) == 0)
                return true;
    return false;
}

static void check_variable(const struct checker *checker, const struct route *route, const char *variable)
{
    const char *path = route->binding->path;
    const struct message *request = route->method->request, *message = request;
    char *rest = weir_arena_strdup(checker->model->arena, variable);
    while (rest) {
        const char *part = strsep(&rest, ".");
        const struct field *field = model_field(message, part);
        if (!field || (rest && !field->message)) {
            check_fail(checker, route->place, "path \"%s\": {%s} is no field of %s", path, variable,
                       request->full_name);
            return;
        }
        if (field->repeated) {
            check_fail(checker, route->place, "path \"%s\": {%s} is repeated: a path has one value for it",
                       path, variable);
            return;
        }
        if (!rest && !is_text(field))
            check_fail(checker, route->place, "path \"%s\": {%s} is a message: name one of its fields", path,
                       variable);
        message = field->message;
    }
}

static void check_variables(const struct checker *checker, const struct route *route)
{
    const struct template *template = &route->template;
    for (size_t i = 0; i < template->variable_count; i++) {
        check_variable(checker, route, template->variables[i]);
        for (size_t j = 0; j < i; j++)
            if (strcmp(template->variables[i], template->variables[j]) == 0)
                check_fail(checker, route->place, "path \"%s\": {%s} stands there twice",
                           route->binding->path, template->variables[i]);
    }
}

static void check_bodies(const struct checker *checker, const struct route *route)
{
    const struct binding *binding = route->binding;
    const struct method *method = route->method;
    if (binding->body[0] != '\0' && (strcmp(binding->verb, "GET") == 0 || strcmp(binding->verb, "HEAD") == 0))
        check_fail(checker, route->place, "%s: %s has no body", method->full_name, binding->verb);
    else if (binding->body[0] != '\0' && strcmp(binding->body, "*") != 0 &&
             !model_field(method->request, binding->body))
        check_fail(checker, route->place, "%s: body \"%s\" is no field of %s", method->full_name,
                   binding->body, method->request->full_name);
    if (binding->response_body[0] != '\0' && !model_field(method->reply, binding->response_body))
        check_fail(checker, route->place, "%s: response_body \"%s\" is no field of %s", method->full_name,
                   binding->response_body, method->reply->full_name);
}

/* ---- Routes ---- */

static void check_against(const struct checker *checker, const struct routes *routes,
                          const struct route *route)
{
    for (size_t i = 0; i < routes->count; i++) {
        const struct route *other = &routes->routes[i];
        if (strcmp(other->binding->verb, route->binding->verb) == 0 &&
            template_overlap(&other->template, &route->template))
            check_fail(checker, route->place, "%s %s of %s and %s of %s match the same requests",
                       route->binding->verb, route->binding->path, route->method->full_name,
                       other->binding->path, other->method->full_name);
    }
}

static void check_binding(const struct checker *checker, struct routes *routes, const struct method *method,
                          const struct binding *binding)
{
    struct route route = {
        .method = method,
        .binding = binding,
        .place = place_in(checker->model->arena, method->place, PATH_METHOD_OPTIONS, OPTION_HTTP),
    };
    struct weir_error err = {0};
    if (binding->nested)
        check_fail(checker, route.place, "%s: an additional binding has additional bindings of its own",
                   method->full_name);
    if (binding->path[0] == '\0') {
        check_fail(checker, route.place, "%s: an HTTP binding without a path", method->full_name);
        return;
    }
    if (!is_verb(binding->verb))
        check_fail(checker, route.place,
                   "%s: HTTP has no verb \"%s\": GET, PUT, POST, DELETE, PATCH, HEAD, OPTIONS",
                   method->full_name, binding->verb);
    check_bodies(checker, &route);
    if (template_parse(checker->model->arena, binding->path, &route.template, &err) != WEIR_OK) {
        check_fail(checker, route.place, "%s", err.text);
        return;
    }
    check_variables(checker, &route);
    check_against(checker, routes, &route);
    routes->routes[routes->count++] = route;
}

static void check_method(const struct checker *checker, struct routes *routes, const struct method *method)
{
    if (method->http_count > 0 && method->client_streaming)
        check_fail(checker, place_in(checker->model->arena, method->place, PATH_METHOD_OPTIONS, OPTION_HTTP),
                   "%s streams its requests: it is not served over REST", method->full_name);
    for (size_t i = 0; i < method->http_count; i++)
        check_binding(checker, routes, method, &method->http[i]);
}

static size_t count_bindings(const struct checker *checker)
{
    size_t count = 0;
    for (size_t i = 0; i < checker->file_count; i++)
        for (size_t j = 0; j < checker->files[i]->service_count; j++)
            for (size_t k = 0; k < checker->files[i]->services[j].method_count; k++)
                count += checker->files[i]->services[j].methods[k].http_count;
    return count;
}

void check_http(const struct checker *checker)
{
    struct routes routes = {
        .routes =
            weir_arena_alloc(checker->model->arena, (count_bindings(checker) + 1) * sizeof(struct route)),
    };
    for (size_t i = 0; i < checker->file_count; i++)
        for (size_t j = 0; j < checker->files[i]->service_count; j++)
            for (size_t k = 0; k < checker->files[i]->services[j].method_count; k++)
                check_method(checker, &routes, &checker->files[i]->services[j].methods[k]);
}
