#include <string.h>

#include "findings.h"
#include "options.h"

static const struct method *method_of(const struct service *service, const char *name)
{
    for (size_t i = 0; i < service->method_count; i++)
        if (strcmp(service->methods[i].name, name) == 0)
            return &service->methods[i];
    return NULL;
}

static const char *streaming_of(const struct method *method)
{
    if (method->client_streaming)
        return method->server_streaming ? "a stream both ways" : "a stream of requests";
    return method->server_streaming ? "a stream of replies" : "no stream";
}

/* The bindings may grow, but those that were there are what clients use. */
static void compare_http(const struct method *old, const struct method *new, struct findings *findings)
{
    struct place place =
        place_in(new->service->file->model->arena, new->place, PATH_METHOD_OPTIONS, OPTION_HTTP);
    for (size_t i = 0; i < old->http_count; i++) {
        const struct binding *wanted = &old->http[i], *found = NULL;
        for (size_t j = 0; j < new->http_count; j++)
            if (strcmp(new->http[j].verb, wanted->verb) == 0 && strcmp(new->http[j].path, wanted->path) == 0)
                found = &new->http[j];
        if (!found)
            findings_add(findings, place, new->full_name, "RPC_HTTP_KEPT", "%s %s was removed", wanted->verb,
                         wanted->path);
        else if (strcmp(found->body, wanted->body) != 0 ||
                 strcmp(found->response_body, wanted->response_body) != 0)
            findings_add(findings, place, new->full_name, "RPC_SAME_HTTP_BODY",
                         "%s %s: body \"%s\" and response_body \"%s\" became \"%s\" and \"%s\"", wanted->verb,
                         wanted->path, wanted->body, wanted->response_body, found->body,
                         found->response_body);
    }
}

static void compare_method(const struct method *old, const struct method *new, struct findings *findings)
{
    if (strcmp(old->request->full_name, new->request->full_name) != 0)
        findings_add(findings, new->place, new->full_name, "RPC_SAME_REQUEST", "%s became %s",
                     old->request->full_name, new->request->full_name);
    if (strcmp(old->reply->full_name, new->reply->full_name) != 0)
        findings_add(findings, new->place, new->full_name, "RPC_SAME_REPLY", "%s became %s",
                     old->reply->full_name, new->reply->full_name);
    if (old->client_streaming != new->client_streaming || old->server_streaming != new->server_streaming)
        findings_add(findings, new->place, new->full_name, "RPC_SAME_STREAMING", "%s became %s",
                     streaming_of(old), streaming_of(new));
    if (old->idempotent && !new->idempotent)
        findings_add(findings, new->place, new->full_name, "RPC_IDEMPOTENT",
                     "is idempotent no more, but old clients retry it");
    if (old->idempotency_key && !new->idempotency_key)
        findings_add(findings, new->place, new->full_name, "RPC_IDEMPOTENCY_KEY",
                     "takes no Idempotency-Key any more, but old clients retry with theirs");
    if (new->idempotency_key == WEIR_IDEMPOTENCY_KEY_REQUIRED && old->idempotency_key != new->idempotency_key)
        findings_add(findings, new->place, new->full_name, "RPC_IDEMPOTENCY_KEY",
                     "requires an Idempotency-Key now, which old clients do not send");
    if (old->consume && (!new->consume || strcmp(old->consume, new->consume) != 0))
        findings_add(findings, new->place, new->full_name, "RPC_SAME_TOPIC", "%s became %s", old->consume,
                     new->consume ? new->consume : "none");
    compare_http(old, new, findings);
}

void compare_services(const struct file *old_file, const struct model *new, struct findings *findings)
{
    for (size_t i = 0; i < old_file->service_count; i++) {
        const struct service *old = &old_file->services[i];
        const struct service *service = model_service(new, old->full_name);
        if (!service) {
            findings_add(findings, compare_place(old_file, new), old->full_name, "SERVICE_KEPT",
                         "was removed");
            continue;
        }
        for (size_t j = 0; j < old->method_count; j++) {
            const struct method *method = method_of(service, old->methods[j].name);
            if (method)
                compare_method(&old->methods[j], method, findings);
            else
                findings_add(findings, service->place, old->methods[j].full_name, "RPC_KEPT", "was removed");
        }
    }
}
