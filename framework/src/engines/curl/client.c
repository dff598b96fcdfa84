/* An HTTP client on libcurl's multi interface: one thread, which all requests of a client go through. */
#include "engines/http_client.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

#include <weir/clock.h>

#include "core/memory.h"

#define FIRST_BACKOFF_MS 10
#define KEPT_CONNECTIONS 256
#define KEPT_SECONDS                                                                                         \
    30 /* shorter than servers keep idle ones, so that one is seldom closed under a request */
#define LONGEST_WAIT_MS 1000

struct http_transfer {
    struct http_client *client;
    struct http_request *request;
    CURL *easy;
    struct curl_slist *headers;
    char *url;
    struct weir_buffer answer;
    char fault[CURL_ERROR_SIZE];
    bool too_large;
    bool active; /* in the multi handle; else it waits for retry_ns */
    int64_t retry_ns, backoff_ms;
    struct http_transfer *next, *previous;        /* the thread's list of all */
    struct http_transfer *next_new, *next_cancel; /* lists that other threads push on. Holds: lock */
    bool sent, is_cancelled;                      /* Holds: lock */
    bool begun;                                   /* the thread has it */
};

struct http_client {
    struct http_client_options options;
    char *target;
    CURLM *multi;
    pthread_t thread;
    bool has_thread;
    pthread_mutex_t lock;
    struct http_transfer *fresh, *cancelled; /* Holds: lock */
    bool leave, cancel_all;                  /* Holds: lock */
    struct http_transfer *transfers;         /* the thread's */
    CURL *idle[KEPT_CONNECTIONS];            /* the thread's: easy handles to use again */
    int idle_count;
    int64_t now_ns;
};

static void init_curl(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

struct http_client *http_client_new(const struct http_client_options *options)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, init_curl);
    struct http_client *client = NEW(struct http_client);
    client->options = *options;
    client->target = memory_strdup(options->target);
    if (client->options.answer_bytes_max <= 0)
        client->options.answer_bytes_max = 16 << 20;
    if (client->options.connect_backoff_ms < FIRST_BACKOFF_MS)
        client->options.connect_backoff_ms = FIRST_BACKOFF_MS;
    client->multi = curl_multi_init();
    if (!client->multi)
        abort(); /* out of memory */
    curl_multi_setopt(client->multi, CURLMOPT_MAXCONNECTS, (long)KEPT_CONNECTIONS);
    pthread_mutex_init(&client->lock, NULL);
    return client;
}

/* ---- One transfer. Runs on: the client's thread ---- */

static size_t take_answer(char *data, size_t one, size_t size, void *arg)
{
    struct http_transfer *transfer = arg;
    (void)one;
    if (transfer->answer.size + size > (size_t)transfer->client->options.answer_bytes_max) {
        transfer->too_large = true;
        return 0;
    }
    weir_buffer_append(&transfer->answer, data, size);
    return size;
}

static void set_address(struct http_transfer *transfer)
{
    static const char prefix[] = "unix:";
    const char *target = transfer->client->target;
    bool is_path = strncmp(target, prefix, sizeof prefix - 1) == 0;
    if (is_path)
        curl_easy_setopt(transfer->easy, CURLOPT_UNIX_SOCKET_PATH, target + sizeof prefix - 1);
    transfer->url = memory_printf("http://%s%s", is_path ? "localhost" : target, transfer->request->target);
    curl_easy_setopt(transfer->easy, CURLOPT_URL, transfer->url);
}

static void set_body(struct http_transfer *transfer)
{
    const struct http_request *request = transfer->request;
    bool get = strcmp(request->verb, "GET") == 0;
    if (get && !request->has_body) {
        curl_easy_setopt(transfer->easy, CURLOPT_HTTPGET, 1L);
        return;
    }
    bool sends = request->has_body || strcmp(request->verb, "POST") == 0 ||
                 strcmp(request->verb, "PUT") == 0 || strcmp(request->verb, "PATCH") == 0;
    if (sends) {
        curl_easy_setopt(transfer->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.size);
        curl_easy_setopt(transfer->easy, CURLOPT_POSTFIELDS,
                         request->body.data ? (const char *)request->body.data : "");
    }
    curl_easy_setopt(transfer->easy, CURLOPT_CUSTOMREQUEST, request->verb);
}

