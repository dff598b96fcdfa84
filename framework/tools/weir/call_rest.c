/* A call over REST, by the method's first HTTP binding. */
#include <pthread.h>
#include <stdio.h>
#include <sysexits.h>

#include "call.h"
#include "engines/http_client.h"
#include "tool.h"
#include "transports/rest/outbound.h"
#include "transports/rest/problem.h"

struct rest_call {
    struct http_request request; /* first */
    struct call *call;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool done;
    int exit_status;
};

static int failed(const struct http_result *result)
{
    char text[1024] = "";
    enum weir_status status = problem_read(result->http_status, result->body, text, sizeof text);
    if (!text[0])
        snprintf(text, sizeof text, "the server answered %d", result->http_status);
    return call_failed(status == WEIR_OK ? WEIR_UNKNOWN : status, text);
}

static int answer(struct call *call, const struct http_result *result)
{
    if (result->status != WEIR_OK)
        return call_failed(result->status, result->text);
    if (result->http_status < 200 || result->http_status > 299)
        return failed(result);
    struct weir_buffer wire = {0};
    struct weir_error err = {0};
    if (outbound_reply(call->method, &call->method->http[0], result->body, &wire, &err) == WEIR_OK)
        call_print(call, weir_buffer_bytes(&wire));
    else
        call->exit_status =
            tool_fail(EX_DATAERR, "the answer is no %s: %s", call->method->reply->full_name, err.text);
    weir_buffer_free(&wire);
    return call->exit_status;
}

/* Runs on: the client's thread. */
static void on_done(struct http_request *request, const struct http_result *result)
{
    struct rest_call *rest = (struct rest_call *)request;
    int exit_status = answer(rest->call, result);
    pthread_mutex_lock(&rest->lock);
    rest->done = true;
    rest->exit_status = exit_status;
    pthread_cond_signal(&rest->changed);
    pthread_mutex_unlock(&rest->lock);
}

static int carry_out(struct http_client *client, struct rest_call *rest)
{
    http_client_prepare(client, &rest->request);
    http_client_send(client, &rest->request);
    pthread_mutex_lock(&rest->lock);
    while (!rest->done)
        pthread_cond_wait(&rest->changed, &rest->lock);
    pthread_mutex_unlock(&rest->lock);
    return rest->exit_status;
}

static int with_client(struct rest_call *rest)
{
    struct weir_error err = {0};
    struct http_client *client = http_client_new(&(struct http_client_options){.target = rest->call->target});
    int exit_status;
    if (http_client_start(client, &err) == WEIR_OK)
        exit_status = carry_out(client, rest);
    else
        exit_status = tool_fail(EX_OSERR, "%s", err.text);
    http_client_destroy(client);
    return exit_status;
}

int call_rest(struct call *call)
{
    static const char *const headers[] = {"Accept: application/json", "Content-Type: application/json", NULL};
    const struct weir_method *method = call->method;
    if (method->kind != WEIR_UNARY || method->http_count == 0)
        return tool_fail(EX_USAGE, "%s is not served over REST: %s", method->full_name,
                         method->kind != WEIR_UNARY ? "it streams" : "it has no google.api.http annotation");
    struct weir_buffer target = {0}, body = {0};
    struct weir_error err = {0};
    int exit_status;
    if (outbound_request(method, &method->http[0], weir_buffer_bytes(&call->request), &target, &body, &err) ==
        WEIR_OK) {
        struct rest_call rest = {
            .request = {.verb = method->http[0].verb,
                        .target = weir_buffer_text(&target),
                        .headers = headers,
                        .header_count = body.size > 0 ? 2 : 1,
                        .body = weir_buffer_bytes(&body),
                        .has_body = body.size > 0,
                        .deadline_ns = call->deadline_ns,
                        .done = on_done},
            .call = call,
            .lock = PTHREAD_MUTEX_INITIALIZER,
            .changed = PTHREAD_COND_INITIALIZER,
        };
        exit_status = with_client(&rest);
    } else {
        exit_status = tool_fail(EX_DATAERR, "%s", err.text);
    }
    weir_buffer_free(&target);
    weir_buffer_free(&body);
    return exit_status;
}
