#include "transports/kafka/record.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include <weir/clock.h>

static void add(rd_kafka_headers_t *headers, const char *name, const char *value)
{
    if (value && *value)
        rd_kafka_header_add(headers, name, -1, value, -1);
}

/* RFC 3339, in UTC: "2026-01-31T12:00:00.123Z" */
static void print_time(int64_t unix_ns, char *ret_text, size_t size)
{
    time_t seconds = (time_t)(unix_ns / WEIR_NS_PER_S);
    struct tm utc;
    char day[32];
    gmtime_r(&seconds, &utc);
    strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(ret_text, size, "%s.%03dZ", day, (int)(unix_ns % WEIR_NS_PER_S / WEIR_NS_PER_MS));
}

rd_kafka_headers_t *record_headers(const struct weir_record *record, const struct weir_app *source)
{
    rd_kafka_headers_t *headers = rd_kafka_headers_new(12);
    char text[64];
    add(headers, "ce_specversion", "1.0");
    add(headers, "ce_id", record->message_id);
    add(headers, "ce_type", record->type);
    add(headers, "ce_source", source ? weir_app_name(source) : "weir");
    print_time(weir_unix_ns(), text, sizeof text);
    add(headers, "ce_time", text);
    add(headers, "content-type", "application/protobuf");
    add(headers, "traceparent", record->traceparent);
    add(headers, HEADER_PRINCIPAL, record->principal);
    if (record->deadline_unix_ms > 0) {
        snprintf(text, sizeof text, "%" PRId64, record->deadline_unix_ms);
        add(headers, HEADER_DEADLINE, text);
    }
    return headers;
}
