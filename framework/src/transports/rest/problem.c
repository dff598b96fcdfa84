#include "transports/rest/problem.h"

#include <stdio.h>
#include <string.h>

/* The trace id in "00-<32 digits>-...". */
#define TRACE_AT 3
#define TRACE_SIZE 32

const char *problem_title(int http_status)
{
    switch (http_status) {
    case 400:
        return "Bad Request";
    case 401:
        return "Unauthorized";
    case 403:
        return "Forbidden";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 406:
        return "Not Acceptable";
    case 408:
        return "Request Timeout";
    case 409:
        return "Conflict";
    case 412:
        return "Precondition Failed";
    case 413:
        return "Content Too Large";
    case 414:
        return "URI Too Long";
    case 415:
        return "Unsupported Media Type";
    case 417:
        return "Expectation Failed";
    case 422:
        return "Unprocessable Content";
    case 429:
        return "Too Many Requests";
    case 431:
        return "Request Header Fields Too Large";
    case 499:
        return "Client Closed Request";
    case 500:
        return "Internal Server Error";
    case 501:
        return "Not Implemented";
    case 503:
        return "Service Unavailable";
    case 504:
        return "Gateway Timeout";
    case 505:
        return "HTTP Version Not Supported";
    default:
        return "Error";
    }
}

static void write_text(const char *text, struct weir_buffer *json)
{
    weir_buffer_append_byte(json, '"');
    for (const unsigned char *at = (const unsigned char *)text; *at; at++) {
        if (*at == '"' || *at == '\\') {
            weir_buffer_append_byte(json, '\\');
            weir_buffer_append_byte(json, *at);
        } else if (*at < 0x20) {
            weir_buffer_printf(json, "\\u%04x", *at);
        } else {
            weir_buffer_append_byte(json, *at);
        }
    }
    weir_buffer_append_byte(json, '"');
}

void problem_write(int http_status, enum weir_status status, const char *detail, const char *traceparent,
                   struct weir_buffer *ret_json)
{
    weir_buffer_printf(ret_json, "{\"type\":\"about:blank\",\"title\":\"%s\",\"status\":%d,\"detail\":",
                       problem_title(http_status), http_status);
    write_text(detail, ret_json);
    weir_buffer_printf(ret_json, ",\"code\":\"%s\"", weir_status_name(status));
    if (traceparent && strlen(traceparent) > TRACE_AT + TRACE_SIZE)
        weir_buffer_printf(ret_json, ",\"trace\":\"%.*s\"", TRACE_SIZE, traceparent + TRACE_AT);
    weir_buffer_append_byte(ret_json, '}');
}

/* A refusal of ours that gRPC has no code for is the client's mistake. */
enum weir_status problem_status(int http_status)
{
    enum weir_status status = weir_status_from_http(http_status);
    return status == WEIR_UNKNOWN && http_status / 100 == 4 ? WEIR_INVALID_ARGUMENT : status;
}

void problem_of_engine(int http_status, const char *detail, struct weir_buffer *ret_json)
{
    problem_write(http_status, problem_status(http_status), detail, NULL, ret_json);
}

/* ---- Reading one ---- */

/* A JSON text, read loosely: what is not understood ends the reading. */
struct reader {
    const char *at, *end;
};

static void skip_space(struct reader *reader)
{
    while (reader->at < reader->end && strchr(" \t\r\n", *reader->at))
        reader->at++;
}

static bool take(struct reader *reader, char c)
{
    skip_space(reader);
    if (reader->at == reader->end || *reader->at != c)
        return false;
    reader->at++;
    return true;
}

static void put(char *text, size_t size, size_t *length, char c)
{
    if (*length + 1 < size)
        text[(*length)++] = c;
}

/* "\u00e9" and the like become "?": these texts are for people, and ours have none. */
static bool read_text(struct reader *reader, char *ret_text, size_t size)
{
    size_t length = 0;
    if (!take(reader, '"'))
        return false;
    while (reader->at < reader->end && *reader->at != '"') {
        char c = *reader->at++;
        if (c == '\\' && reader->at < reader->end) {
            c = *reader->at++;
            if (c == 'u') {
                c = '?';
                reader->at += reader->end - reader->at < 4 ? reader->end - reader->at : 4;
            } else if (strchr("bfnrt", c)) {
                c = ' ';
            }
        }
        if ((unsigned char)c < 0x20)
            c = ' ';
        put(ret_text, size, &length, c);
    }
    ret_text[length] = 0;
    return take(reader, '"');
}

/* A value of any kind, without its content. */
static bool skip_value(struct reader *reader)
{
    char scratch[2];
    int depth = 0;
    do {
        skip_space(reader);
        if (reader->at == reader->end)
            return false;
        char c = *reader->at;
        if (c == '"') {
            if (!read_text(reader, scratch, sizeof scratch))
                return false;
            continue;
        }
        if (depth == 0 && strchr(",}]", c))
            return true;
        depth += c == '{' || c == '[';
        depth -= c == '}' || c == ']';
        reader->at++;
    } while (depth > 0 || (reader->at < reader->end && !strchr(",}] \t\r\n", *reader->at)));
    return true;
}

enum weir_status problem_read(int http_status, struct weir_bytes json, char *ret_detail, size_t size)
{
    struct reader reader = {(const char *)json.data, (const char *)json.data + json.size};
    enum weir_status status = weir_status_from_http(http_status);
    char name[32], code[32];
    ret_detail[0] = 0;
    if (json.size == 0 || !take(&reader, '{'))
        return status;
    while (read_text(&reader, name, sizeof name) && take(&reader, ':')) {
        bool read;
        if (strcmp(name, "detail") == 0)
            read = read_text(&reader, ret_detail, size);
        else if (strcmp(name, "code") == 0 && (read = read_text(&reader, code, sizeof code)))
            weir_status_parse(code, &status);
        else
            read = skip_value(&reader);
        if (!read || !take(&reader, ','))
            break;
    }
    return status;
}
