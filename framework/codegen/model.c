#include "model.h"

#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "names.h"
#include "options.h"

typedef Google__Protobuf__FileDescriptorProto FileProto;
typedef Google__Protobuf__DescriptorProto MessageProto;
typedef Google__Protobuf__FieldDescriptorProto FieldProto;
typedef Google__Protobuf__EnumDescriptorProto EnumProto;
typedef Google__Protobuf__ServiceDescriptorProto ServiceProto;
typedef Google__Protobuf__MethodDescriptorProto MethodProto;

static void *array(struct weir_arena *arena, size_t count, size_t size)
{
    return weir_arena_zalloc(arena, (count ? count : 1) * size);
}

struct place place_in(struct weir_arena *arena, struct place place, int32_t tag, int32_t index_or_option)
{
    int32_t *path = array(arena, place.size + 2, sizeof *path);
    if (place.size > 0)
        memcpy(path, place.path, place.size * sizeof *path);
    path[place.size] = tag;
    path[place.size + 1] = index_or_option;
    return (struct place){.file = place.file, .path = path, .size = place.size + 2};
}

void place_find(struct place place, int *ret_line, int *ret_column)
{
    const Google__Protobuf__SourceCodeInfo *info = place.file->proto->source_code_info;
    *ret_line = *ret_column = 0;
    if (!info)
        return;
    for (size_t size = place.size; size > 0; size--) {
        for (size_t i = 0; i < info->n_location; i++) {
            const Google__Protobuf__SourceCodeInfo__Location *location = info->location[i];
            if (location->n_path < size || location->n_span < 3 ||
                memcmp(location->path, place.path, size * sizeof *place.path) != 0)
                continue;
            *ret_line = location->span[0] + 1;
            *ret_column = location->span[1] + 1;
            return;
        }
    }
}

/* ---- What a file holds, without links ---- */

static const char *joined(struct weir_arena *arena, const char *scope, const char *name)
{
    return scope[0] == '\0' ? weir_arena_strdup(arena, name) : weir_arena_printf(arena, "%s.%s", scope, name);
}

static void count_nested(const MessageProto *proto, struct file *file)
{
    file->message_count++;
    file->enum_count += proto->n_enum_type;
    for (size_t i = 0; i < proto->n_nested_type; i++)
        count_nested(proto->nested_type[i], file);
}

static void read_enum(struct file *file, const EnumProto *proto, const char *scope, struct place place)
{
    struct weir_arena *arena = file->model->arena;
    struct enumeration *enumeration = &file->enums[file->enum_count++];
    struct enum_value *values = array(arena, proto->n_value, sizeof *values);
    for (size_t i = 0; i < proto->n_value; i++)
        values[i] = (struct enum_value){
            .name = proto->value[i]->name,
            .number = proto->value[i]->number,
            .place = place_in(arena, place, PATH_ENUM_VALUE, (int32_t)i),
        };
    const char *full_name = joined(arena, scope, proto->name);
    const char *c_name = names_in_c_package(arena, full_name, file->package, file->c_package);
    *enumeration = (struct enumeration){
        .file = file,
        .name = proto->name,
        .full_name = full_name,
        .c_lower = names_lower(arena, c_name),
        .c_type = names_type(arena, c_name),
        .values = values,
        .value_count = proto->n_value,
        .place = place,
    };
}

static bool is_packed(const struct file *file, const FieldProto *proto)
{
    if (proto->label != GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__LABEL__LABEL_REPEATED)
        return false;
    switch ((int)proto->type) {
    case WEIR_TYPE_STRING:
    case WEIR_TYPE_BYTES:
    case WEIR_TYPE_MESSAGE:
    case GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_GROUP:
        return false;
    default:
        break;
    }
    if (proto->options && proto->options->has_packed)
        return proto->options->packed;
    return file->proto3;
}

