/* RFC 9457, application/problem+json: what every refusal and error says.
 *
 *     {"type":"about:blank","title":"Not Found","status":404,"detail":"order 7","code":"NOT_FOUND"}
 *
 * `code` is the status that every transport has in common. Where the words stay in the log, `trace` says
 * where. */
#ifndef WEIR_REST_PROBLEM_H
#define WEIR_REST_PROBLEM_H

#include <weir/bytes.h>
#include <weir/status.h>

#define PROBLEM_TYPE "application/problem+json"

/* `traceparent` may be NULL: then there is no trace. Appends. */
void problem_write(int http_status, enum weir_status status, const char *detail, const char *traceparent,
                   struct weir_buffer *ret_json);

/* The code of a refusal that is known by HTTP's status only. */
enum weir_status problem_status(int http_status);

/* For the engine, which knows HTTP's status only. An http_problem_fn. */
void problem_of_engine(int http_status, const char *detail, struct weir_buffer *ret_json);

/* What a client reads out of an answer that may be one. `ret_detail` is its detail, or "". */
enum weir_status problem_read(int http_status, struct weir_bytes json, char *ret_detail, size_t size);

/* "Not Found"; "Error" for an unusual status. */
const char *problem_title(int http_status);

#endif