static void set_options(struct http_transfer *transfer)
{
    CURL *easy = transfer->easy;
    curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_PROXY,
                     ""); /* services call each other directly, whatever the environment says */
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, (long)KEPT_SECONDS);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->fault);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_answer);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
    set_address(transfer);
    set_body(transfer);
    for (size_t i = 0; i < transfer->request->header_count; i++)
        transfer->headers = curl_slist_append(transfer->headers, transfer->request->headers[i]);
    transfer->headers = curl_slist_append(transfer->headers, "Expect:"); /* no round trip for 100 Continue */
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, transfer->headers);
}

static void free_transfer(struct http_transfer *transfer)
{
    struct http_client *client = transfer->client;
    if (transfer->easy && client->idle_count < KEPT_CONNECTIONS) {
        curl_easy_reset(transfer->easy);
        client->idle[client->idle_count++] = transfer->easy;
    } else if (transfer->easy) {
        curl_easy_cleanup(transfer->easy);
    }
    curl_slist_free_all(transfer->headers);
    weir_buffer_free(&transfer->answer);
    free(transfer->url);
    free(transfer);
}

/* No other thread cancels it any more once this has passed the lock and `done` returned. */
static void forget_cancel(struct http_transfer *transfer)
{
    struct http_client *client = transfer->client;
    pthread_mutex_lock(&client->lock);
    for (struct http_transfer **at = &client->cancelled; *at; at = &(*at)->next_cancel)
        if (*at == transfer) {
            *at = transfer->next_cancel;
            break;
        }
    pthread_mutex_unlock(&client->lock);
}

static void finish(struct http_transfer *transfer, const struct http_result *result)
{
    struct http_client *client = transfer->client;
    if (transfer->active)
        curl_multi_remove_handle(client->multi, transfer->easy);
    *(transfer->previous ? &transfer->previous->next : &client->transfers) = transfer->next;
    if (transfer->next)
        transfer->next->previous = transfer->previous;
    transfer->request->done(transfer->request, result);
    forget_cancel(transfer);
    free_transfer(transfer);
}

static void finish_without(struct http_transfer *transfer, enum weir_status status, const char *text)
{
    finish(transfer, &(struct http_result){.status = status, .text = text});
}

static void activate(struct http_transfer *transfer)
{
    int64_t left_ns = transfer->request->deadline_ns - transfer->client->now_ns;
    if (transfer->request->deadline_ns == WEIR_NEVER) {
        left_ns = 0; /* none, to libcurl */
    } else if (left_ns <= 0) {
        finish_without(transfer, WEIR_DEADLINE_EXCEEDED, "the deadline passed");
        return;
    }
    long left_ms = left_ns / WEIR_NS_PER_MS >= INT32_MAX
                       ? INT32_MAX
                       : (long)((left_ns + WEIR_NS_PER_MS - 1) / WEIR_NS_PER_MS);
    curl_easy_setopt(transfer->easy, CURLOPT_TIMEOUT_MS, left_ms);
    curl_easy_setopt(transfer->easy, CURLOPT_CONNECTTIMEOUT_MS, left_ms);
    weir_buffer_clear(&transfer->answer);
    transfer->fault[0] = 0;
    transfer->active = true;
    curl_multi_add_handle(transfer->client->multi, transfer->easy);
}

static void begin(struct http_client *client, struct http_transfer *transfer)
{
    transfer->easy = client->idle_count > 0 ? client->idle[--client->idle_count] : curl_easy_init();
    if (!transfer->easy)
        abort(); /* out of memory */
    transfer->begun = true;
    transfer->next = client->transfers;
    if (transfer->next)
        transfer->next->previous = transfer;
    client->transfers = transfer;
    set_options(transfer);
    activate(transfer);
}

