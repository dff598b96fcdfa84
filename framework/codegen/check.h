/* Whether what is annotated can be served. */
#ifndef CODEGEN_CHECK_H
#define CODEGEN_CHECK_H

#include <weir/bytes.h>

#include "model.h"

/* Appends an error per line, as protoc prints them: "FILE:LINE:COLUMN: message". */
void check_files(const struct model *model, char *const *names, size_t count, struct weir_buffer *ret_errors);

#endif
