/* What producer and consumer share: how a librdkafka client is configured, logs, names its errors and goes
 * away. */
#ifndef WEIR_KAFKA_CLIENT_H
#define WEIR_KAFKA_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include <librdkafka/rdkafka.h>

#include <weir/bytes.h>
#include <weir/error.h>

/* A value that is NULL is a number: `number`. A table ends with {0}. */
struct client_setting {
    const char *key;
    const char *value;
    int64_t number;
};

/* Settings that suit both: short back-off, no Nagle, our log. `opaque` is what callbacks are given. */
rd_kafka_conf_t *client_conf_new(const char *client_id, const char *brokers, void *opaque,
                                 struct weir_error *err);
enum weir_status client_conf_set(rd_kafka_conf_t *conf, const struct client_setting *settings,
                                 struct weir_error *err);

/* Takes conf, also on failure (NULL). */
rd_kafka_t *client_new(rd_kafka_type_t type, rd_kafka_conf_t *conf, struct weir_error *err);

/* When so many tenths of what is left until deadline_ns have passed. */
int64_t client_share(int64_t deadline_ns, int tenths);

/* rd_kafka_destroy_flags() on a thread of its own, because nothing bounds it: waits for it until
 * `deadline_ns`. False: it goes on behind, touching nothing but the client; what callbacks use must stay. */
bool client_destroy(rd_kafka_t *client, int flags, int64_t deadline_ns);

/* What an error of librdkafka means to a caller. */
enum weir_status client_status(rd_kafka_resp_err_t error);

/* Milliseconds until deadline_ns for librdkafka's int parameters: at least 0, at most `most`. */
int client_left_ms(int64_t deadline_ns, int most);

#endif
