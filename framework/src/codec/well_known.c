#include "codec/well_known.h"

#include <inttypes.h>

#include "codec/scalar.h"
#include "codec/utf8.h"
#include "codec/wire.h"

#define TIME_FIRST INT64_C(-62135596800) /* 0001-01-01T00:00:00Z */
#define TIME_LAST INT64_C(253402300799)  /* 9999-12-31T23:59:59Z */
#define DURATION_MOST INT64_C(315576000000)
#define NANOS_PER_S 1000000000

/* google.protobuf.Timestamp and Duration have the same fields. */
struct instant {
    int64_t seconds;
    int32_t nanos;
};

static void write_instant(struct instant instant, struct weir_buffer *out)
{
    if (instant.seconds != 0) {
        wire_write_tag(out, 1, WIRE_VARINT);
        wire_write_varint(out, (uint64_t)instant.seconds);
    }
    if (instant.nanos != 0) {
        wire_write_tag(out, 2, WIRE_VARINT);
        wire_write_varint(out, (uint64_t)(int64_t)instant.nanos);
    }
}

/* ---- Reading text ---- */

struct cursor {
    const uint8_t *at, *end;
};

static bool take(struct cursor *cursor, char byte)
{
    if (cursor->at == cursor->end || *cursor->at != (uint8_t)byte)
        return false;
    cursor->at++;
    return true;
}

static bool take_digits(struct cursor *cursor, int count, int *ret_value)
{
    int value = 0;
    for (; count > 0; count--, cursor->at++) {
        if (cursor->at == cursor->end || *cursor->at < '0' || *cursor->at > '9')
            return false;
        value = value * 10 + (*cursor->at - '0');
    }
    *ret_value = value;
    return true;
}

/* Nothing, or a point and 1 to 9 digits. */
static bool take_fraction(struct cursor *cursor, int32_t *ret_nanos)
{
    *ret_nanos = 0;
    if (!take(cursor, '.'))
        return true;
    int32_t scale = NANOS_PER_S / 10;
    const uint8_t *digits = cursor->at;
    for (; cursor->at < cursor->end && *cursor->at >= '0' && *cursor->at <= '9'; cursor->at++, scale /= 10) {
        if (scale == 0)
            return false;
        *ret_nanos += (*cursor->at - '0') * scale;
    }
    return cursor->at > digits;
}

/* Days since 1970-01-01 in the proleptic Gregorian calendar (Howard Hinnant, "chrono-compatible low-level
 * date algorithms"), for years from 0. */
static int64_t days_from_date(int year, int month, int day)
{
    year -= month <= 2;
    int era = (year >= 0 ? year : year - 399) / 400;
    int year_of_era = year - era * 400;
    int day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return (int64_t)era * 146097 + day_of_era - 719468;
}

static void date_from_days(int64_t days, int *ret_year, int *ret_month, int *ret_day)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t day_of_era = days - era * 146097;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t shifted = (5 * day_of_year + 2) / 153;
    *ret_day = (int)(day_of_year - (153 * shifted + 2) / 5 + 1);
    *ret_month = (int)(shifted < 10 ? shifted + 3 : shifted - 9);
    *ret_year = (int)(year_of_era + era * 400 + (*ret_month <= 2));
}

static int days_in_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap);
}

/* "Z", "+01:00", "-08:30": seconds to take away. */
static bool take_offset(struct cursor *cursor, int64_t *ret_offset)
{
    *ret_offset = 0;
    if (take(cursor, 'Z'))
        return true;
    bool negative = take(cursor, '-');
    int hours, minutes;
    if ((!negative && !take(cursor, '+')) || !take_digits(cursor, 2, &hours) || !take(cursor, ':') ||
        !take_digits(cursor, 2, &minutes) || hours > 23 || minutes > 59)
        return false;
    *ret_offset = (int64_t)(hours * 60 + minutes) * (negative ? -60 : 60);
    return true;
}

static const char *parse_timestamp(struct weir_bytes text, struct weir_buffer *out)
{
    struct cursor cursor = {text.data, text.data + text.size};
    int year, month, day, hour, minute, second;
    int64_t offset;
    struct instant instant;
    if (!take_digits(&cursor, 4, &year) || !take(&cursor, '-') || !take_digits(&cursor, 2, &month) ||
        !take(&cursor, '-') || !take_digits(&cursor, 2, &day) || !take(&cursor, 'T') ||
        !take_digits(&cursor, 2, &hour) || !take(&cursor, ':') || !take_digits(&cursor, 2, &minute) ||
        !take(&cursor, ':') || !take_digits(&cursor, 2, &second) || !take_fraction(&cursor, &instant.nanos) ||
        !take_offset(&cursor, &offset) || cursor.at != cursor.end)
        return "is not a time as in RFC 3339 (2006-01-02T15:04:05Z)";
    if (month < 1 || month > 12 || day < 1 || day > days_in_month(year, month) || hour > 23 || minute > 59 ||
        second > 59)
        return "is not a time that exists";
    instant.seconds = days_from_date(year, month, day) * 86400 + INT64_C(3600) * hour + INT64_C(60) * minute +
                      second - offset;
    if (instant.seconds < TIME_FIRST || instant.seconds > TIME_LAST)
        return "is not within the years 1 to 9999";
    write_instant(instant, out);
    return NULL;
}

