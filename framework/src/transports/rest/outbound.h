/* A call going out as an HTTP request: the inverse of transcode.h. Functions are pure. Any thread. */
#ifndef WEIR_REST_OUTBOUND_H
#define WEIR_REST_OUTBOUND_H

#include <weir/bytes.h>
#include <weir/error.h>
#include <weir/method.h>

/* Path and query of a request by `binding`, percent-encoded, and its JSON body. Appends. Path variables are
 * filled from `wire`; what is neither in the path nor in the body is a query parameter. INVALID_ARGUMENT
 * where that cannot be written: an empty string in the path, a map or a list of messages in the query. */
enum weir_status outbound_request(const struct weir_method *method, const struct weir_http_binding *binding,
                                  struct weir_bytes wire, struct weir_buffer *ret_target,
                                  struct weir_buffer *ret_body, struct weir_error *err);

/* The reply's bytes of a 200's JSON body; unknown keys are passed over. Appends. */
enum weir_status outbound_reply(const struct weir_method *method, const struct weir_http_binding *binding,
                                struct weir_bytes json, struct weir_buffer *ret_wire, struct weir_error *err);

#endif
