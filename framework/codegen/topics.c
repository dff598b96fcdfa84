/* Topics: their tables, and typed functions to publish and send. */
#include "emit.h"
#include "text.h"

static const char declaration[] =
    "/* $topic$ */\n"
    "extern const struct weir_topic $snake$_topic;\n"
    "/* A row of the outbox, in the transaction. */\n"
    "static inline enum weir_status $snake$_publish(struct weir_tx *tx, const $type$ *event)\n"
    "{\n"
    "    return weir_outbox_publish(tx, &$snake$_topic, &event->base);\n"
    "}\n"
    "/* Waits for the delivery report. */\n"
    "static inline enum weir_status $snake$_send(struct weir_call *call, struct weir_producer *producer,\n"
    "                                            const $type$ *event)\n"
    "{\n"
    "    return weir_topic_send(call, producer, &$snake$_topic, &event->base);\n"
    "}\n"
    "/* Does not wait. */\n"
    "static inline enum weir_status $snake$_post(struct weir_call *call, struct weir_producer *producer,\n"
    "                                            const $type$ *event)\n"
    "{\n"
    "    return weir_topic_post(call, producer, &$snake$_topic, &event->base);\n"
    "}\n"
    "/* In a handler of a transactional consumer: in one transaction with what it handles. */\n"
    "static inline enum weir_status $snake$_emit(struct weir_call *call, const $type$ *event)\n"
    "{\n"
    "    return weir_topic_emit(call, &$snake$_topic, &event->base);\n"
    "}\n\n";

static const char table[] = "static const char *$snake$_key(const void *message)\n"
                            "{\n"
                            "    return ((const $type$ *)message)->$key_member$;\n"
                            "}\n\n"
                            "const struct weir_topic $snake$_topic = {\n"
                            "    .name = \"$topic$\",\n"
                            "    .key_field = \"$key$\",\n"
                            "    .message = &$lower$__table,\n"
                            "    .descriptor = &$lower$__descriptor,\n"
                            "    .key = $snake$_key,\n"
                            "};\n\n";

void emit_topics(struct output *out, const struct file *file)
{
    for (size_t i = 0; i < file->message_count; i++) {
        if (!file->messages[i].topic)
            continue;
        text_of_message(&out->header, &file->messages[i], declaration);
        text_of_message(&out->source, &file->messages[i], table);
    }
}