static const char *parse_duration(struct weir_bytes text, struct weir_buffer *out)
{
    static const char *const no_duration = "is not a duration in seconds (1.5s)";
    static const char *const too_long = "is not within 315576000000 seconds";
    struct cursor cursor = {text.data, text.data + text.size};
    bool negative = take(&cursor, '-');
    struct instant instant = {0};
    const uint8_t *digits = cursor.at;
    bool overflow = false;
    for (; cursor.at < cursor.end && *cursor.at >= '0' && *cursor.at <= '9'; cursor.at++) {
        instant.seconds = instant.seconds * 10 + (*cursor.at - '0');
        if (instant.seconds > DURATION_MOST) {
            overflow = true;
            instant.seconds = DURATION_MOST;
        }
    }
    if (cursor.at == digits || !take_fraction(&cursor, &instant.nanos) || !take(&cursor, 's') ||
        cursor.at != cursor.end)
        return no_duration;
    if (overflow || (instant.seconds == DURATION_MOST && instant.nanos > 0))
        return too_long;
    if (negative) {
        instant.seconds = -instant.seconds;
        instant.nanos = -instant.nanos;
    }
    write_instant(instant, out);
    return NULL;
}

/* "fooBar.baz" is the path foo_bar.baz. */
static const char *parse_path(struct weir_bytes text, struct weir_buffer *out)
{
    if (text.size == 0)
        return "has an empty path";
    wire_write_tag(out, 1, WIRE_BYTES);
    size_t begin = wire_open_length(out);
    for (size_t i = 0; i < text.size; i++) {
        uint8_t byte = text.data[i];
        if (byte == '_' || byte == 0)
            return "is not a list of paths in lowerCamelCase";
        if (byte >= 'A' && byte <= 'Z') {
            buffer_byte(out, '_');
            byte |= 0x20;
        }
        buffer_byte(out, byte);
    }
    wire_close_length(out, begin);
    return NULL;
}

static const char *parse_field_mask(struct weir_bytes text, struct weir_buffer *out)
{
    const char *fault = NULL;
    while (text.size > 0 && !fault) {
        const uint8_t *comma = memchr(text.data, ',', text.size);
        size_t size = comma ? (size_t)(comma - text.data) : text.size;
        fault = parse_path(weir_bytes(text.data, size), out);
        size_t used = size + (comma != NULL);
        text = weir_bytes(text.data + used, text.size - used);
        if (comma && text.size == 0)
            return "has an empty path";
    }
    return fault;
}

const char *well_known_parse(enum weir_well_known kind, struct weir_bytes text, struct weir_buffer *out)
{
    if (text.size == 0)
        text.data = (const uint8_t *)"";
    if (kind == WEIR_WELL_KNOWN_TIMESTAMP)
        return parse_timestamp(text, out);
    if (kind == WEIR_WELL_KNOWN_DURATION)
        return parse_duration(text, out);
    return parse_field_mask(text, out);
}

/* ---- Printing ---- */

static const char *read_instant(struct weir_bytes wire, struct instant *ret_instant)
{
    *ret_instant = (struct instant){0};
    struct wire_member member;
    const char *fault;
    const uint8_t *end = wire.data + wire.size;
    for (const uint8_t *at = wire.data; at < end;) {
        fault = "a bad tag";
        at = wire_read_tag(at, end, &member);
        at = at ? wire_read_value(at, end, &member, &fault) : NULL;
        if (!at)
            return fault;
        if (member.number > 2)
            continue;
        if (member.wire_type != WIRE_VARINT)
            return "seconds or nanos of a wrong wire type";
        if (member.number == 1)
            ret_instant->seconds = (int64_t)member.raw;
        else
            ret_instant->nanos = (int32_t)member.raw;
    }
    return NULL;
}

/* printf would be half of what an order's JSON costs. */
static void print_digits(struct weir_buffer *out, int value, int count)
{
    uint8_t *to = buffer_room(out, (size_t)count);
    for (int i = count; i-- > 0; value /= 10)
        to[i] = (uint8_t)('0' + value % 10);
    out->size += (size_t)count;
}

