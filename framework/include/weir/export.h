/* Visibility and attribute macros. The library is built with hidden visibility: what a user may call
 * carries WEIR_API. */
#ifndef WEIR_EXPORT_H
#define WEIR_EXPORT_H

#if defined(__GNUC__)
#define WEIR_API __attribute__((visibility("default")))
#define WEIR_PRINTF(text, first) __attribute__((format(printf, text, first)))
#define WEIR_MUST_USE __attribute__((warn_unused_result))
#else
#define WEIR_API
#define WEIR_PRINTF(text, first)
#define WEIR_MUST_USE
#endif

#endif
