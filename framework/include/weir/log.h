/* Structured logs: a message that stays the same, and fields that vary. A line goes through a bounded ring to
 * a writer thread; where the ring is full the line is dropped and counted, never waited for. Any thread.
 *
 *     weir_log_info("order stored", weir_field_text("order", id), weir_field_int("items", n)); */
#ifndef WEIR_LOG_H
#define WEIR_LOG_H

#include <stddef.h>
#include <stdint.h>

#include <weir/context.h>
#include <weir/error.h>
#include <weir/export.h>

enum weir_log_level { WEIR_LOG_DEBUG, WEIR_LOG_INFO, WEIR_LOG_WARN, WEIR_LOG_ERROR };

struct weir_log_field {
    const char *name;
    enum { WEIR_LOG_TEXT = 1, WEIR_LOG_INT, WEIR_LOG_DOUBLE, WEIR_LOG_BOOL, WEIR_LOG_CONTEXT } type;
    union {
        const char *text; /* copied before the call returns; NULL is shown as null */
        int64_t integer;
        double number;
        const struct weir_context *context;
    } as;
};

static inline struct weir_log_field weir_field_text(const char *name, const char *text)
{
    return (struct weir_log_field){.name = name, .type = WEIR_LOG_TEXT, .as.text = text};
}

static inline struct weir_log_field weir_field_int(const char *name, int64_t integer)
{
    return (struct weir_log_field){.name = name, .type = WEIR_LOG_INT, .as.integer = integer};
}

static inline struct weir_log_field weir_field_double(const char *name, double number)
{
    return (struct weir_log_field){.name = name, .type = WEIR_LOG_DOUBLE, .as.number = number};
}

static inline struct weir_log_field weir_field_bool(const char *name, int truth)
{
    return (struct weir_log_field){.name = name, .type = WEIR_LOG_BOOL, .as.integer = truth != 0};
}

/* An error's text, as the field "error". */
static inline struct weir_log_field weir_field_error(const struct weir_error *err)
{
    return weir_field_text("error", err->text);
}

/* The trace id of a context, as the field "trace". */
static inline struct weir_log_field weir_field_context(const struct weir_context *context)
{
    return (struct weir_log_field){.name = "trace", .type = WEIR_LOG_CONTEXT, .as.context = context};
}

/* `message` is a literal without a full stop. At most 16 fields; copies what it is given. */
WEIR_API void weir_log(enum weir_log_level level, const char *message, const struct weir_log_field *fields,
                       size_t count);

WEIR_API int weir_log_enabled(enum weir_log_level level);

/* The fields are evaluated only when the level is on. */
#define weir_log_at(level, message, ...)                                                                     \
    do {                                                                                                     \
        if (weir_log_enabled(level)) {                                                                       \
            const struct weir_log_field weir_log_fields_[] = {{.name = NULL}, ##__VA_ARGS__};                \
            weir_log(level, message, weir_log_fields_ + 1,                                                   \
                     sizeof weir_log_fields_ / sizeof weir_log_fields_[0] - 1);                              \
        }                                                                                                    \
    } while (0)

#define weir_log_debug(...) weir_log_at(WEIR_LOG_DEBUG, __VA_ARGS__)
#define weir_log_info(...) weir_log_at(WEIR_LOG_INFO, __VA_ARGS__)
#define weir_log_warn(...) weir_log_at(WEIR_LOG_WARN, __VA_ARGS__)
#define weir_log_error(...) weir_log_at(WEIR_LOG_ERROR, __VA_ARGS__)

#endif
