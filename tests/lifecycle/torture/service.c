/* The service that is stopped. Every call leaves notes of what it did in a file before it answers: what a process has written
 * stays, however it ends. --torture.serve says which components there are. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <weir/weir.h>

#include "notes.h"
#include "torture.weir.h"

struct service {
    struct {
        const char *journal;
        bool rest, grpc, consumer, store;
    } options;
    int journal;
    struct weir_sql *db;
    struct weir_producer *events;
    struct weir_rest_server *rest;
    struct weir_grpc_server *grpc;
};

static const char *const schema[] = {
    "CREATE TABLE work (id INTEGER PRIMARY KEY, padding BLOB NOT NULL)",
    NULL,
};

/* ---- The journal ---- */

static void note(const struct service *service, uint64_t id, enum did did, enum _Torture__Store store)
{
    struct journal_note record = {.id = id, .did = did, .store = (uint32_t)store};
    if (write(service->journal, &record, sizeof record) != (ssize_t)sizeof record) {
        perror("torture-service: the journal");
        abort(); /* what cannot be accounted for proves nothing */
    }
}

/* ---- Unary calls ---- */

/* To its end, whatever it is told. */
static void sleep_deaf(int32_t ms)
{
    struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = (ms % 1000) * 1000000L};
    while (nanosleep(&left, &left) != 0 && errno == EINTR)
        continue;
}

static enum weir_status store_row(struct weir_call *call, const Torture__WorkRequest *request,
                                  const Torture__Done *event)
{
    static const char padding[1024];
    const struct service *service = weir_call_self(call);
    struct weir_tx *tx = weir_sql_begin(call, service->db);
    weir_sql_exec(tx, "INSERT OR IGNORE INTO work (id, padding) VALUES (?, ?)", (int64_t)request->id,
                  weir_bytes(padding, sizeof padding));
    torture_done_publish(tx, event);
    return weir_sql_commit(tx);
}

static enum weir_status do_it(struct weir_call *call, const Torture__WorkRequest *request)
{
    const struct service *service = weir_call_self(call);
    Torture__Done event = TORTURE__DONE__INIT;
    event.id = request->id;
    event.key = weir_call_printf(call, "key-%u", (unsigned)(request->id % 16));
    enum weir_status status = WEIR_OK;
    if (request->sleep_ms > 0 && request->deaf)
        sleep_deaf(request->sleep_ms);
    else if (request->sleep_ms > 0)
        status = weir_context_sleep(weir_call_context(call), request->sleep_ms);
    if (status != WEIR_OK)
        return weir_call_fail(call, status, "the call is over");
    switch (request->store) {
    case TORTURE__STORE__STORE_ROW:
        return store_row(call, request, &event);
    case TORTURE__STORE__STORE_SENT:
        return torture_done_send(call, service->events, &event);
    case TORTURE__STORE__STORE_POSTED:
        return torture_done_post(call, service->events, &event);
    default:
        return WEIR_OK;
    }
}

static void fill(struct weir_call *call, const Torture__WorkRequest *request, Torture__WorkReply *reply)
{
    reply->id = request->id;
    if (request->padding_bytes <= 0)
        return;
    reply->padding.len = (size_t)request->padding_bytes;
    reply->padding.data = weir_call_alloc(call, reply->padding.len);
}

static enum weir_status work(struct weir_call *call, const Torture__WorkRequest *request,
                             Torture__WorkReply *reply)
{
    const struct service *service = weir_call_self(call);
    note(service, request->id, DID_BEGIN, request->store);
    enum weir_status status = do_it(call, request);
    note(service, request->id, status == WEIR_OK ? DID_SERVE : DID_FAIL, request->store);
    fill(call, request, reply);
    return status;
}

static enum weir_status quick(struct weir_call *call, const Torture__WorkRequest *request,
                              Torture__WorkReply *reply)
{
    note(weir_call_self(call), request->id, DID_SERVE, TORTURE__STORE__STORE_NOTHING);
    fill(call, request, reply);
    return WEIR_OK;
}

/* ---- Streams ---- */

enum manner { UNKNOWN, POLITE, ABRUPT };
static char manners[3]; /* addresses: a stream's state is one of them */

