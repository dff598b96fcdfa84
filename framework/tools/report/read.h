/* Stop reports from files: whole documents, or those that stand in a log between other lines. */
#ifndef REPORT_READ_H
#define REPORT_READ_H

#include <stdio.h>

#include <weir/report.weir.h>

struct report {
    char *source; /* "var/orders.json", with more than one in it "var/orders.json (2nd)" */
    Weir__StopReport *content;
};

struct reports {
    struct report *all;
    size_t count;
};

/* Adds those of one file; "-" is standard input. Says on standard error what is wrong, a line each with file and
 * line. Returns 0 or the exit status: 65 for what is no report, 66 for what cannot be read. */
int reports_read(struct reports *reports, const char *path);
void reports_free(struct reports *reports);

#endif
