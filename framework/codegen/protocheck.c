/* weir-protocheck: looks at contracts, given as serialized FileDescriptorSets with their imports.
 *
 *     weir-protocheck lint SET PREFIX      names and forms of the files whose names begin with PREFIX
 *     weir-protocheck compare OLD NEW      what NEW breaks of OLD
 *
 * Prints a line per finding. Exits with 0 when there is none, 1 when there are, 2 when it could not look. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir/error.h>

#include "findings.h"

struct set {
    Google__Protobuf__FileDescriptorSet *proto;
    struct model *model;
};

static enum weir_status read_file(const char *path, struct weir_buffer *ret_bytes, struct weir_error *err)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        return weir_fail_errno(err, WEIR_NOT_FOUND, errno, "cannot open %s", path);
    for (;;) {
        size_t got = fread(weir_buffer_reserve(ret_bytes, 65536), 1, 65536, file);
        if (got == 0)
            break;
        ret_bytes->size += got;
    }
    bool failed = ferror(file) != 0;
    int errnum = errno;
    fclose(file);
    return failed ? weir_fail_errno(err, WEIR_UNKNOWN, errnum, "cannot read %s", path) : WEIR_OK;
}

static void close_set(struct set *set)
{
    model_destroy(set->model);
    if (set->proto)
        google__protobuf__file_descriptor_set__free_unpacked(set->proto, NULL);
}

static enum weir_status open_set(const char *path, struct set *ret_set, struct weir_error *err)
{
    struct weir_buffer bytes = {0};
    enum weir_status status = read_file(path, &bytes, err);
    if (status == WEIR_OK)
        ret_set->proto = google__protobuf__file_descriptor_set__unpack(NULL, bytes.size, bytes.data);
    weir_buffer_free(&bytes);
    if (status != WEIR_OK)
        return status;
    if (!ret_set->proto)
        return weir_fail(err, WEIR_INVALID_ARGUMENT,
                         "%s is no FileDescriptorSet: make one with protoc --descriptor_set_out", path);
    char *missing = NULL;
    ret_set->model = model_new(ret_set->proto->file, ret_set->proto->n_file, &missing);
    if (!ret_set->model) {
        weir_fail(err, WEIR_INVALID_ARGUMENT, "%s lacks %s: make it with protoc --include_imports", path,
                  missing);
        free(missing);
        return WEIR_INVALID_ARGUMENT;
    }
    return WEIR_OK;
}

static int tell(struct findings *findings)
{
    fputs(weir_buffer_text(&findings->text), stdout);
    weir_buffer_free(&findings->text);
    return findings->count > 0 ? 1 : 0;
}

static int fail(const struct weir_error *err)
{
    fprintf(stderr, "weir-protocheck: %s\n", err->text);
    return 2;
}

static int lint(const char *path, const char *prefix)
{
    struct weir_error err = {0};
    struct set set = {0};
    struct findings findings = {0};
    int result;
    if (open_set(path, &set, &err) != WEIR_OK) {
        result = fail(&err);
    } else {
        lint_files(set.model, prefix, &findings);
        result = tell(&findings);
    }
    close_set(&set);
    return result;
}

static int compare(const char *old_path, const char *new_path)
{
    struct weir_error err = {0};
    struct set old = {0}, new = {0};
    struct findings findings = {0};
    int result;
    if (open_set(old_path, &old, &err) != WEIR_OK || open_set(new_path, &new, &err) != WEIR_OK) {
        result = fail(&err);
    } else {
        compare_models(old.model, new.model, &findings);
        result = tell(&findings);
    }
    close_set(&old);
    close_set(&new);
    return result;
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "lint") == 0)
        return lint(argv[2], argv[3]);
    if (argc == 4 && strcmp(argv[1], "compare") == 0)
        return compare(argv[2], argv[3]);
    fputs("usage: weir-protocheck lint SET PREFIX\n       weir-protocheck compare OLD NEW\n", stderr);
    return 2;
}
