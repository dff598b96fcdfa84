/* Small values that all services of the shop share. Results live as long as the call. */
#ifndef SHOP_VALUES_H
#define SHOP_VALUES_H

#include <stdbool.h>
#include <stdint.h>

#include <weir/weir.h>

#include "google/protobuf/timestamp.pb-c.h"
#include "shop/common/v1/money.pb-c.h"

#define SHOP_CURRENCY "EUR"

int64_t unix_ms(void);
Google__Protobuf__Timestamp *timestamp_of(struct weir_call *call, int64_t unix_ms);
Common__Money *money_of(struct weir_call *call, int64_t amount_minor, const char *currency);

/* `count` pointers, cleared: for a repeated field. */
#define LIST_OF(call, count, type) ((type **)weir_call_alloc((call), ((size_t)(count) + 1) * sizeof(type *)))

/* 1 to `most` characters of letters, digits and -_.: as ids and skus are. Else fails the call, naming
 * `field`. */
enum weir_status check_name(struct weir_call *call, const char *field, const char *text, size_t most);

/* A page's size: 0 means 20; 1 to 100. Else fails the call. */
enum weir_status check_page_size(struct weir_call *call, int32_t *page_size);

#endif
