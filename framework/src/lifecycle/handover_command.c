/* SERVICE --upgrade: asks the running process, and prints what it says. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sysexits.h>
#include <unistd.h>

#include "lifecycle/handover.h"

static int fail(const char *app_name, int status, const char *text)
{
    fprintf(stderr, "%s: no upgrade: %s\n", app_name, text);
    return status;
}

static int connect_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    int error = errno;
    if (fd >= 0)
        close(fd);
    errno = error;
    return -1;
}

static bool begins(const char *line, const char *kind, const char **ret_text)
{
    size_t length = strlen(kind);
    if (strncmp(line, kind, length) != 0 || line[length] != ' ')
        return false;
    *ret_text = line + length + 1;
    return true;
}

/* Until the other side ends. */
static int follow(const char *app_name, FILE *process)
{
    char line[2048];
    const char *text;
    bool done = false;
    while (fgets(line, sizeof line, process)) {
        line[strcspn(line, "\n")] = 0;
        if (begins(line, "refused", &text))
            return fail(app_name, EX_TEMPFAIL, text);
        if (begins(line, "failed", &text)) {
            fprintf(stderr, "%s: upgrade failed, the running process goes on: %s\n", app_name, text);
            return EX_UNAVAILABLE;
        }
        done = begins(line, "done", &text) || done;
        if (done || begins(line, "progress", &text)) {
            printf("%s: %s\n", app_name, text);
            fflush(stdout);
        }
    }
    if (!done)
        return fail(app_name, EX_UNAVAILABLE, "the running process ended, its log says why");
    printf("%s: the process before has ended\n", app_name);
    return 0;
}

int handover_command(const char *app_name, const char *control)
{
    char text[256];
    if (!control)
        return fail(app_name, EX_CONFIG,
                    "app.control is not set; it names the socket by which the running process is asked");
    int fd = connect_to(control);
    if (fd < 0) {
        snprintf(text, sizeof text, "nobody answers at %s: %s; does the service run, with this app.control?",
                 control, strerror(errno));
        return fail(app_name, EX_UNAVAILABLE, text);
    }
    FILE *process = fdopen(fd, "r");
    if (!process || send(fd, "upgrade\n", 8, MSG_NOSIGNAL) != 8) {
        if (!process)
            close(fd);
        else
            fclose(process);
        return fail(app_name, EX_UNAVAILABLE, "the running process does not listen");
    }
    int status = follow(app_name, process);
    fclose(process);
    return status;
}
