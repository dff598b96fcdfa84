/* Well-known types whose JSON is one string: Timestamp, Duration, FieldMask. */
#ifndef WEIR_CODEC_WELL_KNOWN_H
#define WEIR_CODEC_WELL_KNOWN_H

#include <weir/bytes.h>
#include <weir/message.h>

/* Appends the message's wire bytes, without a length. NULL, or what is wrong: "is not a time as in RFC 3339".
 */
const char *well_known_parse(enum weir_well_known kind, struct weir_bytes text, struct weir_buffer *out);

/* Appends the JSON of the message's wire bytes, quotes included. NULL, or what is wrong. */
const char *well_known_print(enum weir_well_known kind, struct weir_bytes wire, struct weir_buffer *out);

static inline bool well_known_is_text(enum weir_well_known kind)
{
    return kind == WEIR_WELL_KNOWN_TIMESTAMP || kind == WEIR_WELL_KNOWN_DURATION ||
           kind == WEIR_WELL_KNOWN_FIELD_MASK;
}

#endif
