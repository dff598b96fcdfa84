/* protoc-gen-weir: a plugin of protoc that writes protobuf-c's files and, beside them, <file>.weir.h and
 * <file>.weir.c: tables, handlers, clients, topics.
 *
 *     protoc --plugin=protoc-gen-weir --weir_out=DIR --weir_opt=PARAMETER FILE.proto...
 *
 * Parameters, joined by commas:
 *     protoc_gen_c=PATH   protobuf-c's plugin; else it is looked up in PATH
 *     check               checks, but writes nothing */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "core/memory.h"
#include "emit.h"
#include "protobuf_c.h"

struct parameters {
    char *protoc_gen_c;
    bool check;
};

static struct weir_buffer read_all(int file)
{
    struct weir_buffer buffer = {0};
    for (;;) {
        uint8_t *room = weir_buffer_reserve(&buffer, 65536);
        ssize_t got = read(file, room, 65536);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return buffer;
        buffer.size += (size_t)got;
    }
}

static int write_response(const Plugin__CodeGeneratorResponse *response)
{
    size_t size = plugin__code_generator_response__get_packed_size(response);
    uint8_t *bytes = memory_alloc(size + 1);
    plugin__code_generator_response__pack(response, bytes);
    size_t written = fwrite(bytes, 1, size, stdout);
    free(bytes);
    return written == size && fflush(stdout) == 0 ? 0 : 1;
}

static int write_error(const char *text)
{
    Plugin__CodeGeneratorResponse response = PLUGIN__CODE_GENERATOR_RESPONSE__INIT;
    char *error = memory_strdup(text);
    response.error = error;
    response.has_supported_features = 1;
    response.supported_features = 1;
    int result = write_response(&response);
    free(error);
    return result;
}

/* protoc puts "--weir_out: " before the first line and a line's end behind the last. */
static int write_errors(struct weir_buffer *errors)
{
    struct weir_buffer text = {0};
    weir_buffer_append_text(&text, "these contracts cannot be served:\n");
    weir_buffer_append(&text, errors->data, errors->size - 1);
    int result = write_error(weir_buffer_text(&text));
    weir_buffer_free(&text);
    return result;
}

static enum weir_status read_parameters(char *text, struct parameters *ret_parameters, struct weir_error *err)
{
    *ret_parameters = (struct parameters){0};
    char *rest = NULL;
    for (char *part = text ? strtok_r(text, ",", &rest) : NULL; part; part = strtok_r(NULL, ",", &rest)) {
        if (strncmp(part, "protoc_gen_c=", strlen("protoc_gen_c=")) == 0)
            ret_parameters->protoc_gen_c = part + strlen("protoc_gen_c=");
        else if (strcmp(part, "check") == 0)
            ret_parameters->check = true;
        else
            return weir_fail(err, WEIR_INVALID_ARGUMENT, "unknown parameter \"%s\": protoc_gen_c=PATH, check",
                             part);
    }
    return WEIR_OK;
}

static Plugin__CodeGeneratorResponse__File *new_file(const char *stem, const char *suffix,
                                                     struct weir_buffer *content)
{
    Plugin__CodeGeneratorResponse__File *file = NEW(Plugin__CodeGeneratorResponse__File);
    plugin__code_generator_response__file__init(file);
    file->name = memory_printf("%s%s", stem, suffix);
    file->content = memory_strdup(weir_buffer_text(content));
    weir_buffer_free(content);
    return file;
}

static void add_ours(Plugin__CodeGeneratorResponse *response, const struct model *model,
                     const Plugin__CodeGeneratorRequest *request)
{
    size_t most = response->n_file + 2 * request->n_file_to_generate;
    response->file = memory_realloc(response->file, (most + 1) * sizeof(void *));
    for (size_t i = 0; i < request->n_file_to_generate; i++) {
        const struct file *file = model_file(model, request->file_to_generate[i]);
        if (!file || file->no_generate)
            continue;
        struct output out = {0};
        emit_file(&out, file);
        response->file[response->n_file++] = new_file(file->stem, ".weir.h", &out.header);
        response->file[response->n_file++] = new_file(file->stem, ".weir.c", &out.source);
    }
}

static int generate(const struct parameters *parameters, const struct model *model,
                    Plugin__CodeGeneratorRequest *request)
{
    if (parameters->check) {
        Plugin__CodeGeneratorResponse nothing = PLUGIN__CODE_GENERATOR_RESPONSE__INIT;
        nothing.has_supported_features = 1;
        nothing.supported_features = 1;
        return write_response(&nothing);
    }
    struct weir_error err = {0};
    Plugin__CodeGeneratorResponse *response = NULL;
    const char *program = parameters->protoc_gen_c ? parameters->protoc_gen_c : "protoc-gen-c";
    if (protobuf_c_generate(program, request, &response, &err) != WEIR_OK)
        return write_error(err.text);
    if (!response->error)
        add_ours(response, model, request);
    response->has_supported_features = 1;
    response->supported_features = 1;
    int result = write_response(response);
    plugin__code_generator_response__free_unpacked(response, NULL);
    return result;
}

static int answer(Plugin__CodeGeneratorRequest *request)
{
    struct weir_error err = {0};
    struct parameters parameters;
    if (read_parameters(request->parameter, &parameters, &err) != WEIR_OK)
        return write_error(err.text);
    char *missing = NULL;
    struct model *model = model_new(request->proto_file, request->n_proto_file, &missing);
    if (!model) {
        weir_fail(&err, WEIR_INTERNAL, "protoc sent no %s", missing);
        free(missing);
        return write_error(err.text);
    }
    struct weir_buffer errors = {0};
    check_files(model, request->file_to_generate, request->n_file_to_generate, &errors);
    int result = errors.size > 0 ? write_errors(&errors) : generate(&parameters, model, request);
    weir_buffer_free(&errors);
    model_destroy(model);
    return result;
}

int main(void)
{
    struct weir_buffer input = read_all(STDIN_FILENO);
    Plugin__CodeGeneratorRequest *request = plugin__code_generator_request__unpack(
        NULL, input.size, input.data ? input.data : (const uint8_t *)"");
    weir_buffer_free(&input);
    if (!request) {
        fputs("protoc-gen-weir: standard input holds no CodeGeneratorRequest; protoc starts this program\n",
              stderr);
        return 1;
    }
    int result = answer(request);
    plugin__code_generator_request__free_unpacked(request, NULL);
    return result;
}
