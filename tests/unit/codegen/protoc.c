#include "protoc.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "core/memory.h"

char *protoc_new_dir(void)
{
    const char *base = getenv("TMPDIR");
    char *dir = memory_printf("%s/weir-codegen-XXXXXX", base ? base : "/tmp");
    if (!mkdtemp(dir))
        abort();
    return dir;
}

void protoc_remove_dir(char *dir)
{
    struct weir_buffer output = {0};
    protoc_run(&output, "rm -r '%s'", dir);
    weir_buffer_free(&output);
    free(dir);
}

void protoc_write(const char *dir, const char *name, const char *text)
{
    char *path = memory_printf("%s/%s", dir, name);
    FILE *file = fopen(path, "w");
    if (!file || fputs(text, file) < 0 || fclose(file) != 0)
        abort();
    free(path);
}

int protoc_run(struct weir_buffer *ret_output, const char *format, ...)
{
    struct weir_buffer command = {0};
    va_list args;
    va_start(args, format);
    weir_buffer_vprintf(&command, format, args);
    va_end(args);
    weir_buffer_append_text(&command, " 2>&1");
    FILE *output =
        popen(weir_buffer_text(&command), "r"); /* NOLINT(cert-env33-c): a shell joins both outputs */
    weir_buffer_free(&command);
    if (!output)
        abort();
    for (;;) {
        size_t got = fread(weir_buffer_reserve(ret_output, 4096), 1, 4096, output);
        if (got == 0)
            break;
        ret_output->size += got;
    }
    int status = pclose(output);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}
