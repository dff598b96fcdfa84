#include "codec/path.h"

#include <stdio.h>
#include <string.h>

#define KEY_SHOWN 40

static size_t step_text(const struct path *step, bool json_names, char *text, size_t size)
{
    const char *dot = step->parent && step->field ? "." : "";
    const char *name = !step->field ? "" : json_names ? step->field->json_name : step->field->name;
    int length;
    if (step->key.size > KEY_SHOWN)
        length = snprintf(text, size, "%s%s[%.*s...]", dot, name, KEY_SHOWN, (const char *)step->key.data);
    else if (step->key.size > 0)
        length =
            snprintf(text, size, "%s%s[%.*s]", dot, name, (int)step->key.size, (const char *)step->key.data);
    else if (step->index >= 0)
        length = snprintf(text, size, "%s%s[%lld]", dot, name, (long long)step->index);
    else
        length = snprintf(text, size, "%s%s", dot, name);
    size_t written = (size_t)length < size ? (size_t)length : size - 1;
    for (size_t i = 0; i < written; i++) {
        if ((unsigned char)text[i] < ' ')
            text[i] = '?'; /* of a key: an error is one line */
    }
    return written;
}

/* From the end, because the last steps say more than the first. */
const char *path_text(const struct path *path, bool json_names, char text[PATH_SIZE])
{
    if (!path) {
        text[0] = 0;
        return text;
    }
    char *at = text + PATH_SIZE - 3;
    memcpy(at, ": ", 3);
    for (; path; path = path->parent) {
        char step[160];
        size_t size = step_text(path, json_names, step, sizeof step);
        if ((size_t)(at - text) < size + 3) {
            at -= 3;
            at[0] = at[1] = at[2] = '.';
            break;
        }
        at -= size;
        memcpy(at, step, size);
    }
    return at;
}
