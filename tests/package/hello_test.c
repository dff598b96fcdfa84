/* The least that uses the installed test kit. */
#include <stdio.h>
#include <string.h>

#include <weir/test.h>

#include "hello.h"

int main(void)
{
    struct weir_test *test = weir_test_new(hello_app);
    const struct weir_test_reply *reply =
        weir_test_call(test, "hello.v1.HelloService/Greet", "{\"name\": \"ada\"}");
    weir_test_stop_at(test, 0);
    bool good =
        strstr(reply->json, "\"text\":\"Hello, ada\"") && !strcmp(weir_test_report(test)->outcome, "clean");
    printf("%s\n%s", reply->json, weir_test_report(test)->text);
    weir_test_free(test);
    return good ? 0 : 1;
}
