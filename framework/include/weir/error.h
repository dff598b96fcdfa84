/* What went wrong, in words. A function returns an error or logs it, never both.
 *
 * Fallible functions take an optional, caller-owned `struct weir_error *err` last. Start it with {0}. */
#ifndef WEIR_ERROR_H
#define WEIR_ERROR_H

#include <weir/export.h>
#include <weir/status.h>

struct weir_error {
    enum weir_status status;
    char component[64]; /* set by the lifecycle: whose error it is; else empty */
    char text[1024];    /* one line, no full stop at its end; longer text is cut with "..." */
};

/* Fills err, if there is one, and returns status: `return weir_fail(err, WEIR_NOT_FOUND, "order %s", id);` */
WEIR_API enum weir_status weir_fail(struct weir_error *err, enum weir_status status, const char *format, ...)
    WEIR_PRINTF(3, 4);

/* The same with errno's text appended: "cannot open FILE: No such file or directory". */
WEIR_API enum weir_status weir_fail_errno(struct weir_error *err, enum weir_status status, int errnum,
                                          const char *format, ...) WEIR_PRINTF(4, 5);

/* Puts "format: " before the text that err already has. Returns err's status. */
WEIR_API enum weir_status weir_error_prefix(struct weir_error *err, const char *format, ...)
    WEIR_PRINTF(2, 3);

#endif
