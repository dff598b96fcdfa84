/* Whether what is annotated can be served, and has C names of its own. */
#ifndef CODEGEN_CHECK_H
#define CODEGEN_CHECK_H

#include <weir/bytes.h>

#include "model.h"

/* Appends an error per line, as protoc prints them: "FILE:LINE:COLUMN: message". Of the named files alone;
 * what they import was checked where it was generated. */
void check_files(const struct model *model, char *const *names, size_t count, struct weir_buffer *ret_errors);

/* ---- Its parts ---- */

struct checker {
    const struct model *model;
    const struct file **files; /* the named ones */
    size_t file_count;
    struct weir_buffer *errors;
};

void check_fail(const struct checker *checker, struct place place, const char *format, ...) WEIR_PRINTF(3, 4);

void check_messages(const struct checker *checker);
void check_methods(const struct checker *checker);
void check_http(const struct checker *checker);
void check_members(const struct checker *checker);
void check_names(const struct checker *checker);

#endif
