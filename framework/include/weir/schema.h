/* Tables built at run time from a FileDescriptorSet: for programs that know a contract only
 * then, as the command `weir`. */
#ifndef WEIR_SCHEMA_H
#define WEIR_SCHEMA_H

#include <weir/bytes.h>
#include <weir/error.h>
#include <weir/export.h>
#include <weir/message.h>
#include <weir/method.h>

struct weir_schema;

/* Copies what it needs of the serialized FileDescriptorSet (imports included). Caller owns the result; NULL
 * on error. Immutable afterwards: any thread. */
WEIR_API struct weir_schema *weir_schema_new(struct weir_bytes descriptor_set, struct weir_error *err);
WEIR_API void weir_schema_destroy(struct weir_schema *schema);

/* By full name, without a leading dot. NULL when unknown. Live as long as the schema. */
WEIR_API const struct weir_message *weir_schema_message(const struct weir_schema *schema,
                                                        const char *full_name);
WEIR_API const struct weir_service_type *weir_schema_service(const struct weir_schema *schema,
                                                             const char *full_name);
/* "package.Service/Method". Its functions and descriptors are NULL: for clients only. */
WEIR_API const struct weir_method *weir_schema_method(const struct weir_schema *schema, const char *path);

/* Every service, in the order of the set; for listings. */
WEIR_API size_t weir_schema_service_count(const struct weir_schema *schema);
WEIR_API const struct weir_service_type *weir_schema_service_at(const struct weir_schema *schema,
                                                                size_t index);

/* The message that is published on a topic; NULL when no message says so. */
WEIR_API const struct weir_message *weir_schema_topic(const struct weir_schema *schema, const char *topic);

#endif
