/* Text with names in it: "$method$_start(...)". */
#ifndef CODEGEN_TEXT_H
#define CODEGEN_TEXT_H

#include <weir/bytes.h>

#include "model.h"

/* $method$ "inventory_reserve", $member$ "reserve", $name$, $full_name$, $kind$, $index$, $prefix$
 * "inventory"; of its types $request$ and $reply$ "Inventory__ReserveRequest", $request_lower$ and
 * $reply_lower$ "inventory__reserve_request". */
void text_of_method(struct weir_buffer *out, const struct method *method, const char *text);
/* $prefix$, $full_name$, $count$ of methods. */
void text_of_service(struct weir_buffer *out, const struct service *service, const char *text);
/* $type$ "Order__Paid", $lower$ "order__paid", $snake$ "order_paid", $full_name$, $count$ of fields, $topic$,
 * $key$ and $key_member$ where it has a topic. */
void text_of_message(struct weir_buffer *out, const struct message *message, const char *text);

#endif