/* "customer_id" gives "customerId", as protoc does where it did not say. */
static const char *json_name_of(struct weir_arena *arena, const FieldProto *proto)
{
    if (proto->json_name)
        return proto->json_name;
    char *result = weir_arena_strdup(arena, proto->name), *to = result;
    bool capital = false;
    for (const char *from = proto->name; *from != '\0'; from++) {
        if (*from == '_') {
            capital = true;
            continue;
        }
        *to++ = (char)(capital && *from >= 'a' && *from <= 'z' ? *from - 'a' + 'A' : *from);
        capital = false;
    }
    *to = '\0';
    return result;
}

static struct field read_field(const struct file *file, const MessageProto *message, const FieldProto *proto,
                               struct place place)
{
    struct weir_arena *arena = file->model->arena;
    bool in_oneof = proto->has_oneof_index && (size_t)proto->oneof_index < message->n_oneof_decl;
    bool made = proto->has_proto3_optional && proto->proto3_optional;
    const char *type_name = proto->type_name ? proto->type_name : "";
    return (struct field){
        .name = proto->name,
        .json_name = json_name_of(arena, proto),
        .member = names_member(arena, proto->name),
        .number = proto->number,
        .type = (enum weir_field_type)proto->type,
        .type_name = type_name[0] == '.' ? type_name + 1 : type_name,
        .repeated = proto->label == GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__LABEL__LABEL_REPEATED,
        .required = proto->label == GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__LABEL__LABEL_REQUIRED,
        .proto3_optional = made,
        .packed = is_packed(file, proto),
        .sensitive = options_number((const ProtobufCMessage *)proto->options, OPTION_SENSITIVE),
        .oneof = in_oneof && !made ? proto->oneof_index : -1,
        .oneof_name = in_oneof ? message->oneof_decl[proto->oneof_index]->name : NULL,
        .place = place,
    };
}

static struct field *read_fields(const struct file *file, const MessageProto *proto, struct place place)
{
    struct weir_arena *arena = file->model->arena;
    struct field *fields = array(arena, proto->n_field, sizeof *fields);
    for (size_t i = 0; i < proto->n_field; i++)
        fields[i] =
            read_field(file, proto, proto->field[i], place_in(arena, place, PATH_MESSAGE_FIELD, (int32_t)i));
    return fields;
}

/* protoc puts the oneofs that it makes for `optional` behind the real ones. */
static size_t count_real_oneofs(const MessageProto *proto)
{
    size_t made = 0;
    for (size_t i = 0; i < proto->n_field; i++)
        made += proto->field[i]->has_proto3_optional && proto->field[i]->proto3_optional;
    return proto->n_oneof_decl - made;
}

static void read_message(struct file *file, const MessageProto *proto, const char *scope, struct place place)
{
    struct weir_arena *arena = file->model->arena;
    struct message *message = &file->messages[file->message_count++];
    const char *full_name = joined(arena, scope, proto->name);
    const char *c_name = names_in_c_package(arena, full_name, file->package, file->c_package);
    const char *c_type = names_type(arena, c_name);
    *message = (struct message){
        .file = file,
        .name = proto->name,
        .full_name = full_name,
        .c_type = c_type,
        .c_lower = names_lower(arena, c_name),
        .c_upper = names_upper(arena, c_name),
        .snake = names_snake(arena, c_type),
        .fields = read_fields(file, proto, place),
        .field_count = proto->n_field,
        .oneof_count = count_real_oneofs(proto),
        .map_entry = proto->options && proto->options->has_map_entry && proto->options->map_entry,
        .topic = options_topic(arena, (const ProtobufCMessage *)proto->options, place),
        .place = place,
    };
    for (size_t i = 0; i < proto->n_nested_type; i++)
        read_message(file, proto->nested_type[i], full_name,
                     place_in(arena, place, PATH_MESSAGE_NESTED, (int32_t)i));
    for (size_t i = 0; i < proto->n_enum_type; i++)
        read_enum(file, proto->enum_type[i], full_name,
                  place_in(arena, place, PATH_MESSAGE_ENUM, (int32_t)i));
}

static bool is_idempotent(const MethodProto *proto)
{
    const Google__Protobuf__MethodOptions *options = proto->options;
    if (options && options->has_idempotency_level &&
        options->idempotency_level !=
            GOOGLE__PROTOBUF__METHOD_OPTIONS__IDEMPOTENCY_LEVEL__IDEMPOTENCY_UNKNOWN)
        return true;
    return options_number((const ProtobufCMessage *)options, OPTION_IDEMPOTENT) != 0;
}

