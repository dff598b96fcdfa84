#include "common/values.h"

#include <ctype.h>
#include <string.h>

int64_t unix_ms(void)
{
    return weir_unix_ns() / WEIR_NS_PER_MS;
}

Google__Protobuf__Timestamp *timestamp_of(struct weir_call *call, int64_t ms)
{
    Google__Protobuf__Timestamp *timestamp = weir_call_alloc(call, sizeof *timestamp);
    google__protobuf__timestamp__init(timestamp);
    timestamp->seconds = ms / 1000;
    timestamp->nanos = (int32_t)(ms % 1000) * 1000000;
    return timestamp;
}

Common__Money *money_of(struct weir_call *call, int64_t amount_minor, const char *currency)
{
    Common__Money *money = weir_call_alloc(call, sizeof *money);
    common__money__init(money);
    money->amount_minor = amount_minor;
    money->currency = weir_call_strdup(call, currency);
    return money;
}

enum weir_status check_name(struct weir_call *call, const char *field, const char *text, size_t most)
{
    size_t length = strlen(text);
    if (length == 0)
        return weir_call_fail(call, WEIR_INVALID_ARGUMENT, "%s is missing", field);
    if (length > most)
        return weir_call_fail(call, WEIR_INVALID_ARGUMENT, "%s: %zu characters, at most %zu are allowed",
                              field, length, most);
    for (const char *c = text; *c; c++)
        if (!isalnum((unsigned char)*c) && !strchr("-_.:", *c))
            return weir_call_fail(call, WEIR_INVALID_ARGUMENT,
                                  "%s: only letters, digits and -_.: are allowed", field);
    return WEIR_OK;
}

enum weir_status check_page_size(struct weir_call *call, int32_t *page_size)
{
    if (*page_size == 0)
        *page_size = 20;
    if (*page_size < 1 || *page_size > 100)
        return weir_call_fail(call, WEIR_INVALID_ARGUMENT, "page_size: %d is not within 1 to 100",
                              *page_size);
    return WEIR_OK;
}
