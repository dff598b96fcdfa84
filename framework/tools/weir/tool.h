/* What the commands of `weir` share. Errors go to stderr, one line each, beginning with "weir: ". */
#ifndef TOOL_H
#define TOOL_H

#include <stdbool.h>

#include <weir/codec.h>
#include <weir/schema.h>

/* sysexits.h: 64 bad usage, 65 bad data, 66 no such file, 69 unreachable; 1 where the server said no. */
int tool_fail(int exit_status, const char *format, ...) WEIR_PRINTF(2, 3);
/* "weir: cannot ...", and where in the JSON it is: the line, and a mark below the column that err names. */
int tool_fail_json(struct weir_bytes json, const struct weir_error *err);

/* The contracts: `file`, else $WEIR_DESCRIPTORS, else what was built or installed with this program. NULL:
 * said why. */
struct weir_schema *tool_load(const char *file);

/* By its full name "package.Service/Method", or as much of its end as is unique. NULL: said why, with the
 * nearest, unless `quiet`. */
const struct weir_method *tool_find_method(const struct weir_schema *schema, const char *name, bool quiet);
/* Says that there is no such thing, and what has a name like it; `methods`: only methods. */
void tool_say_nearest(const struct weir_schema *schema, const char *what, const char *name, bool methods);

/* Options with which Any finds its types. */
struct weir_json_options tool_json(const struct weir_schema *schema);

/* 0 when somebody listens on "HOST:PORT", "[V6]:PORT" or "unix:PATH"; else the exit status, and said why. */
int tool_reach(const char *target);

/* The commands; argv[0] is the command's name. Return the exit status. */
int call_command(int argc, char **argv);
int tail_command(int argc, char **argv);
int ls_command(int argc, char **argv);
int dlq_command(int argc, char **argv);
int describe_command(int argc, char **argv);

#endif
