/* weir-report: draws stop reports as one HTML page. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "page.h"

static const char usage[] =
    "usage: weir-report [--output FILE] FILE...\n"
    "\n"
    "Draws stop reports as one HTML page that needs nothing else: a chart of what each component did, with "
    "its\n"
    "windows and reserves, the critical path, what became of the work in flight, and all of it as tables.\n"
    "\n"
    "  FILE            what app.report_file keeps, or standard error of a service with app.report=json: its "
    "log\n"
    "                  may stand around the reports; \"-\" is standard input\n"
    "  -o, --output FILE   where the page goes; default standard output\n"
    "  -h, --help      shows this, and ends\n"
    "      --version   shows the version, and ends\n"
    "\n"
    "Reports that are wrong are named, and the others drawn. Exit status: 0 all are drawn; 64 bad usage; 65 "
    "some\n"
    "are no reports of a version that this program reads; 66 a file cannot be read; 74 the page cannot be "
    "written.\n";

struct arguments {
    const char *output; /* NULL: standard output */
    const char **files;
    int file_count;
};

static int misuse(const char *what, const char *about)
{
    fprintf(stderr, "weir-report: %s%s; weir-report --help shows the usage\n", what, about);
    return EX_USAGE;
}

/* Leaves the files at the front of argv. Returns -1 to go on, or the exit status. */
static int read_arguments(int argc, char **argv, struct arguments *ret)
{
    bool only_files = false;
    *ret = (struct arguments){.files = (const char **)argv};
    for (int i = 1; i < argc; i++) {
        const char *argument = argv[i];
        if (only_files || argument[0] != '-' || !argument[1]) {
            ret->files[ret->file_count++] = argument;
        } else if (!strcmp(argument, "--")) {
            only_files = true;
        } else if (!strcmp(argument, "-h") || !strcmp(argument, "--help")) {
            fputs(usage, stdout);
            return 0;
        } else if (!strcmp(argument, "--version")) {
            puts("weir-report (weir " WEIR_VERSION ")");
            return 0;
        } else if (!strncmp(argument, "--output=", 9)) {
            ret->output = argument + 9;
        } else if (!strcmp(argument, "-o") || !strcmp(argument, "--output")) {
            if (++i == argc)
                return misuse(argument, " wants a file");
            ret->output = argv[i];
        } else {
            return misuse("does not know ", argument);
        }
    }
    if (ret->file_count == 0)
        return misuse("no file is given", "");
    if (!ret->output && isatty(STDOUT_FILENO))
        return misuse("the page would fill this terminal: give --output FILE", "");
    return -1;
}

static int write_page(const char *path, const struct weir_buffer *page)
{
    FILE *file = path ? fopen(path, "wbe") : stdout;
    bool good = file && fwrite(page->data, 1, page->size, file) == page->size;
    if (file && (file == stdout ? fflush(file) : fclose(file)) != 0)
        good = false;
    if (good)
        return 0;
    fprintf(stderr, "weir-report: %s: %s\n", path ? path : "standard output", strerror(errno));
    return EX_IOERR;
}

int main(int argc, char **argv)
{
    struct arguments arguments;
    int status = read_arguments(argc, argv, &arguments);
    if (status >= 0)
        return status;
    struct reports reports = {0};
    status = 0;
    for (int i = 0; i < arguments.file_count; i++) {
        int wrong = reports_read(&reports, arguments.files[i]);
        status = wrong ? wrong : status;
    }
    if (reports.count > 0) {
        struct weir_buffer page = {0};
        page_write(&reports, &page);
        int wrong = write_page(arguments.output, &page);
        status = wrong ? wrong : status;
        weir_buffer_free(&page);
    }
    reports_free(&reports);
    return status;
}
