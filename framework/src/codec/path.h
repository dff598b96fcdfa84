/* Where in a message something is: "items[3].sku". Linked through the stack; written out only for an error.
 */
#ifndef WEIR_CODEC_PATH_H
#define WEIR_CODEC_PATH_H

#include <weir/bytes.h>
#include <weir/message.h>

struct path {
    const struct path *parent;      /* NULL: the message itself */
    const struct weir_field *field; /* NULL: an element or entry of `parent`, which has no name of its own */
    int64_t index;                  /* of a repeated field's element; -1: none */
    struct weir_bytes key;          /* of a map's entry, as shown: with its quotes; empty: none */
};

#define PATH_SIZE 512

/* To an element or entry of a repeated field: `outer` itself with an index or a key, where it is this
 * field's, or one step more where the field has no name in JSON (the values of a ListValue). */
static inline struct path path_into(const struct path *outer, const struct weir_field *field)
{
    if (outer && outer->field == field && outer->index < 0 && outer->key.size == 0)
        return *outer;
    return (struct path){.parent = outer, .index = -1};
}

/* Writes "items[3].sku: ", or "" for the message itself. A longer one loses its beginning to "...". */
const char *path_text(const struct path *path, bool json_names, char text[PATH_SIZE]);

#endif
