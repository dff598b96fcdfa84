#include "call.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include <weir/clock.h>

#include "tool.h"

#define TIMEOUT_MS 10000 /* of a unary call */

static bool sends_many(const struct call *call)
{
    return call->method->kind == WEIR_CLIENT_STREAM || call->method->kind == WEIR_BIDI_STREAM;
}

static bool is_blank(struct weir_bytes text)
{
    for (size_t i = 0; i < text.size; i++) {
        if (!strchr(" \t\r\n", text.data[i]))
            return false;
    }
    return true;
}

/* A line of stdin for streams, else all of it. */
static bool read_stdin(struct call *call, struct weir_buffer *json)
{
    char *line = NULL;
    size_t room = 0;
    ssize_t size;
    while ((size = getline(&line, &room, stdin)) > 0) {
        weir_buffer_append(json, line, (size_t)size);
        if (sends_many(call) && !is_blank(weir_buffer_bytes(json)))
            break;
    }
    free(line);
    return !is_blank(weir_buffer_bytes(json));
}

static bool next_request(struct call *call)
{
    struct weir_buffer json = {0};
    weir_buffer_clear(&call->request);
    bool found = call->from_stdin ? read_stdin(call, &json) : call->text_count > 0;
    if (found && !call->from_stdin) {
        weir_buffer_append_text(&json, *call->texts++);
        call->text_count--;
    }
    if (found) {
        struct weir_error err = {0};
        struct weir_json_options options = tool_json(call->schema);
        enum weir_status status = weir_json_to_wire(call->method->request, weir_buffer_bytes(&json), &options,
                                                    &call->request, &err);
        if (status != WEIR_OK) {
            call->exit_status = tool_fail_json(weir_buffer_bytes(&json), &err);
            found = false;
        }
    }
    weir_buffer_free(&json);
    return found;
}

void call_print(struct call *call, struct weir_bytes wire)
{
    struct weir_buffer json = {0};
    struct weir_error err = {0};
    struct weir_json_options options = tool_json(call->schema);
    options.indent = !call->compact;
    if (weir_wire_to_json(call->method->reply, wire, &options, &json, &err) == WEIR_OK) {
        puts(weir_buffer_text(&json));
        fflush(stdout);
    } else {
        call->exit_status = tool_fail(EX_DATAERR, "the reply is no %s as these contracts have it: %s",
                                      call->method->reply->full_name, err.text);
    }
    weir_buffer_free(&json);
}

int call_failed(enum weir_status status, const char *text)
{
    return tool_fail(1, "%s: %s", weir_status_name(status),
                     text[0] ? text : "(the server said nothing more)");
}

struct arguments {
    const char *descriptors;
    bool rest, compact;
    double timeout_s; /* 0: not given */
};

static int parse(int argc, char **argv, struct arguments *arguments)
{
    static const struct option options[] = {
        {"rest", no_argument, NULL, 'r'},
        {"compact", no_argument, NULL, 'c'},
        {"timeout", required_argument, NULL, 't'},
        {"descriptors", required_argument, NULL, 'd'},
        {0},
    };
    char *end;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (option) {
        case 'r':
            arguments->rest = true;
            break;
        case 'c':
            arguments->compact = true;
            break;
        case 't':
            arguments->timeout_s = strtod(optarg, &end);
            if (*end || !(arguments->timeout_s > 0 && arguments->timeout_s < 1e6))
                return tool_fail(EX_USAGE, "--timeout %s is no number of seconds", optarg);
            break;
        case 'd':
            arguments->descriptors = optarg;
            break;
        default:
            return EX_USAGE; /* getopt has said why */
        }
    }
    if (argc - optind < 2)
        return tool_fail(EX_USAGE, "usage: weir call [--rest] [--timeout SECONDS] TARGET METHOD [JSON...]");
    return 0;
}

static int run(struct call *call, const struct arguments *arguments, int argc, char **argv)
{
    static char empty_object[] = "{}";
    static char *empty[] = {empty_object};
    bool unary = call->method->kind == WEIR_UNARY;
    call->texts = argv;
    call->text_count = argc;
    call->from_stdin = argc == 1 && strcmp(argv[0], "-") == 0;
    if (argc == 0 && !sends_many(call)) {
        call->texts = empty;
        call->text_count = 1;
    }
    if (!sends_many(call) && argc > 1)
        return tool_fail(EX_USAGE, "%s takes one request", call->method->full_name);
    call->compact = arguments->compact || !unary;
    if (arguments->timeout_s > 0)
        call->deadline_ns = weir_deadline_in_ms((int64_t)(arguments->timeout_s * 1000));
    else
        call->deadline_ns = unary ? weir_deadline_in_ms(TIMEOUT_MS) : WEIR_NEVER;
    if (!sends_many(call) && !next_request(call))
        return call->exit_status ? call->exit_status : tool_fail(EX_DATAERR, "no request on stdin");
    int unreachable = tool_reach(call->target);
    if (unreachable != 0)
        return unreachable;
    return arguments->rest ? call_rest(call) : call_grpc(call);
}

int call_command(int argc, char **argv)
{
    struct arguments arguments = {0};
    int status = parse(argc, argv, &arguments);
    if (status != 0)
        return status;
    struct weir_schema *schema = tool_load(arguments.descriptors);
    if (!schema)
        return EX_NOINPUT;

    const char *target = argv[optind];
    if (strncmp(target, "http://", 7) == 0) {
        arguments.rest = true;
        target += 7;
    }
    char address[300];
    snprintf(address, sizeof address, "%.*s%s", (int)strcspn(target, "/"), target,
             strncmp(target, "unix:", 5) == 0 ? strchr(target, '/') ? strchr(target, '/') : "" : "");
    struct call call = {
        .schema = schema,
        .method = tool_find_method(schema, argv[optind + 1], false),
        .target = address,
        .next = next_request,
    };
    status = call.method ? run(&call, &arguments, argc - optind - 2, argv + optind + 2) : EX_USAGE;
    weir_buffer_free(&call.request);
    weir_schema_destroy(schema);
    return status;
}
