/* protobuf-c's own files, made by its protoc-gen-c. */
#ifndef CODEGEN_PROTOBUF_C_H
#define CODEGEN_PROTOBUF_C_H

#include <weir/error.h>

#include "plugin.pb-c.h"

/* Runs `program` (a path, or a name in PATH) on the request, and gives its response: messages and enums, for
 * services are ours. Changes the request: proto3's `optional` becomes the oneof of one that protoc describes
 * it by, which every protobuf-c knows. Caller owns the result:
 * plugin__code_generator_response__free_unpacked(). */
enum weir_status protobuf_c_generate(const char *program, Plugin__CodeGeneratorRequest *request,
                                     Plugin__CodeGeneratorResponse **ret_response, struct weir_error *err);

#endif
