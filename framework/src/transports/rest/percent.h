/* Percent-encoding (RFC 3986, 2.1). Any thread. */
#ifndef WEIR_REST_PERCENT_H
#define WEIR_REST_PERCENT_H

#include <stdbool.h>

#include <weir/bytes.h>

/* Appends. `keep_slash`: "%2F" stays as it is, as google.api.http asks where a variable spans segments.
 * `plus`: "+" is a space. False for a "%" without two digits. */
bool percent_decode(struct weir_bytes text, bool keep_slash, bool plus, struct weir_buffer *ret_text);

/* Appends; all but unreserved characters are encoded. `keep_slash`: "/" stays, and "%2F" and "%2f", too. */
void percent_encode(struct weir_bytes text, bool keep_slash, struct weir_buffer *ret_text);

#endif
