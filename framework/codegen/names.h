/* Names of C as protobuf-c makes them (protoc-c/c_helpers.cc), and our own. Results live in the arena. */
#ifndef CODEGEN_NAMES_H
#define CODEGEN_NAMES_H

#include <stdbool.h>

#include <weir/arena.h>

/* "shop.order.v1.OrderItem", in package "shop.order.v1" with c_package "order": "order.OrderItem". NULL: as
 * it is. */
const char *names_in_c_package(struct weir_arena *arena, const char *full_name, const char *package,
                               const char *c_package);

/* protobuf-c's: "order.OrderItem" gives "Order__OrderItem", "order__order_item", "ORDER__ORDER_ITEM". */
const char *names_type(struct weir_arena *arena, const char *full_name);
const char *names_lower(struct weir_arena *arena, const char *full_name);
const char *names_upper(struct weir_arena *arena, const char *full_name);
/* The member of a struct: lower case, with an underscore behind a keyword of C or C++. */
const char *names_member(struct weir_arena *arena, const char *field_name);

/* Ours: "GetHTTPStatus" gives "get_http_status", "Order__Paid" gives "order_paid". */
const char *names_snake(struct weir_arena *arena, const char *name);
/* The same, with an underscore behind a keyword. */
const char *names_snake_member(struct weir_arena *arena, const char *name);

bool names_is_keyword(const char *name);

/* The text within the quotes of a C string literal. */
const char *names_literal(struct weir_arena *arena, const char *text);

#endif
