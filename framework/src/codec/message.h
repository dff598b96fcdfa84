/* Looking things up in the tables. */
#ifndef WEIR_CODEC_MESSAGE_H
#define WEIR_CODEC_MESSAGE_H

#include <weir/bytes.h>
#include <weir/message.h>

/* By JSON name or name; NULL when there is none. `hint`: the index that is tried first. */
const struct weir_field *message_field_named(const struct weir_message *message, struct weir_bytes name,
                                             size_t hint);

/* NULL when unknown. */
const struct weir_enum_value *enum_value_named(const struct weir_enum *enumeration, struct weir_bytes name);
/* The first one with this number; NULL when unknown. */
const struct weir_enum_value *enum_value_numbered(const struct weir_enum *enumeration, int32_t number);

/* Members mostly come in the order of their numbers: tries the field at `*hint` and the one behind it first.
 */
static inline const struct weir_field *message_field_near(const struct weir_message *message, uint32_t number,
                                                          size_t *hint)
{
    for (size_t i = *hint; i < message->field_count && i < *hint + 2; i++) {
        if (message->fields[i].number == number) {
            *hint = i;
            return &message->fields[i];
        }
    }
    const struct weir_field *field = weir_message_field(message, number);
    if (field)
        *hint = (size_t)(field - message->fields);
    return field;
}

/* ProtoJSON's null is a value of its own here. */
static inline bool field_takes_null(const struct weir_field *field)
{
    return (field->type == WEIR_TYPE_MESSAGE && field->message->well_known == WEIR_WELL_KNOWN_VALUE) ||
           (field->type == WEIR_TYPE_ENUM && field->enumeration->is_null_value);
}

/* May come as one length-delimited run of values. */
static inline bool field_packable(const struct weir_field *field)
{
    return field->repeated && field->type != WEIR_TYPE_STRING && field->type != WEIR_TYPE_BYTES &&
           field->type != WEIR_TYPE_MESSAGE;
}

#endif
