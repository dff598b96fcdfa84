/* Runs protoc on contracts that stand in a test. */
#ifndef PROTOC_H
#define PROTOC_H

#include <weir/bytes.h>

/* A directory of its own; the caller frees the path and removes the directory with protoc_remove_dir(). */
char *protoc_new_dir(void);
void protoc_remove_dir(char *dir);
void protoc_write(const char *dir, const char *name, const char *text);

/* Runs a command of a shell; what it prints, both ways. Returns its exit status. */
int protoc_run(struct weir_buffer *ret_output, const char *format, ...) WEIR_PRINTF(2, 3);

#endif