/* Nothing was sent, so it may be tried again. */
static bool try_again(struct http_transfer *transfer)
{
    struct http_client *client = transfer->client;
    transfer->backoff_ms = transfer->backoff_ms ? 2 * transfer->backoff_ms : FIRST_BACKOFF_MS;
    if (transfer->backoff_ms > client->options.connect_backoff_ms)
        transfer->backoff_ms = client->options.connect_backoff_ms;
    transfer->retry_ns = client->now_ns + transfer->backoff_ms * WEIR_NS_PER_MS;
    if (transfer->retry_ns >= transfer->request->deadline_ns)
        return false;
    curl_multi_remove_handle(client->multi, transfer->easy);
    transfer->active = false;
    return true;
}

static void tell_headers(struct http_transfer *transfer)
{
    struct http_request *request = transfer->request;
    for (struct curl_header *header = NULL; request->header;) {
        header = curl_easy_nextheader(transfer->easy, CURLH_HEADER, -1, header);
        if (!header)
            return;
        request->header(request, header->name, header->value);
    }
}

static void transferred(struct http_transfer *transfer, CURLcode code)
{
    char text[CURL_ERROR_SIZE + 128];
    long http_status = 0;
    if (code == CURLE_OK) {
        curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &http_status);
        tell_headers(transfer);
        finish(transfer, &(struct http_result){.text = "",
                                               .http_status = (int)http_status,
                                               .body = weir_buffer_bytes(&transfer->answer)});
        return;
    }
    if ((code == CURLE_COULDNT_CONNECT || code == CURLE_COULDNT_RESOLVE_HOST) && try_again(transfer))
        return;
    if (transfer->too_large) {
        finish_without(transfer, WEIR_RESOURCE_EXHAUSTED, "the answer is larger than this client accepts");
    } else if (code == CURLE_OPERATION_TIMEDOUT) {
        finish_without(transfer, WEIR_DEADLINE_EXCEEDED, "the deadline passed");
    } else {
        snprintf(text, sizeof text, "%s: %s", transfer->client->target,
                 transfer->fault[0] ? transfer->fault : curl_easy_strerror(code));
        finish_without(transfer, WEIR_UNAVAILABLE, text);
    }
}

/* ---- The thread ---- */

static void take_fresh(struct http_client *client)
{
    pthread_mutex_lock(&client->lock);
    struct http_transfer *newest = client->fresh, *oldest = NULL;
    client->fresh = NULL;
    pthread_mutex_unlock(&client->lock);
    while (newest) {
        struct http_transfer *next = newest->next_new;
        newest->next_new = oldest;
        oldest = newest;
        newest = next;
    }
    while (oldest) {
        struct http_transfer *transfer = oldest;
        oldest = transfer->next_new;
        begin(client, transfer);
    }
}

/* One that is still among the fresh ones stays for the next turn. */
static struct http_transfer *next_cancelled(struct http_client *client)
{
    pthread_mutex_lock(&client->lock);
    struct http_transfer **at = &client->cancelled;
    while (*at && !(*at)->begun)
        at = &(*at)->next_cancel;
    struct http_transfer *found = *at;
    if (found)
        *at = found->next_cancel;
    pthread_mutex_unlock(&client->lock);
    return found;
}

static void take_cancelled(struct http_client *client)
{
    for (struct http_transfer *transfer; (transfer = next_cancelled(client)) != NULL;)
        finish_without(transfer, WEIR_CANCELLED, "cancelled");
}

/* Milliseconds until the next one is due. */
static int retry_due(struct http_client *client)
{
    int64_t wait_ms = LONGEST_WAIT_MS;
    for (struct http_transfer *at = client->transfers, *after; at; at = after) {
        after = at->next;
        if (at->active)
            continue;
        int64_t left_ms = (at->retry_ns - client->now_ns + WEIR_NS_PER_MS - 1) / WEIR_NS_PER_MS;
        if (left_ms <= 0)
            activate(at);
        else if (left_ms < wait_ms)
            wait_ms = left_ms;
    }
    return (int)wait_ms;
}