/* No digits, 3, 6 or 9 of them. */
static void print_fraction(int32_t nanos, struct weir_buffer *out)
{
    if (nanos == 0)
        return;
    buffer_byte(out, '.');
    if (nanos % 1000000 == 0)
        print_digits(out, nanos / 1000000, 3);
    else if (nanos % 1000 == 0)
        print_digits(out, nanos / 1000, 6);
    else
        print_digits(out, nanos, 9);
}

static const char *print_timestamp(struct instant instant, struct weir_buffer *out)
{
    if (instant.seconds < TIME_FIRST || instant.seconds > TIME_LAST)
        return "a time that is not within the years 1 to 9999";
    if (instant.nanos < 0 || instant.nanos >= NANOS_PER_S)
        return "a time with nanos that are not within a second";
    int64_t days = instant.seconds / 86400 - (instant.seconds % 86400 < 0);
    int second = (int)(instant.seconds - days * 86400);
    int year, month, day;
    date_from_days(days, &year, &month, &day);
    const struct {
        char before;
        int value, digits;
    } parts[] = {{'"', year, 4},
                 {'-', month, 2},
                 {'-', day, 2},
                 {'T', second / 3600, 2},
                 {':', second / 60 % 60, 2},
                 {':', second % 60, 2}};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        buffer_byte(out, (uint8_t)parts[i].before);
        print_digits(out, parts[i].value, parts[i].digits);
    }
    print_fraction(instant.nanos, out);
    weir_buffer_append_text(out, "Z\"");
    return NULL;
}

static const char *print_duration(struct instant instant, struct weir_buffer *out)
{
    if (instant.seconds < -DURATION_MOST || instant.seconds > DURATION_MOST)
        return "a duration that is not within 315576000000 seconds";
    if (instant.nanos <= -NANOS_PER_S || instant.nanos >= NANOS_PER_S)
        return "a duration with nanos that are not within a second";
    bool negative = instant.seconds < 0 || instant.nanos < 0;
    if (negative && (instant.seconds > 0 || instant.nanos > 0))
        return "a duration whose seconds and nanos have different signs";
    if ((instant.seconds == DURATION_MOST || instant.seconds == -DURATION_MOST) && instant.nanos != 0)
        return "a duration that is not within 315576000000 seconds";
    weir_buffer_printf(out, "\"%s%" PRId64, negative ? "-" : "",
                       negative ? -instant.seconds : instant.seconds);
    print_fraction(negative ? -instant.nanos : instant.nanos, out);
    weir_buffer_append_text(out, "s\"");
    return NULL;
}

/* Only a path that comes back from its lowerCamelCase as it was. */
static const char *print_path(struct weir_bytes path, struct weir_buffer *camel)
{
    if (path.size == 0)
        return "a field mask with an empty path";
    for (size_t i = 0; i < path.size; i++) {
        uint8_t byte = path.data[i];
        if (byte == '_') {
            byte = i + 1 < path.size ? path.data[++i] : 0;
            if (byte < 'a' || byte > 'z')
                return "a field mask that JSON cannot express";
            byte &= 0xdf;
        } else if ((byte >= 'A' && byte <= 'Z') || byte == ',') {
            return "a field mask that JSON cannot express";
        }
        buffer_byte(camel, byte);
    }
    return NULL;
}

static const char *print_paths(struct weir_bytes wire, struct weir_buffer *camel)
{
    struct wire_member member;
    const char *fault;
    const uint8_t *end = wire.data + wire.size;
    for (const uint8_t *at = wire.data; at < end;) {
        fault = "a bad tag";
        at = wire_read_tag(at, end, &member);
        at = at ? wire_read_value(at, end, &member, &fault) : NULL;
        if (!at)
            return fault;
        if (member.number != 1)
            continue;
        if (member.wire_type != WIRE_BYTES)
            return "a path of a wrong wire type";
        fault = utf8_fault(member.content);
        if (fault)
            return fault;
        if (camel->size > 0)
            buffer_byte(camel, ',');
        fault = print_path(member.content, camel);
        if (fault)
            return fault;
    }
    return NULL;
}

const char *well_known_print(enum weir_well_known kind, struct weir_bytes wire, struct weir_buffer *out)
{
    if (wire.size == 0)
        wire.data = (const uint8_t *)"";
    if (kind == WEIR_WELL_KNOWN_FIELD_MASK) {
        struct weir_buffer camel = {0};
        const char *fault = print_paths(wire, &camel);
        if (!fault)
            json_quote(weir_buffer_bytes(&camel), out);
        weir_buffer_free(&camel);
        return fault;
    }
    struct instant instant;
    const char *fault = read_instant(wire, &instant);
    if (fault)
        return fault;
    return kind == WEIR_WELL_KNOWN_TIMESTAMP ? print_timestamp(instant, out) : print_duration(instant, out);
}
