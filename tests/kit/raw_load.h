/* Clients that ask one request after the other, until they are refused a connection: for stops under load. */
#ifndef RAW_LOAD_H
#define RAW_LOAD_H

struct raw_load;

/* `requests` ends with NULL, and must live as long as the load; each client goes through it. Every fourth client
 * makes a new connection for each request. */
struct raw_load *raw_load_begin(int port, int clients, const char *const *requests);

/* Until so many were answered or lost. */
void raw_load_wait(struct raw_load *load, int least);

/* Until all were refused. Frees the load. */
struct raw_load_sum {
    int answered; /* a whole answer with status 200 */
    int lost;     /* sent on an open connection, and anything else */
};
struct raw_load_sum raw_load_end(struct raw_load *load);

#endif
