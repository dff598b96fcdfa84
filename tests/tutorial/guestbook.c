#include <weir/weir.h>

#include "guestbook.h"
#include "guestbook_sql.h"

struct guestbook {
    struct weir_sql *db;
};

static enum weir_status sign(struct weir_call *call, const Guestbook__SignRequest *request,
                             Guestbook__Guest *reply)
{
    struct guestbook *guestbook = weir_call_self(call);
    if (strlen(request->name) > 40)
        return weir_call_fail(call, WEIR_INVALID_ARGUMENT, "name: 40 bytes are the most");

    struct weir_tx *tx = NULL;
    while (weir_sql_attempt(call, guestbook->db, &tx)) {
        struct add_visit_row row = {0};
        add_visit(tx, request->name, &row);
        reply->name = request->name;
        reply->visits = (int32_t)row.visits;
        reply->thanks = (int32_t)row.thanks;

        Guestbook__Signed event = GUESTBOOK__SIGNED__INIT;
        event.name = request->name;
        guestbook_signed_publish(tx, &event);
    }
    return weir_sql_outcome(tx);
}

static enum weir_status on_signed(struct weir_call *call, const Guestbook__Signed *event,
                                  Google__Protobuf__Empty *reply)
{
    (void)reply;
    struct guestbook *guestbook = weir_call_self(call);
    struct weir_tx *tx = NULL;
    while (weir_sql_attempt(call, guestbook->db, &tx))
        if (weir_inbox_first(tx))
            add_thanks(tx, event->name);
    return weir_sql_outcome(tx);
}

static const struct guestbook_handlers handlers = {
    .sign = {.fn = sign},
    .on_signed = {.fn = on_signed},
};

struct weir_app *guestbook_app(int argc, char **argv)
{
    static struct guestbook guestbook;
    struct weir_app *app = weir_app_new("guestbook", argc, argv);

    guestbook.db = weir_sql_add(app, "db", &(struct weir_sql_options){.schema = &guestbook_sql});
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
