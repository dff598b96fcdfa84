/* Between HTTP and protobuf bytes, as google.api.http says: path variables, query parameters and the JSON
 * body become one message; a reply, or one field of it, becomes JSON. Functions are pure. Any thread. */
#ifndef WEIR_REST_TRANSCODE_H
#define WEIR_REST_TRANSCODE_H

#include <weir/bytes.h>
#include <weir/error.h>

#include "transports/rest/router.h"

/* Appends to `ret_wire`. INVALID_ARGUMENT, or RESOURCE_EXHAUSTED for a limit; the text names the place. Where
 * a field is given twice, the path beats the query, and the query the body. */
enum weir_status transcode_request(const struct route_match *match, struct weir_bytes query,
                                   struct weir_bytes body, struct weir_buffer *ret_wire,
                                   struct weir_error *err);

/* Appends to `ret_json`. */
enum weir_status transcode_reply(const struct weir_method *method, const struct weir_http_binding *binding,
                                 struct weir_bytes wire, struct weir_buffer *ret_json,
                                 struct weir_error *err);

/* The records of one field of wire bytes; false for bytes that are no message. */
bool transcode_take_field(struct weir_bytes wire, uint32_t number, struct weir_buffer *ret_wire);

#endif
