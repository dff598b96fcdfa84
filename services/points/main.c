#include <weir/weir.h>

#include "points/points.h"
#include "points_sql.h"

static struct weir_app *points_app(int argc, char **argv)
{
    static struct points points;
    struct weir_app *app = weir_app_new("points", argc, argv);

    points.db = weir_sql_add(app, "db", &(struct weir_sql_options){.schema = &points_sql});
    struct weir_service *service = points_service_add(app, &(struct points_service_options){
                                                               .handlers = &points_handlers,
                                                               .self = &points,
                                                               .needs = {points.db},
                                                           });
    weir_consumer_add(app, "orders", service, NULL);
    weir_rest_server_add(app, "rest", service, NULL);
    return app;
}

int main(int argc, char **argv)
{
    return weir_app_run(points_app(argc, argv));
}
