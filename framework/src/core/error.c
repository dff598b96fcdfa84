#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <weir/error.h>

/* The old text may be among the arguments. */
static void set_text(struct weir_error *err, const char *format, va_list args)
{
    char text[sizeof err->text];
    int length = vsnprintf(text, sizeof text, format, args);
    if (length >= (int)sizeof text)
        memcpy(text + sizeof text - 4, "...", 4);
    memcpy(err->text, text, strlen(text) + 1);
}

enum weir_status weir_fail(struct weir_error *err, enum weir_status status, const char *format, ...)
{
    if (!err)
        return status;

    err->status = status;
    va_list args;
    va_start(args, format);
    set_text(err, format, args);
    va_end(args);
    return status;
}

enum weir_status weir_fail_errno(struct weir_error *err, enum weir_status status, int errnum,
                                 const char *format, ...)
{
    if (!err)
        return status;

    err->status = status;
    va_list args;
    va_start(args, format);
    set_text(err, format, args);
    va_end(args);

    char reason[128];
    size_t length = strlen(err->text);
    snprintf(err->text + length, sizeof err->text - length, ": %s",
             strerror_r(errnum, reason, sizeof reason));
    return status;
}

enum weir_status weir_error_prefix(struct weir_error *err, const char *format, ...)
{
    if (!err)
        return WEIR_UNKNOWN;

    char text[sizeof err->text];
    memcpy(text, err->text, sizeof text);
    va_list args;
    va_start(args, format);
    set_text(err, format, args);
    va_end(args);

    size_t length = strlen(err->text);
    int whole = snprintf(err->text + length, sizeof err->text - length, ": %s", text);
    if (length + (size_t)whole >= sizeof err->text)
        memcpy(err->text + sizeof err->text - 4, "...", 4);
    return err->status;
}
