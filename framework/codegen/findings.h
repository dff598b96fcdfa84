/* What a look at contracts found, a line each: "FILE:LINE:COLUMN: ELEMENT: RULE: text". */
#ifndef CODEGEN_FINDINGS_H
#define CODEGEN_FINDINGS_H

#include <weir/bytes.h>

#include "model.h"

struct findings {
    struct weir_buffer text;
    size_t count;
};

/* Without source info only the file is named. */
void findings_add(struct findings *findings, struct place place, const char *element, const char *rule,
                  const char *format, ...) WEIR_PRINTF(5, 6);

/* Names and forms of the files whose name begins with `prefix`. */
void lint_files(const struct model *model, const char *prefix, struct findings *findings);

/* What would break those who were built with the old contracts, or stored or sent what they describe.
 * Google's own types are not looked at. */
void compare_models(const struct model *old, const struct model *new, struct findings *findings);

/* ---- Its parts ---- */

void compare_messages(const struct file *old_file, const struct model *new, struct findings *findings);
void compare_services(const struct file *old_file, const struct model *new, struct findings *findings);
/* Where the old file's content should be: the new file of that name, else the old one. */
struct place compare_place(const struct file *old_file, const struct model *new);

#endif
