/* Between HTTP and protobuf bytes, as google.api.http says: path variables, query parameters and the JSON
 * body become one message; a reply, or one field of it, becomes JSON. Functions are pure. Any thread. */
#ifndef WEIR_REST_TRANSCODE_H
#define WEIR_REST_TRANSCODE_H

#include <weir/bytes.h>
#include <weir/codec.h>
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

/* One field of a message as JSON, "null" when there is nothing to print. Appends. */
enum weir_status transcode_field(const struct weir_message *message, const struct weir_field *field,
                                 struct weir_bytes wire, const struct weir_json_options *options,
                                 struct weir_buffer *ret_json, struct weir_error *err);

/* One record of wire bytes: from *at on, which moves behind it. False for bytes that are no message. */
struct wire_record {
    uint32_t number;
    struct weir_bytes whole;   /* with its tag */
    struct weir_bytes payload; /* of a length-delimited one */
};
bool transcode_next_record(struct weir_bytes wire, size_t *at, struct wire_record *ret_record);

#endif