/* "InventoryService" gives "inventory". */
static const char *prefix_of(struct weir_arena *arena, const char *name)
{
    const char *suffix = strstr(name, "Service");
    size_t size =
        suffix && suffix[strlen("Service")] == '\0' && suffix > name ? (size_t)(suffix - name) : strlen(name);
    return names_snake(arena, weir_arena_text(arena, weir_bytes(name, size)));
}

static void read_service(struct file *file, const ServiceProto *proto, struct place place)
{
    struct weir_arena *arena = file->model->arena;
    struct service *service = &file->services[file->service_count++];
    struct method *methods = array(arena, proto->n_method, sizeof *methods);
    *service = (struct service){
        .file = file,
        .name = proto->name,
        .full_name = joined(arena, file->package, proto->name),
        .prefix = prefix_of(arena, proto->name),
        .methods = methods,
        .method_count = proto->n_method,
        .place = place,
    };
    for (size_t i = 0; i < proto->n_method; i++) {
        const MethodProto *method = proto->method[i];
        const ProtobufCMessage *options = (const ProtobufCMessage *)method->options;
        methods[i] = (struct method){
            .service = service,
            .name = method->name,
            .full_name = weir_arena_printf(arena, "%s/%s", service->full_name, method->name),
            .member = names_snake_member(arena, method->name),
            .snake = weir_arena_printf(arena, "%s_%s", service->prefix, names_snake(arena, method->name)),
            .client_streaming = method->has_client_streaming && method->client_streaming,
            .server_streaming = method->has_server_streaming && method->server_streaming,
            .idempotent = is_idempotent(method),
            .idempotency_key = (uint8_t)options_number(options, OPTION_IDEMPOTENCY_KEY),
            .consume = options_consume(arena, options),
            .place = place_in(arena, place, PATH_SERVICE_METHOD, (int32_t)i),
        };
        methods[i].http = options_http(arena, options, &methods[i].http_count);
    }
}

static void read_file(struct model *model, struct file *file, const FileProto *proto)
{
    struct weir_arena *arena = model->arena;
    const char *suffix = strrchr(proto->name, '.');
    size_t stem_size =
        suffix && strcmp(suffix, ".proto") == 0 ? (size_t)(suffix - proto->name) : strlen(proto->name);
    *file = (struct file){
        .model = model,
        .proto = proto,
        .name = proto->name,
        .stem = weir_arena_text(arena, weir_bytes(proto->name, stem_size)),
        .package = proto->package ? proto->package : "",
        .proto3 = proto->syntax && strcmp(proto->syntax, "proto3") == 0,
    };
    options_of_file(arena, (const ProtobufCMessage *)proto->options, file);

    file->enum_count = proto->n_enum_type;
    for (size_t i = 0; i < proto->n_message_type; i++)
        count_nested(proto->message_type[i], file);
    file->messages = array(arena, file->message_count, sizeof *file->messages);
    file->enums = array(arena, file->enum_count, sizeof *file->enums);
    file->services = array(arena, proto->n_service, sizeof *file->services);
    file->message_count = file->enum_count = 0;

    struct place root = {.file = file};
    for (size_t i = 0; i < proto->n_enum_type; i++)
        read_enum(file, proto->enum_type[i], file->package,
                  place_in(arena, root, PATH_FILE_ENUM, (int32_t)i));
    for (size_t i = 0; i < proto->n_message_type; i++)
        read_message(file, proto->message_type[i], file->package,
                     place_in(arena, root, PATH_FILE_MESSAGE, (int32_t)i));
    for (size_t i = 0; i < proto->n_service; i++)
        read_service(file, proto->service[i], place_in(arena, root, PATH_FILE_SERVICE, (int32_t)i));
}

/* ---- Links ---- */

