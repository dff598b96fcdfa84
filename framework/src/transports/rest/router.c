#include "transports/rest/router.h"

#include <stdlib.h>
#include <string.h>

#include "core/memory.h"

#define PATH_SEGMENTS_MAX 64

/* Where a path may end: each verb behind a colon and each HTTP verb has its own route. */
struct node {
    struct weir_bytes literal;
    struct node **literals; /* sorted: by length, then by bytes */
    size_t literal_count;
    struct node *one, *many;
    struct route **routes;
    size_t route_count;
};

struct router {
    struct node root;
};

/* ---- Building ---- */

static int compare(struct weir_bytes left, struct weir_bytes right)
{
    if (left.size != right.size)
        return left.size < right.size ? -1 : 1;
    return memcmp(left.data, right.data, left.size);
}

/* Where `literal` is, or would be. */
static size_t position(const struct node *node, struct weir_bytes literal, bool *ret_found)
{
    size_t low = 0, high = node->literal_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = compare(node->literals[middle]->literal, literal);
        if (order == 0) {
            *ret_found = true;
            return middle;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *ret_found = false;
    return low;
}

static struct node *literal_child(struct node *node, struct weir_bytes literal)
{
    bool found;
    size_t at = position(node, literal, &found);
    if (found)
        return node->literals[at];
    node->literals = memory_realloc(node->literals, (node->literal_count + 1) * sizeof(struct node *));
    memmove(node->literals + at + 1, node->literals + at, (node->literal_count - at) * sizeof(struct node *));
    node->literal_count++;
    node->literals[at] = NEW(struct node);
    node->literals[at]->literal = literal;
    return node->literals[at];
}

static struct node *child(struct node *node, const struct template_segment *segment)
{
    if (segment->kind == SEGMENT_LITERAL)
        return literal_child(node, segment->literal);
    struct node **wild = segment->kind == SEGMENT_ONE ? &node->one : &node->many;
    if (!*wild)
        *wild = NEW(struct node);
    return *wild;
}

struct router *router_new(void)
{
    return NEW(struct router);
}

static void free_node(struct node *node)
{
    if (!node)
        return;
    for (size_t i = 0; i < node->literal_count; i++) {
        free_node(node->literals[i]);
        free(node->literals[i]);
    }
    free(node->literals);
    free_node(node->one);
    free(node->one);
    free_node(node->many);
    free(node->many);
    for (size_t i = 0; i < node->route_count; i++) {
        template_clean_up(&node->routes[i]->template);
        free(node->routes[i]);
    }
    free(node->routes);
}

void router_destroy(struct router *router)
{
    if (!router)
        return;
    free_node(&router->root);
    free(router);
}

const struct weir_field *router_field(const struct weir_message *message, const char *path)
{
    const struct weir_field *field = NULL;
    for (const char *at = path; message; at++) {
        size_t size = strcspn(at, ".");
        field = NULL;
        for (size_t i = 0; i < message->field_count && !field; i++)
            if (strlen(message->fields[i].name) == size && memcmp(message->fields[i].name, at, size) == 0)
                field = &message->fields[i];
        at += size;
        if (!field || !*at)
            return field;
        message = field->repeated ? NULL : field->message;
    }
    return NULL;
}

static enum weir_status check_fields(const struct path_template *template, const struct weir_method *method,
                                     const struct weir_http_binding *binding, struct weir_error *err)
{
    for (size_t i = 0; i < template->variable_count; i++) {
        const struct weir_field *field = router_field(method->request, template->variables[i].field);
        if (!field || field->repeated)
            return weir_fail(
                err, WEIR_INVALID_ARGUMENT, "%s: the variable \"%s\" of its path %s is no single field of %s",
                method->full_name, template->variables[i].field, binding->path, method->request->full_name);
    }
    if (binding->body[0] && strcmp(binding->body, "*") != 0 &&
        (strchr(binding->body, '.') || !router_field(method->request, binding->body)))
        return weir_fail(err, WEIR_INVALID_ARGUMENT, "%s: its body \"%s\" is no field of %s",
                         method->full_name, binding->body, method->request->full_name);
    if (binding->response_body[0] &&
        (strchr(binding->response_body, '.') || !router_field(method->reply, binding->response_body)))
        return weir_fail(err, WEIR_INVALID_ARGUMENT, "%s: its response_body \"%s\" is no field of %s",
                         method->full_name, binding->response_body, method->reply->full_name);
    return WEIR_OK;
}

enum weir_status router_add(struct router *router, struct weir_service *service,
                            const struct weir_method *method, const struct weir_http_binding *binding,
                            struct weir_error *err)
{
    struct path_template template;
    enum weir_status status = template_parse(binding->path, &template, err);
    if (status != WEIR_OK) {
        weir_error_prefix(err, "%s", method->full_name);
        return status;
    }
    status = check_fields(&template, method, binding, err);
    struct node *node = &router->root;
    for (size_t i = 0; status == WEIR_OK && i < template.segment_count; i++)
        node = child(node, &template.segments[i]);
    for (size_t i = 0; status == WEIR_OK && i < node->route_count; i++)
        if (strcmp(node->routes[i]->binding->verb, binding->verb) == 0 &&
            weir_bytes_equal(node->routes[i]->template.verb, template.verb))
            status = weir_fail(err, WEIR_ALREADY_EXISTS, "%s %s is both %s and %s", binding->verb,
                               binding->path, node->routes[i]->method->full_name, method->full_name);
    if (status != WEIR_OK && node == &router->root) {
        template_clean_up(&template);
        return status;
    }
    struct route *route = NEW(struct route);
    *route = (struct route){service, method, binding, template};
    /* A literal's bytes belong to a template that stays, so one that is taken stays, too, but is never found.
     */
    node->routes = memory_realloc(node->routes, (node->route_count + 1) * sizeof(struct route *));
    node->routes[node->route_count++] = route;
    return status;
}

/* ---- Finding ---- */

struct search {
    struct weir_bytes verb; /* HTTP's */
    struct weir_bytes segments[PATH_SEGMENTS_MAX];
    size_t count;
    struct weir_bytes colon_verb;
    bool path_known;
    struct weir_buffer *allow; /* collects verbs instead of looking for one */
};

static bool verb_is(const struct route *route, struct weir_bytes verb)
{
    return weir_bytes_equal_text(verb, route->binding->verb);
}

static void collect(const struct node *node, struct search *search)
{
    for (size_t i = 0; i < node->route_count; i++) {
        const char *verb = node->routes[i]->binding->verb;
        if (!weir_bytes_equal(node->routes[i]->template.verb, search->colon_verb) ||
            strstr(weir_buffer_text(search->allow), verb))
            continue;
        weir_buffer_printf(search->allow, "%s%s", search->allow->size > 0 ? ", " : "", verb);
        if (strcmp(verb, "GET") == 0)
            weir_buffer_append_text(search->allow, ", HEAD");
    }
}

static const struct route *route_at(const struct node *node, struct search *search)
{
    if (search->allow) {
        collect(node, search);
        return NULL;
    }
    bool head = weir_bytes_equal_text(search->verb, "HEAD");
    const struct route *get = NULL;
    for (size_t i = 0; i < node->route_count; i++) {
        const struct route *route = node->routes[i];
        if (!weir_bytes_equal(route->template.verb, search->colon_verb))
            continue;
        if (verb_is(route, search->verb))
            return route;
        if (head && !get && strcmp(route->binding->verb, "GET") == 0)
            get = route;
        search->path_known = true;
    }
    return get;
}

static const struct route *descend(const struct node *node, struct search *search, size_t at)
{
    const struct route *found = NULL;
    if (at == search->count) {
        found = route_at(node, search);
    } else if (search->segments[at].size > 0) {
        bool known;
        size_t place = position(node, search->segments[at], &known);
        if (known)
            found = descend(node->literals[place], search, at + 1);
        if (!found && node->one)
            found = descend(node->one, search, at + 1);
    }
    if (!found && node->many)
        found = route_at(node->many, search);
    return found;
}

static bool split(struct weir_bytes path, struct search *search)
{
    if (path.size == 0 || path.data[0] != '/')
        return false;
    const uint8_t *at = path.data + 1, *end = path.data + path.size;
    for (;;) {
        if (search->count == PATH_SEGMENTS_MAX)
            return false;
        const uint8_t *slash = memchr(at, '/', (size_t)(end - at));
        const uint8_t *to = slash ? slash : end;
        search->segments[search->count++] = weir_bytes(at, (size_t)(to - at));
        if (!slash)
            return true;
        at = slash + 1;
    }
}

/* First with what is behind the last colon as the verb, then with the colon as part of the segment. */
static const struct route *search_both(const struct router *router, struct search *search)
{
    struct weir_bytes *last = &search->segments[search->count - 1];
    struct weir_bytes whole = *last;
    const uint8_t *colon = memrchr(whole.data, ':', whole.size);
    const struct route *found = NULL;
    if (colon) {
        *last = weir_bytes(whole.data, (size_t)(colon - whole.data));
        search->colon_verb = weir_bytes(colon + 1, whole.size - last->size - 1);
        found = descend(&router->root, search, 0);
        if (found)
            return found;
        *last = whole;
        search->colon_verb = (struct weir_bytes){0};
    }
    return descend(&router->root, search, 0);
}

static void take_values(const struct search *search, struct route_match *match)
{
    const struct path_template *template = &match->route->template;
    match->value_count = template->variable_count;
    for (size_t i = 0; i < template->variable_count; i++) {
        const struct template_variable *variable = &template->variables[i];
        bool to_end = template->segments[variable->to - 1].kind == SEGMENT_MANY;
        size_t to = to_end ? search->count : variable->to;
        struct weir_bytes raw = {0};
        if (to > variable->from) {
            struct weir_bytes first = search->segments[variable->from], last = search->segments[to - 1];
            raw = weir_bytes(first.data, (size_t)(last.data + last.size - first.data));
        }
        match->values[i] = (struct route_value){variable->field, raw, variable->many};
    }
}

void router_find(const struct router *router, struct weir_bytes verb, struct weir_bytes path,
                 struct route_match *ret_match)
{
    struct search search;
    search.verb = verb;
    search.count = 0;
    search.colon_verb = (struct weir_bytes){0};
    search.path_known = false;
    search.allow = NULL;
    ret_match->route = NULL;
    ret_match->path_known = false;
    ret_match->value_count = 0;
    if (!split(path, &search))
        return;
    ret_match->route = search_both(router, &search);
    ret_match->path_known = search.path_known;
    if (ret_match->route)
        take_values(&search, ret_match);
}

void router_allow(const struct router *router, struct weir_bytes path, struct weir_buffer *ret_verbs)
{
    struct search search = {.allow = ret_verbs};
    if (split(path, &search))
        search_both(router, &search);
}
