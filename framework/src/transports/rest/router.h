/* Which method a request is for: a tree of the segments of all templates, so that a thousand routes cost no
 * more than ten. A literal beats "*", which beats "**"; where a better branch has no method for the HTTP
 * verb, the next one is tried. The path is matched as it came: "%2F" is no slash, "%65" is no "e". Not
 * thread-safe while routes are added; then any thread. */
#ifndef WEIR_REST_ROUTER_H
#define WEIR_REST_ROUTER_H

#include <weir/bytes.h>
#include <weir/error.h>
#include <weir/method.h>
#include <weir/service.h>

#include "transports/rest/template.h"

struct router;

struct route {
    struct weir_service *service;
    const struct weir_method *method;
    const struct weir_http_binding *binding;
    struct path_template template;
};

/* One variable of a match. */
struct route_value {
    const char *field;
    struct weir_bytes raw; /* as it came, of the path that was asked for */
    bool many;
};

struct route_match {
    const struct route *route; /* NULL: none */
    bool path_known;           /* but not with this verb: 405 */
    struct route_value values[TEMPLATE_VARIABLES_MAX];
    size_t value_count;
};

struct router *router_new(void);
void router_destroy(struct router *router);

/* A template that cannot be read, a variable or body that is no field of the request, and a verb and path
 * that are taken are errors. */
enum weir_status router_add(struct router *router, struct weir_service *service,
                            const struct weir_method *method, const struct weir_http_binding *binding,
                            struct weir_error *err);

/* HEAD is served by GET's method unless it has its own. `path` must outlive the match. */
void router_find(const struct router *router, struct weir_bytes verb, struct weir_bytes path,
                 struct route_match *ret_match);

/* For "Allow": the verbs that `path` has, "GET, HEAD, POST". */
void router_allow(const struct router *router, struct weir_bytes path, struct weir_buffer *ret_verbs);

/* The field that a dotted path of proto names leads to; NULL: there is none. */
const struct weir_field *router_field(const struct weir_message *message, const char *path);

#endif