static const char *link_message(struct model *model, struct message *message)
{
    for (size_t i = 0; i < message->field_count; i++) {
        struct field *field = &message->fields[i];
        if (field->type == WEIR_TYPE_MESSAGE)
            field->message = model_message(model, field->type_name);
        else if (field->type == WEIR_TYPE_ENUM)
            field->enumeration = model_enum(model, field->type_name);
        else
            continue;
        if (!field->message && !field->enumeration)
            return weir_arena_printf(model->arena, "%s, the type of %s.%s", field->type_name,
                                     message->full_name, field->name);
    }
    return NULL;
}

static const struct message *topic_message(const struct model *model, const char *topic)
{
    for (size_t i = 0; i < model->file_count; i++)
        for (size_t j = 0; j < model->files[i].message_count; j++) {
            const struct message *message = &model->files[i].messages[j];
            if (message->topic && strcmp(message->topic->name, topic) == 0)
                return message;
        }
    return NULL;
}

static const char *link_method(struct model *model, struct method *method, const MethodProto *proto)
{
    const char *input = proto->input_type, *output = proto->output_type;
    method->request = model_message(model, input[0] == '.' ? input + 1 : input);
    method->reply = model_message(model, output[0] == '.' ? output + 1 : output);
    if (method->consume)
        method->consumed = topic_message(model, method->consume);
    if (!method->request || !method->reply)
        return weir_arena_printf(model->arena, "%s, which %s uses", method->request ? output : input,
                                 method->full_name);
    return NULL;
}

static const char *link_file(struct model *model, struct file *file)
{
    const char *missing = NULL;
    for (size_t i = 0; !missing && i < file->message_count; i++)
        missing = link_message(model, &file->messages[i]);
    for (size_t i = 0; i < file->service_count; i++)
        for (size_t j = 0; !missing && j < file->services[i].method_count; j++)
            missing = link_method(model, &file->services[i].methods[j], file->proto->service[i]->method[j]);
    return missing;
}

struct model *model_new(FileProto *const *protos, size_t count, char **ret_missing)
{
    struct model *model = NEW(struct model);
    model->arena = weir_arena_new();
    model->files = array(model->arena, count, sizeof *model->files);
    model->file_count = count;
    for (size_t i = 0; i < count; i++)
        read_file(model, &model->files[i], protos[i]);
    for (size_t i = 0; i < count; i++) {
        const char *missing = link_file(model, &model->files[i]);
        if (!missing)
            continue;
        *ret_missing = memory_strdup(missing);
        model_destroy(model);
        return NULL;
    }
    return model;
}

void model_destroy(struct model *model)
{
    if (!model)
        return;
    weir_arena_destroy(model->arena);
    free(model);
}

/* ---- Looking up ---- */

const struct file *model_file(const struct model *model, const char *name)
{
    for (size_t i = 0; i < model->file_count; i++)
        if (strcmp(model->files[i].name, name) == 0)
            return &model->files[i];
    return NULL;
}

const struct message *model_message(const struct model *model, const char *full_name)
{
    for (size_t i = 0; i < model->file_count; i++)
        for (size_t j = 0; j < model->files[i].message_count; j++)
            if (strcmp(model->files[i].messages[j].full_name, full_name) == 0)
                return &model->files[i].messages[j];
    return NULL;
}

const struct enumeration *model_enum(const struct model *model, const char *full_name)
{
    for (size_t i = 0; i < model->file_count; i++)
        for (size_t j = 0; j < model->files[i].enum_count; j++)
            if (strcmp(model->files[i].enums[j].full_name, full_name) == 0)
                return &model->files[i].enums[j];
    return NULL;
}

const struct service *model_service(const struct model *model, const char *full_name)
{
    for (size_t i = 0; i < model->file_count; i++)
        for (size_t j = 0; j < model->files[i].service_count; j++)
            if (strcmp(model->files[i].services[j].full_name, full_name) == 0)
                return &model->files[i].services[j];
    return NULL;
}

const struct field *model_field(const struct message *message, const char *name)
{
    for (size_t i = 0; i < message->field_count; i++)
        if (strcmp(message->fields[i].name, name) == 0)
            return &message->fields[i];
    return NULL;
}
