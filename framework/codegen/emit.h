/* What is generated for one file: a header and a source. */
#ifndef CODEGEN_EMIT_H
#define CODEGEN_EMIT_H

#include <weir/bytes.h>

#include "model.h"

struct output {
    struct weir_buffer header, source;
};

void emit_message_declarations(struct output *out, const struct file *file);
void emit_message_tables(struct output *out, const struct file *file);

void emit_topics(struct output *out, const struct file *file);

/* The handlers' struct, and how a service is added. */
void emit_service_declarations(struct output *out, const struct service *service);
void emit_service_tables(struct output *out, const struct service *service);

/* Typed functions to call a service, and to send on its streams. */
void emit_clients(struct output *out, const struct service *service);

/* <stem>.weir.h and <stem>.weir.c. */
void emit_file(struct output *out, const struct file *file);

#endif
