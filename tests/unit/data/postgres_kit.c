#include "test.h"

#include <fcntl.h>
#include <glob.h>
#include <libpq-fe.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weir/clock.h>

#include "postgres_kit.h"

#define PROGRAMS "/usr/lib/postgresql/*/bin"

/* The newest one's; "": there is none. */
static const char *program(const char *name)
{
    static char path[200];
    glob_t found;
    path[0] = 0;
    if (glob(PROGRAMS, 0, NULL, &found) == 0 && found.gl_pathc > 0)
        snprintf(path, sizeof path, "%s/%s", found.gl_pathv[found.gl_pathc - 1], name);
    globfree(&found);
    return path;
}

bool postgres_is_there(void)
{
    bool there = access(program("postgres"), X_OK) == 0;
    if (!there && geteuid() == 0)
        fail_msg("PostgreSQL's server is not installed: ./dev install test");
    if (!there)
        print_message("skipped: PostgreSQL's server is not installed (./dev install test)\n");
    return there;
}

static void become_nobody(void)
{
    if (geteuid() != 0)
        return;
    const struct passwd *nobody = getpwnam("nobody");
    if (!nobody || setgid(nobody->pw_gid) != 0 || setuid(nobody->pw_uid) != 0)
        _exit(126);
}

/* In a group of its own, so that all of it can be killed, and gone with the test's process. */
static pid_t spawn(const char *folder, char *const arguments[])
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid > 0)
        return pid;
    setpgid(0, 0);
    become_nobody();
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int log = chdir(folder) == 0 ? open("log", O_CREAT | O_APPEND | O_WRONLY, 0600) : -1;
    int nothing = open("/dev/null", O_RDONLY);
    if (log < 0 || nothing < 0 || dup2(nothing, 0) < 0 || dup2(log, 1) < 0 || dup2(log, 2) < 0)
        _exit(125);
    setenv("LC_ALL", "C.UTF-8", 1);
    execv(arguments[0], arguments);
    _exit(127);
}

void postgres_create(struct postgres *server)
{
    memset(server, 0, sizeof *server);
    strcpy(server->folder, "/tmp/weir-pg-XXXXXX");
    assert_non_null(mkdtemp(server->folder));
    assert_int_equal(chmod(server->folder, 0777), 0);
    snprintf(server->url, sizeof server->url, "postgresql:///postgres?host=%s&user=weir", server->folder);
    char data[100];
    snprintf(data, sizeof data, "%s/data", server->folder);
    char *const arguments[] = {
        (char *)program("initdb"), "-D", data, "-U", "weir", "-A", "trust", "-E", "UTF8", "--no-sync",
        "--no-instructions",       NULL};
    int status = 0;
    assert_true(waitpid(spawn(server->folder, arguments), &status, 0) > 0);
    assert_int_equal(status, 0);
}

static bool answers(const struct postgres *server)
{
    PGconn *connection = PQconnectdb(server->url);
    bool good = PQstatus(connection) == CONNECTION_OK;
    PQfinish(connection);
    return good;
}

void postgres_run(struct postgres *server)
{
    char data[100];
    snprintf(data, sizeof data, "%s/data", server->folder);
    char *const arguments[] = {(char *)program("postgres"),
                               "-D",
                               data,
                               "-k",
                               server->folder,
                               "-h",
                               "",
                               "-F",
                               "-c",
                               "max_connections=40",
                               "-c",
                               "shared_buffers=16MB",
                               NULL};
    server->pid = spawn(server->folder, arguments);
    int64_t give_up_ns = weir_deadline_in_ms(60000);
    while (!answers(server)) {
        assert_true(weir_now_ns() < give_up_ns);
        assert_int_equal(waitpid(server->pid, NULL, WNOHANG), 0);
        usleep(20000);
    }
}

/* Each of the server's processes is in a group of its own; they are the postmaster's children. */
static void signal_all(const struct postgres *server, int number)
{
    char path[64], children[4096] = "";
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", server->pid, server->pid);
    FILE *file = fopen(path, "r");
    if (file && !fgets(children, sizeof children, file))
        children[0] = 0;
    if (file)
        fclose(file);
    kill(server->pid, number);
    char *at = children, *end;
    for (long pid; (pid = strtol(at, &end, 10)) > 0; at = end)
        kill((pid_t)pid, number);
}

void postgres_kill(struct postgres *server)
{
    if (!server->pid)
        return;
    signal_all(server, SIGKILL);
    waitpid(server->pid, NULL, 0);
    server->pid = 0;
}

void postgres_freeze(struct postgres *server, bool frozen)
{
    signal_all(server, frozen ? SIGSTOP : SIGCONT);
}

void postgres_destroy(struct postgres *server)
{
    postgres_kill(server);
    char command[100];
    snprintf(command, sizeof command, "rm -rf %s", server->folder);
    assert_int_equal(system(command), 0);
}

void postgres_database(struct postgres *server, const char *name, char *ret_url, size_t size)
{
    PGconn *connection = PQconnectdb(server->url);
    assert_int_equal(PQstatus(connection), CONNECTION_OK);
    char sql[100];
    snprintf(sql, sizeof sql, "DROP DATABASE IF EXISTS %s WITH (FORCE)", name);
    PQclear(PQexec(connection, sql));
    snprintf(sql, sizeof sql, "CREATE DATABASE %s STRATEGY file_copy", name);
    PGresult *result = PQexec(connection, sql);
    assert_int_equal(PQresultStatus(result), PGRES_COMMAND_OK);
    PQclear(result);
    PQfinish(connection);
    snprintf(ret_url, size, "postgresql:///%s?host=%s&user=weir", name, server->folder);
}
