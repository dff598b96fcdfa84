#include "codec/message.h"

#include <string.h>

const struct weir_field *weir_message_field(const struct weir_message *message, uint32_t number)
{
    /* Most messages number their fields 1, 2, 3... */
    if (number - 1 < message->field_count && message->fields[number - 1].number == number)
        return &message->fields[number - 1];
    size_t low = 0, high = message->field_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (message->fields[middle].number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low < message->field_count && message->fields[low].number == number ? &message->fields[low] : NULL;
}

/* As strcmp(text, name) would be. */
static int compare(struct weir_bytes text, const char *name)
{
    size_t size = strlen(name);
    int order = memcmp(text.data, name, text.size < size ? text.size : size);
    return order != 0 ? order : (text.size > size) - (text.size < size);
}

static const char *name_of(const struct weir_field *field, bool json)
{
    return json ? field->json_name : field->name;
}

static const struct weir_field *search(const struct weir_message *message, const uint16_t *order, bool json,
                                       struct weir_bytes name)
{
    size_t low = 0, high = message->field_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct weir_field *field = &message->fields[order[middle]];
        int direction = compare(name, name_of(field, json));
        if (direction == 0)
            return field;
        if (direction > 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

const struct weir_field *message_field_named(const struct weir_message *message, struct weir_bytes name,
                                             size_t hint)
{
    if (name.size == 0)
        return NULL;
    if (hint < message->field_count && strlen(message->fields[hint].json_name) == name.size &&
        memcmp(message->fields[hint].json_name, name.data, name.size) == 0)
        return &message->fields[hint];
    const struct weir_field *field = search(message, message->by_json_name, true, name);
    return field ? field : search(message, message->by_name, false, name);
}

const struct weir_enum_value *enum_value_named(const struct weir_enum *enumeration, struct weir_bytes name)
{
    for (size_t i = 0; i < enumeration->value_count; i++) {
        if (weir_bytes_equal_text(name, enumeration->values[i].name))
            return &enumeration->values[i];
    }
    return NULL;
}

const struct weir_enum_value *enum_value_numbered(const struct weir_enum *enumeration, int32_t number)
{
    for (size_t i = 0; i < enumeration->value_count; i++) {
        if (enumeration->values[i].number == number)
            return &enumeration->values[i];
    }
    return NULL;
}
