#include <assert.h>
#include <string.h>

#include <weir/test.h>

#include "guestbook.h"

#define SIGN "guestbook.v1.GuestbookService/Sign"

int main(void)
{
    struct weir_test *test = weir_test_new(guestbook_app);
    const struct weir_test_reply *reply = weir_test_call(test, SIGN, "{\"name\": \"ada\"}");
    assert(strcmp(reply->json, "{\"name\":\"ada\",\"visits\":1,\"thanks\":0}") == 0);

    const struct weir_test_record *event = weir_test_published(test, &guestbook_signed_topic, 0);
    assert(strcmp(event->json, "{\"name\":\"ada\"}") == 0);
    weir_test_deliver(test, "user.signed", event->json);
    reply = weir_test_call(test, SIGN, "{\"name\": \"ada\"}");
    assert(strcmp(reply->json, "{\"name\":\"ada\",\"visits\":2,\"thanks\":1}") == 0);

    weir_test_stop_at(test, 0);
    assert(strcmp(weir_test_report(test)->outcome, "clean") == 0);
    weir_test_free(test);
    return 0;
}
