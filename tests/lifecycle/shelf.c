#include "test.h"

#include "shelf.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "raw_client.h"
#include "wait.h"

void shelf_write(const char *path, const char *text)
{
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

void shelf_copy_program(const char *to)
{
    char beside[160], command[600];
    snprintf(beside, sizeof beside, "%s.new", to);
    snprintf(command, sizeof command, "cp %s %s", HANDOVER_CHILD, beside);
    assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c): names of the test's own */
    assert_int_equal(rename(beside, to), 0);
}

void shelf_flag(struct shelf *f, const char *format, const char *value)
{
    snprintf(f->flags[f->argc], sizeof f->flags[0], format, value);
    f->argv[f->argc] = f->flags[f->argc];
    f->argc++;
}

void shelf_environment(struct shelf *f, const char *variable)
{
    int count = 0;
    while (f->environment[count])
        count++;
    assert_in_range(count, 0, ENVIRONMENT_MAX - 1);
    f->environment[count] = variable;
}

void shelf_prepare(struct shelf *f)
{
    *f = (struct shelf){.folder = "/tmp/weir-handover-XXXXXX"};
    assert_non_null(mkdtemp(f->folder));
    snprintf(f->program, sizeof f->program, "%s/shelf", f->folder);
    snprintf(f->control, sizeof f->control, "%s/control", f->folder);
    snprintf(f->mode, sizeof f->mode, "%s/mode", f->folder);
    snprintf(f->config, sizeof f->config, "%s/shelf.yaml", f->folder);
    snprintf(f->mode_variable, sizeof f->mode_variable, "HANDOVER_MODE=%s", f->mode);
    shelf_environment(f, f->mode_variable);
    shelf_write(f->mode, "\n");
    shelf_write(f->config, "app: {report: none}\n");
    assert_int_equal(symlink(HANDOVER_CHILD, f->program), 0);
    shelf_flag(f, "%s", f->program);
    shelf_flag(f, "--config=%s", f->config);
    shelf_flag(f, "--app.control=%s", f->control);
    shelf_flag(f, "%s", "--rest.listen=127.0.0.1:0");
    shelf_flag(f, "%s", "--admin.listen=127.0.0.1:0");
}

/* What the latest process says when it is up. */
void shelf_await_up(struct shelf *f)
{
    size_t at = process_await(&f->service, f->heard, "\nup ");
    f->heard = process_await(&f->service, at + 1, "\n");
    int pid;
    assert_int_equal(sscanf(weir_buffer_text(&f->service.said) + at, "\nup %d %d %d %d", &pid, &f->rest,
                            &f->grpc, &f->admin),
                     4);
    f->pid = pid;
}

void shelf_start(struct shelf *f)
{
    process_start_with(&f->service, f->argv, f->environment, f->fds, f->fd_count);
    shelf_await_up(f);
    f->heard = process_await(&f->service, 0, "\"message\":\"ready\"");
}

/* Fails unless the command ends with this status and has said this. */
void shelf_upgrade(struct shelf *f, int expected, const char *text)
{
    struct process command;
    f->argv[f->argc] = "--upgrade";
    process_start(&command, f->argv, NULL);
    f->argv[f->argc] = NULL;
    int status = process_end(&command);
    const char *said = weir_buffer_text(&command.said);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != expected || !strstr(said, text))
        fail_msg("wait status 0x%x, expected exit %d and \"%s\"; it said:\n%s\nthe service:\n%s",
                 (unsigned)status, expected, text, said, weir_buffer_text(&f->service.said));
    process_free(&command);
}

/* The service is not the test's child any more: waits for its end by its pid. */
static bool is_gone(void *arg)
{
    return kill(*(pid_t *)arg, 0) < 0;
}

bool shelf_is_over(pid_t pid)
{
    return kit_wait_in_time(is_gone, &pid);
}

/* Not the control socket: it goes with the last process. */
static void remove_files(const char *folder)
{
    char path[400];
    DIR *entries = opendir(folder);
    assert_non_null(entries);
    for (struct dirent *entry; (entry = readdir(entries));) {
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (strcmp(entry->d_name, "control") != 0)
            unlink(path);
    }
    closedir(entries);
}

void shelf_end(struct shelf *f)
{
    if (f->pid != f->service.pid) {
        kill(f->pid, SIGTERM);
        assert_true(shelf_is_over(f->pid));
    }
    if (f->service.pid > 0)
        kill(f->service.pid, SIGTERM);
    if (f->service.pid > 0)
        process_end(&f->service);
    process_free(&f->service);
    remove_files(f->folder);
    assert_int_equal(rmdir(f->folder), 0); /* the control socket went with the last process */
}

int shelf_ask(int port, const char *path)
{
    char request[128];
    snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", path);
    struct raw_answer *answer = raw_ask(port, request);
    int status = answer->status;
    free(answer);
    return status;
}

void shelf_assert_serves(struct shelf *f)
{
    assert_int_equal(shelf_ask(f->rest, "/v1/echo/tea"), 200);
    assert_int_equal(shelf_ask(f->admin, "/ready"), 200);
}
