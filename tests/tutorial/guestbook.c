#include <weir/weir.h>

#include "guestbook.h"

struct guestbook {
    struct weir_sql *db;
};

/* Applied once each, in this order. Add to the end; never change one that has been released. */
static const char *const schema[] = {
    "CREATE TABLE guests ("
    "  name TEXT PRIMARY KEY,"
    "  visits INTEGER NOT NULL DEFAULT 0,"
    "  thanks INTEGER NOT NULL DEFAULT 0"
    ") WITHOUT ROWID",
    NULL,
};

static enum weir_status sign(struct weir_call *call, const Guestbook__SignRequest *request,
                             Guestbook__Guest *reply)
{
    struct guestbook *guestbook = weir_call_self(call);
    if (strlen(request->name) > 40)
        return weir_call_fail(call, WEIR_INVALID_ARGUMENT, "name: 40 bytes are the most");

    struct weir_tx *tx = weir_sql_begin(call, guestbook->db);
    weir_sql_exec(tx,
                  "INSERT INTO guests (name, visits) VALUES (?, 1)"
                  " ON CONFLICT (name) DO UPDATE SET visits = visits + 1",
                  request->name);
    struct weir_rows *rows =
        weir_sql_query(tx, "SELECT visits, thanks FROM guests WHERE name = ?", request->name);
    if (weir_rows_next(rows)) {
        reply->name = request->name;
        reply->visits = (int32_t)weir_rows_int(rows, 0);
        reply->thanks = (int32_t)weir_rows_int(rows, 1);
    }
    weir_rows_end(rows);

    Guestbook__Signed event = GUESTBOOK__SIGNED__INIT;
    event.name = request->name;
    guestbook_signed_publish(tx, &event);
    return weir_sql_commit(tx);
}

static enum weir_status on_signed(struct weir_call *call, const Guestbook__Signed *event,
                                  Google__Protobuf__Empty *reply)
{
    (void)reply;
    struct guestbook *guestbook = weir_call_self(call);
    struct weir_tx *tx = weir_sql_begin(call, guestbook->db);
    if (weir_inbox_first(tx))
        weir_sql_exec(tx, "UPDATE guests SET thanks = thanks + 1 WHERE name = ?", event->name);
    return weir_sql_commit(tx);
}

static const struct guestbook_handlers handlers = {
    .sign = {.fn = sign},
    .on_signed = {.fn = on_signed},
};

struct weir_app *guestbook_app(int argc, char **argv)
{
    static struct guestbook guestbook;
    struct weir_app *app = weir_app_new("guestbook", argc, argv);

    guestbook.db = weir_sql_add(app, "db", &(struct weir_sql_options){.migrations = schema});
    struct weir_producer *events = weir_producer_add(app, "events", NULL);
    struct weir_outbox *outbox = weir_outbox_add(app, "outbox", guestbook.db, events, NULL);
    struct guestbook_service_options options = {
        .handlers = &handlers,
        .self = &guestbook,
        .needs = {guestbook.db, outbox},
    };
    struct weir_service *service = guestbook_service_add(app, &options);
    weir_rest_server_add(app, "rest", service, NULL);
    weir_grpc_server_add(app, "grpc", service, NULL);
    weir_consumer_add(app, "thanks", service, NULL);
    return app;
}