static void finish_all(struct http_client *client)
{
    while (client->transfers)
        /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): each one takes itself from the list before it is freed */
        finish_without(client->transfers, WEIR_CANCELLED, "the client stops");
}

/* True when the thread is to leave. */
static bool follow_orders(struct http_client *client)
{
    pthread_mutex_lock(&client->lock);
    bool leave = client->leave, cancel_all = client->cancel_all;
    client->cancel_all = false;
    pthread_mutex_unlock(&client->lock);
    if (cancel_all)
        finish_all(client);
    return leave;
}

static void *run(void *arg)
{
    struct http_client *client = arg;
    int running, left;
    while (!follow_orders(client)) {
        client->now_ns = weir_now_ns();
        take_fresh(client);
        take_cancelled(client);
        int wait_ms = retry_due(client);
        curl_multi_perform(client->multi, &running);
        bool any = false;
        for (CURLMsg *message; (message = curl_multi_info_read(client->multi, &left)) != NULL; any = true) {
            if (message->msg != CURLMSG_DONE)
                continue;
            struct http_transfer *transfer = NULL;
            CURLcode code = message->data.result; /* the message is gone once the handle is removed */
            curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
            transferred(transfer, code);
        }
        if (!any)
            curl_multi_poll(client->multi, NULL, 0, wait_ms, NULL);
    }
    take_fresh(client);
    finish_all(client);
    return NULL;
}

enum weir_status http_client_start(struct http_client *client, struct weir_error *err)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are the main thread's */
    int error = pthread_create(&client->thread, NULL, run, client);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error)
        return weir_fail_errno(err, WEIR_UNAVAILABLE, error, "cannot start a thread");
    client->has_thread = true;
    return WEIR_OK;
}

void http_client_prepare(struct http_client *client, struct http_request *request)
{
    struct http_transfer *transfer = NEW(struct http_transfer);
    transfer->client = client;
    transfer->request = request;
    request->transfer = transfer;
}

/* Holds: lock. */
static void push_cancelled(struct http_transfer *transfer)
{
    transfer->next_cancel = transfer->client->cancelled;
    transfer->client->cancelled = transfer;
}

void http_client_send(struct http_client *client, struct http_request *request)
{
    struct http_transfer *transfer = request->transfer;
    pthread_mutex_lock(&client->lock);
    bool first = !client->fresh;
    transfer->next_new = client->fresh;
    client->fresh = transfer;
    transfer->sent = true;
    if (transfer->is_cancelled)
        push_cancelled(transfer);
    pthread_mutex_unlock(&client->lock);
    if (first)
        curl_multi_wakeup(client->multi);
}

void http_client_cancel(struct http_client *client, struct http_request *request)
{
    struct http_transfer *transfer = request->transfer;
    pthread_mutex_lock(&client->lock);
    if (!transfer->is_cancelled && transfer->sent)
        push_cancelled(transfer);
    transfer->is_cancelled = true;
    pthread_mutex_unlock(&client->lock);
    curl_multi_wakeup(client->multi);
}

void http_client_cancel_all(struct http_client *client)
{
    pthread_mutex_lock(&client->lock);
    client->cancel_all = true;
    pthread_mutex_unlock(&client->lock);
    curl_multi_wakeup(client->multi);
}

void http_client_destroy(struct http_client *client)
{
    if (!client)
        return;
    if (client->has_thread) {
        pthread_mutex_lock(&client->lock);
        client->leave = true;
        pthread_mutex_unlock(&client->lock);
        curl_multi_wakeup(client->multi);
        pthread_join(client->thread, NULL);
    }
    while (client->idle_count > 0)
        curl_easy_cleanup(client->idle[--client->idle_count]);
    curl_multi_cleanup(client->multi);
    pthread_mutex_destroy(&client->lock);
    free(client->target);
    free(client);
}
