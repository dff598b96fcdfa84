/* The least that uses the installed package: headers, generated code, the library. */
#include <weir/weir.h>

#include "hello.h"

static enum weir_status greet(struct weir_call *call, const Hello__GreetRequest *request,
                              Hello__GreetReply *reply)
{
    reply->text = weir_call_printf(
        call, "Hello, %s%s", hello__greet_request__has_title(request) ? request->title : "", request->name);
    return WEIR_OK;
}

static const struct hello_handlers handlers = {.greet = {.fn = greet, .inline_ = true}};

struct weir_app *hello_app(int argc, char **argv)
{
    struct weir_app *app = weir_app_new("hello", argc, argv);
    struct weir_service *service =
        hello_service_add(app, &(struct hello_service_options){.handlers = &handlers});
    weir_rest_server_add(app, "rest", service, &(struct weir_rest_options){.listen = "127.0.0.1:0"});
    return app;
}