static enum weir_status talk_open(struct weir_call *call)
{
    weir_call_set_state(call, &manners[UNKNOWN]);
    return WEIR_OK;
}

static enum weir_status talk(struct weir_call *call, const Torture__WorkRequest *request)
{
    weir_call_set_state(call, &manners[request->abrupt ? ABRUPT : POLITE]);
    note(weir_call_self(call), request->id, DID_SERVE, TORTURE__STORE__STORE_NOTHING);
    Torture__WorkReply reply = TORTURE__WORK_REPLY__INIT;
    fill(call, request, &reply);
    return torture_talk_send(call, &reply); /* PENDING: the next one when the client has caught up */
}

static void talk_writable(struct weir_call *call)
{
    weir_stream_next(call);
}

/* Its client is asked to say what it still has to say, and to end. */
static void talk_draining(struct weir_call *call, int64_t left_ms)
{
    if (weir_call_state(call) == &manners[ABRUPT] || left_ms == 0) {
        weir_stream_end(call, weir_call_fail(call, WEIR_ABORTED, "come back to another one"));
        return;
    }
    Torture__WorkReply reply = TORTURE__WORK_REPLY__INIT;
    reply.draining = true;
    torture_talk_send(call, &reply);
}

static const struct torture_handlers handlers = {
    .work = {.fn = work},
    .quick = {.fn = quick, .inline_ = true},
    .talk = {.open = talk_open, .message = talk, .writable = talk_writable, .draining = talk_draining},
    .consume = {.fn = work},
};

/* ---- The process ---- */

/* Started behind the servers: they have their ports now. */
static enum weir_status say_ports(void *self, struct weir_context *context, struct weir_error *err)
{
    const struct service *service = self;
    (void)context, (void)err;
    printf("ready %d %d\n", service->rest ? weir_rest_server_port(service->rest) : 0,
           service->grpc ? weir_grpc_server_port(service->grpc) : 0);
    fflush(stdout);
    return WEIR_OK;
}

#define KEY(member) .name = #member, .offset = offsetof(struct service, options.member)

static void configure(struct weir_app *app, struct service *service)
{
    static const struct weir_config_key keys[] = {
        {KEY(journal), .type = WEIR_CONFIG_TEXT, .required = true, .help = "where calls are noted"},
        {KEY(rest), .type = WEIR_CONFIG_BOOL, .fallback = "false", .help = "serve REST"},
        {KEY(grpc), .type = WEIR_CONFIG_BOOL, .fallback = "false", .help = "serve gRPC"},
        {KEY(consumer), .type = WEIR_CONFIG_BOOL, .fallback = "false", .help = "consume"},
        {KEY(store), .type = WEIR_CONFIG_BOOL, .fallback = "false", .help = "have a database and a producer"},
        {0},
    };
    weir_config_section(app, "torture", keys, service);
    service->journal = service->options.journal
                           ? open(service->options.journal, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644)
                           : -1;
}

int main(int argc, char **argv)
{
    static struct service service;
    static const struct weir_component_ops announcer = {.start = say_ports};
    struct weir_app *app = weir_app_new("torture", argc, argv);
    configure(app, &service);
    struct weir_outbox *relay = NULL;
    if (service.options.store) {
        service.db = weir_sql_add(app, "db", &(struct weir_sql_options){.migrations = schema});
        service.events = weir_producer_add(app, "events", NULL);
        relay = weir_outbox_add(app, "relay", service.db, service.events, NULL);
    }
    struct weir_service *calls = torture_service_add(
        app, &(struct torture_service_options){
                 .handlers = &handlers, .self = &service, .needs = {service.db, service.events, relay}});
    if (service.options.rest)
        service.rest = weir_rest_server_add(app, "rest", calls, NULL);
    if (service.options.grpc)
        service.grpc = weir_grpc_server_add(app, "grpc", calls, NULL);
    if (service.options.consumer)
        weir_consumer_add(app, "consumer", calls, NULL);
    weir_component_add(
        app, "ports", &announcer, &service,
        &(struct weir_component_options){.announcer = true, .needs = {service.rest, service.grpc, calls}});
    return weir_app_run(app);
}
