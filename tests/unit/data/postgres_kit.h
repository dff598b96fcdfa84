/* A PostgreSQL server of the test's own: on a socket in a folder of its own, gone with the test. As root it runs as
 * "nobody", since the server refuses root. */
#ifndef POSTGRES_KIT_H
#define POSTGRES_KIT_H

#include <stdbool.h>
#include <sys/types.h>

struct postgres {
    char folder[64];
    char url[160]; /* of the database "postgres" */
    pid_t pid;     /* 0: does not run */
};

/* False: the server is not installed; the test skips. As root it must be there, and this fails. */
bool postgres_is_there(void);
void postgres_create(struct postgres *server);
void postgres_run(struct postgres *server);  /* until it answers */
void postgres_kill(struct postgres *server); /* all of it, kill -9 */
void postgres_freeze(struct postgres *server, bool frozen);
void postgres_destroy(struct postgres *server);
/* An empty database of this name, and its URL in `ret_url`. */
void postgres_database(struct postgres *server, const char *name, char *ret_url, size_t size);

#endif
