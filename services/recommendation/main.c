#include <weir/weir.h>

#include "recommendation/recommendation.h"
#include "recommendation_sql.h"

static struct weir_app *recommendation_app(int argc, char **argv)
{
    static struct recommendation recommendation;
    struct weir_app *app = weir_app_new("recommendation", argc, argv);

    recommendation.db = weir_sql_add(app, "db", &(struct weir_sql_options){.schema = &recommendation_sql});
    struct weir_service *service = recommendation_service_add(app, &(struct recommendation_service_options){
                                                                       .handlers = &recommendation_handlers,
                                                                       .self = &recommendation,
                                                                       .needs = {recommendation.db},
                                                                   });
    weir_consumer_add(app, "orders", service, NULL);
    weir_rest_server_add(app, "rest", service, NULL);
    return app;
}

int main(int argc, char **argv)
{
    return weir_app_run(recommendation_app(argc, argv));
}
