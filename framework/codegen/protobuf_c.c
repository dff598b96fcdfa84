#include "protobuf_c.h"

#include <errno.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/memory.h"

static void forget_optional(Google__Protobuf__DescriptorProto *message)
{
    for (size_t i = 0; i < message->n_field; i++)
        message->field[i]->has_proto3_optional = 0;
    for (size_t i = 0; i < message->n_nested_type; i++)
        forget_optional(message->nested_type[i]);
}

/* Files in memory instead of pipes: neither side can fill one up and wait for the other. */
static int request_file(const Plugin__CodeGeneratorRequest *request, struct weir_error *err)
{
    size_t size = plugin__code_generator_request__get_packed_size(request);
    uint8_t *bytes = memory_alloc(size + 1);
    plugin__code_generator_request__pack(request, bytes);
    int file = memfd_create("request", MFD_CLOEXEC);
    size_t written = 0;
    while (file >= 0 && written < size) {
        ssize_t step = write(file, bytes + written, size - written);
        if (step < 0 && errno == EINTR)
            continue;
        if (step < 0) {
            close(file);
            file = -1;
            break;
        }
        written += (size_t)step;
    }
    free(bytes);
    if (file < 0)
        weir_fail_errno(err, WEIR_UNAVAILABLE, errno, "cannot hold the request for protoc-gen-c in memory");
    else
        lseek(file, 0, SEEK_SET);
    return file;
}

/* Without our parameter, and without services: ours replace protobuf-c's, whose code of a method named Void
 * does not even compile. */
static int reduced_request_file(Plugin__CodeGeneratorRequest *request, struct weir_error *err)
{
    size_t *service_counts = memory_alloc((request->n_proto_file + 1) * sizeof *service_counts);
    for (size_t i = 0; i < request->n_proto_file; i++) {
        Google__Protobuf__FileDescriptorProto *file = request->proto_file[i];
        for (size_t j = 0; j < file->n_message_type; j++)
            forget_optional(file->message_type[j]);
        service_counts[i] = file->n_service;
        file->n_service = 0;
    }
    char *parameter = request->parameter;
    request->parameter = NULL;
    int input = request_file(request, err);
    request->parameter = parameter;
    for (size_t i = 0; i < request->n_proto_file; i++)
        request->proto_file[i]->n_service = service_counts[i];
    free(service_counts);
    return input;
}

static enum weir_status run(const char *program, int input, int output, struct weir_error *err)
{
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    char name[] = "protoc-gen-c";
    char *argv[] = {name, NULL};
    pid_t child;
    int failed = posix_spawnp(&child, program, &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (failed != 0)
        return weir_fail_errno(
            err, WEIR_UNAVAILABLE, failed,
            "cannot run %s (install protobuf-c's compiler, or give its path as the parameter "
            "protoc_gen_c)",
            program);
    int status;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return weir_fail_errno(err, WEIR_UNKNOWN, errno, "cannot wait for %s", program);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return weir_fail(err, WEIR_UNKNOWN, "%s failed; what it printed says why", program);
    return WEIR_OK;
}

static Plugin__CodeGeneratorResponse *response_of(int file)
{
    struct stat stat;
    if (fstat(file, &stat) != 0)
        return NULL;
    size_t size = (size_t)stat.st_size;
    uint8_t *bytes = memory_alloc(size + 1);
    size_t have = 0;
    while (have < size) {
        ssize_t step = pread(file, bytes + have, size - have, (off_t)have);
        if (step <= 0)
            break;
        have += (size_t)step;
    }
    Plugin__CodeGeneratorResponse *response =
        have == size ? plugin__code_generator_response__unpack(NULL, size, bytes) : NULL;
    free(bytes);
    return response;
}

enum weir_status protobuf_c_generate(const char *program, Plugin__CodeGeneratorRequest *request,
                                     Plugin__CodeGeneratorResponse **ret_response, struct weir_error *err)
{
    int input = reduced_request_file(request, err);
    if (input < 0)
        return WEIR_UNAVAILABLE;
    int output = memfd_create("response", MFD_CLOEXEC);
    enum weir_status status = output < 0 ? weir_fail_errno(err, WEIR_UNAVAILABLE, errno,
                                                           "cannot hold protoc-gen-c's answer in memory")
                                         : run(program, input, output, err);
    if (status == WEIR_OK) {
        *ret_response = response_of(output);
        if (!*ret_response)
            status = weir_fail(err, WEIR_UNKNOWN, "%s: its answer is no CodeGeneratorResponse", program);
    }
    close(input);
    if (output >= 0)
        close(output);
    return status;
}
