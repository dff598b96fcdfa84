#include <string.h>

#include <weir/status.h>

/* gRPC's names and google.rpc.Code's HTTP mapping, but for FAILED_PRECONDITION: a refusal that lies in the
 * state of a resource ("declined", "sold out") is a 409 to HTTP clients; the mapping's 400 would blame the
 * request. */
static const struct {
    const char *name;
    int http;
} table[] = {
    [WEIR_OK] = {"OK", 200},
    [WEIR_CANCELLED] = {"CANCELLED", 499},
    [WEIR_UNKNOWN] = {"UNKNOWN", 500},
    [WEIR_INVALID_ARGUMENT] = {"INVALID_ARGUMENT", 400},
    [WEIR_DEADLINE_EXCEEDED] = {"DEADLINE_EXCEEDED", 504},
    [WEIR_NOT_FOUND] = {"NOT_FOUND", 404},
    [WEIR_ALREADY_EXISTS] = {"ALREADY_EXISTS", 409},
    [WEIR_PERMISSION_DENIED] = {"PERMISSION_DENIED", 403},
    [WEIR_RESOURCE_EXHAUSTED] = {"RESOURCE_EXHAUSTED", 429},
    [WEIR_FAILED_PRECONDITION] = {"FAILED_PRECONDITION", 409},
    [WEIR_ABORTED] = {"ABORTED", 409},
    [WEIR_OUT_OF_RANGE] = {"OUT_OF_RANGE", 400},
    [WEIR_UNIMPLEMENTED] = {"UNIMPLEMENTED", 501},
    [WEIR_INTERNAL] = {"INTERNAL", 500},
    [WEIR_UNAVAILABLE] = {"UNAVAILABLE", 503},
    [WEIR_DATA_LOSS] = {"DATA_LOSS", 500},
    [WEIR_UNAUTHENTICATED] = {"UNAUTHENTICATED", 401},
};

#define COUNT ((int)(sizeof table / sizeof table[0]))

static int index_of(enum weir_status status)
{
    int index = (int)status;
    return index >= 0 && index < COUNT ? index : WEIR_UNKNOWN;
}

const char *weir_status_name(enum weir_status status)
{
    return table[index_of(status)].name;
}

bool weir_status_parse(const char *name, enum weir_status *ret_status)
{
    for (int i = 0; i < COUNT; i++)
        if (strcmp(table[i].name, name) == 0) {
            *ret_status = (enum weir_status)i;
            return true;
        }
    return false;
}

int weir_status_to_http(enum weir_status status)
{
    return table[index_of(status)].http;
}

enum weir_status weir_status_from_http(int http_status)
{
    switch (http_status) {
    case 400:
    case 422:
        return WEIR_INVALID_ARGUMENT;
    case 401:
        return WEIR_UNAUTHENTICATED;
    case 403:
        return WEIR_PERMISSION_DENIED;
    case 404:
        return WEIR_NOT_FOUND;
    case 405:
    case 501:
        return WEIR_UNIMPLEMENTED;
    case 408:
    case 504:
        return WEIR_DEADLINE_EXCEEDED;
    case 409:
    case 412:
        return WEIR_FAILED_PRECONDITION;
    case 413:
        return WEIR_RESOURCE_EXHAUSTED;
    case 416:
        return WEIR_OUT_OF_RANGE;
    case 429:
        return WEIR_RESOURCE_EXHAUSTED;
    case 499:
        return WEIR_CANCELLED;
    case 502:
    case 503:
        return WEIR_UNAVAILABLE;
    default:
        return http_status >= 200 && http_status < 300 ? WEIR_OK : WEIR_UNKNOWN;
    }
}

bool weir_status_is_transient(enum weir_status status)
{
    return status == WEIR_UNAVAILABLE || status == WEIR_ABORTED || status == WEIR_RESOURCE_EXHAUSTED ||
           status == WEIR_DEADLINE_EXCEEDED || status == WEIR_CANCELLED || status == WEIR_UNKNOWN;
}
