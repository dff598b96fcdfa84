#include "codec/scalar.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "codec/doubles.h"
#include "codec/json_scan.h"
#include "codec/utf8.h"
#include "codec/wire.h"

/* Of an exponent, or of digits: far beyond what any number of digits in memory can bring back. */
#define EXPONENT_MAX INT64_C(1000000000000)

bool scalar_is_number(struct weir_bytes text)
{
    struct json_scan scan;
    struct weir_bytes number;
    json_scan_init(&scan, text);
    return text.size > 0 && json_number(&scan, &number) && number.size == text.size;
}

static int64_t read_exponent(const uint8_t *at, const uint8_t *end)
{
    bool negative = *at == '-';
    if (*at == '-' || *at == '+')
        at++;
    int64_t exponent = 0;
    for (; at < end; at++) {
        if (exponent < EXPONENT_MAX)
            exponent = exponent * 10 + (*at - '0');
    }
    return negative ? -exponent : exponent;
}

struct integer {
    bool negative;
    bool overflow; /* more than 64 bits */
    uint64_t magnitude;
};

static bool append_digit(uint64_t *magnitude, unsigned digit)
{
    return !__builtin_mul_overflow(*magnitude, UINT64_C(10), magnitude) &&
           !__builtin_add_overflow(*magnitude, digit, magnitude);
}

/* The number is digits * 10^exponent; trailing zeros belong to the exponent, so that 10e-1 is an integer. */
static const char *parse_integer(struct weir_bytes text, struct integer *ret_integer)
{
    const uint8_t *at = text.data, *end = at + text.size;
    *ret_integer = (struct integer){.negative = *at == '-'};
    at += ret_integer->negative;

    const uint8_t *mantissa_end = at;
    while (mantissa_end < end && (*mantissa_end | 0x20) != 'e')
        mantissa_end++;
    int64_t exponent = mantissa_end < end ? read_exponent(mantissa_end + 1, end) : 0;

    uint64_t magnitude = 0;
    int64_t zeros = 0; /* seen, but not known yet to be inside the number */
    bool point = false, begun = false, overflow = false;
    for (; at < mantissa_end; at++) {
        if (*at == '.') {
            point = true;
            continue;
        }
        exponent -= point;
        if (*at == '0') {
            zeros += begun;
            continue;
        }
        begun = true;
        for (; zeros > 0 && !overflow; zeros--)
            overflow = !append_digit(&magnitude, 0);
        zeros = 0;
        overflow = overflow || !append_digit(&magnitude, *at - (unsigned)'0');
    }
    if (!begun)
        return NULL; /* zero, whatever its exponent */
    exponent += zeros;
    if (exponent < 0)
        return "is not an integer";
    for (; exponent > 0 && !overflow; exponent--)
        overflow = !append_digit(&magnitude, 0);
    ret_integer->overflow = overflow;
    ret_integer->magnitude = magnitude;
    return NULL;
}

static const char *signed_raw(struct integer integer, int bits, uint64_t *ret_raw)
{
    uint64_t most = (UINT64_C(1) << (bits - 1)) - 1 + integer.negative;
    if (integer.overflow || integer.magnitude > most)
        return bits == 32 ? "is out of the range of int32" : "is out of the range of int64";
    *ret_raw = integer.negative ? 0 - integer.magnitude : integer.magnitude;
    return NULL;
}

static const char *unsigned_raw(struct integer integer, int bits, uint64_t *ret_raw)
{
    if (integer.overflow || (integer.negative && integer.magnitude > 0) ||
        (bits == 32 && integer.magnitude > UINT32_MAX))
        return bits == 32 ? "is out of the range of uint32" : "is out of the range of uint64";
    *ret_raw = integer.magnitude;
    return NULL;
}

static uint64_t zigzag(uint64_t raw)
{
    return raw << 1 ^ (0 - (raw >> 63));
}

static const char *integer_raw(uint8_t type, struct integer integer, uint64_t *ret_raw)
{
    const char *fault;
    switch ((enum weir_field_type)type) {
    case WEIR_TYPE_UINT32:
    case WEIR_TYPE_FIXED32:
        return unsigned_raw(integer, 32, ret_raw);
    case WEIR_TYPE_UINT64:
    case WEIR_TYPE_FIXED64:
        return unsigned_raw(integer, 64, ret_raw);
    case WEIR_TYPE_INT64:
    case WEIR_TYPE_SFIXED64:
        return signed_raw(integer, 64, ret_raw);
    case WEIR_TYPE_SINT64:
        fault = signed_raw(integer, 64, ret_raw);
        break;
    case WEIR_TYPE_SINT32:
        fault = signed_raw(integer, 32, ret_raw);
        break;
    case WEIR_TYPE_SFIXED32:
        fault = signed_raw(integer, 32, ret_raw);
        if (!fault)
            *ret_raw &= UINT32_MAX;
        return fault;
    default: /* INT32, ENUM */
        return signed_raw(integer, 32, ret_raw);
    }
    if (!fault)
        *ret_raw = zigzag(*ret_raw);
    return fault;
}

static const char *double_raw(struct weir_bytes text, bool special, double value, uint64_t *ret_raw)
{
    if (!special && !double_parse((const char *)text.data, text.size, &value))
        return "is out of the range of double";
    memcpy(ret_raw, &value, sizeof value);
    return NULL;
}

static const char *float_raw(struct weir_bytes text, bool special, float value, uint64_t *ret_raw)
{
    if (!special && !float_parse((const char *)text.data, text.size, &value))
        return "is out of the range of float";
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    *ret_raw = bits;
    return NULL;
}

const char *scalar_parse_number(uint8_t type, struct weir_bytes text, uint64_t *ret_raw)
{
    bool is_double = type == WEIR_TYPE_DOUBLE, is_float = type == WEIR_TYPE_FLOAT;
    if (is_double || is_float) {
        bool special = true;
        double value = 0;
        if (weir_bytes_equal_text(text, "NaN"))
            value = (double)NAN;
        else if (weir_bytes_equal_text(text, "Infinity"))
            value = (double)INFINITY;
        else if (weir_bytes_equal_text(text, "-Infinity"))
            value = -(double)INFINITY;
        else
            special = false;
        if (!special && !scalar_is_number(text))
            return "is not a number";
        return is_double ? double_raw(text, special, value, ret_raw)
                         : float_raw(text, special, (float)value, ret_raw);
    }
    if (!scalar_is_number(text))
        return "is not a number";
    struct integer integer;
    const char *fault = parse_integer(text, &integer);
    return fault ? fault : integer_raw(type, integer, ret_raw);
}

static void print_unsigned(struct weir_buffer *out, uint64_t value)
{
    static const char pairs[] =
        "0001020304050607080910111213141516171819202122232425262728293031323334353637383940414243444546474849"
        "505152535455565758596061626364656667686970717273747576777879808182838485868788899091929394959697989"
        "9";
    char text[20], *at = text + sizeof text;
    while (value >= 100) {
        at -= 2;
        memcpy(at, pairs + value % 100 * 2, 2);
        value /= 100;
    }
    if (value >= 10) {
        at -= 2;
        memcpy(at, pairs + value * 2, 2);
    } else {
        *--at = (char)('0' + value);
    }
    buffer_append(out, at, (size_t)(text + sizeof text - at));
}

static void print_signed(struct weir_buffer *out, int64_t value)
{
    if (value < 0)
        buffer_byte(out, '-');
    print_unsigned(out, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

static bool print_special(struct weir_buffer *out, double value)
{
    if (isfinite(value))
        return false;
    weir_buffer_append_text(out, isnan(value) ? "\"NaN\"" : value > 0 ? "\"Infinity\"" : "\"-Infinity\"");
    return true;
}

static void print_double(struct weir_buffer *out, uint64_t raw)
{
    double value;
    memcpy(&value, &raw, sizeof value);
    if (!print_special(out, value))
        out->size += double_print(value, (char *)buffer_room(out, DOUBLE_TEXT_SIZE));
}

static void print_float(struct weir_buffer *out, uint64_t raw)
{
    uint32_t bits = (uint32_t)raw;
    float value;
    memcpy(&value, &bits, sizeof value);
    if (!print_special(out, (double)value))
        out->size += float_print(value, (char *)buffer_room(out, DOUBLE_TEXT_SIZE));
}

static int64_t unzigzag(uint64_t raw)
{
    return (int64_t)(raw >> 1 ^ (0 - (raw & 1)));
}

void scalar_print_number(struct weir_buffer *out, uint8_t type, uint64_t raw)
{
    bool quoted = false;
    switch ((enum weir_field_type)type) {
    case WEIR_TYPE_DOUBLE:
        print_double(out, raw);
        return;
    case WEIR_TYPE_FLOAT:
        print_float(out, raw);
        return;
    case WEIR_TYPE_UINT32:
    case WEIR_TYPE_FIXED32:
        print_unsigned(out, (uint32_t)raw);
        return;
    case WEIR_TYPE_SINT32:
        /* zigzag of the low 32 bits, as protobuf-c decodes it */
        print_signed(out, unzigzag((uint32_t)raw));
        return;
    case WEIR_TYPE_INT64:
    case WEIR_TYPE_UINT64:
    case WEIR_TYPE_FIXED64:
    case WEIR_TYPE_SFIXED64:
    case WEIR_TYPE_SINT64:
        quoted = true;
        break;
    default:
        print_signed(out, (int32_t)raw);
        return;
    }
    if (quoted)
        buffer_byte(out, '"');
    if (type == WEIR_TYPE_UINT64 || type == WEIR_TYPE_FIXED64)
        print_unsigned(out, raw);
    else
        print_signed(out, type == WEIR_TYPE_SINT64 ? unzigzag(raw) : (int64_t)raw);
    buffer_byte(out, '"');
}

static int base64_value(uint8_t byte)
{
    if (byte >= 'A' && byte <= 'Z')
        return byte - 'A';
    if (byte >= 'a' && byte <= 'z')
        return byte - 'a' + 26;
    if (byte >= '0' && byte <= '9')
        return byte - '0' + 52;
    if (byte == '+' || byte == '-')
        return 62;
    return byte == '/' || byte == '_' ? 63 : -1;
}

const char *base64_decode(struct weir_bytes text, struct weir_buffer *out)
{
    size_t size = text.size;
    if (size > 0 && text.data[size - 1] == '=') {
        if (size % 4 != 0)
            return "is not base64: wrong padding";
        size -= text.data[size - 2] == '=' ? 2 : 1;
    }
    if (size % 4 == 1)
        return "is not base64: it ends within a byte";

    uint8_t *to = buffer_room(out, size / 4 * 3 + 3);
    size_t written = 0;
    uint32_t bits = 0;
    for (size_t i = 0; i < size; i++) {
        int value = base64_value(text.data[i]);
        if (value < 0)
            return "is not base64";
        bits = bits << 6 | (uint32_t)value;
        if (i % 4 != 0)
            to[written++] = (uint8_t)(bits >> (6 - i % 4 * 2));
    }
    out->size += written;
    return NULL;
}

void base64_encode(struct weir_bytes content, struct weir_buffer *out)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint8_t *to = buffer_room(out, (content.size + 2) / 3 * 4);
    uint8_t *begin = to;
    const uint8_t *at = content.data;
    size_t left = content.size;
    for (; left >= 3; left -= 3, at += 3) {
        uint32_t bits = (uint32_t)at[0] << 16 | (uint32_t)at[1] << 8 | at[2];
        *to++ = (uint8_t)letters[bits >> 18];
        *to++ = (uint8_t)letters[bits >> 12 & 63];
        *to++ = (uint8_t)letters[bits >> 6 & 63];
        *to++ = (uint8_t)letters[bits & 63];
    }
    if (left > 0) {
        uint32_t bits = (uint32_t)at[0] << 16 | (left == 2 ? (uint32_t)at[1] << 8 : 0);
        *to++ = (uint8_t)letters[bits >> 18];
        *to++ = (uint8_t)letters[bits >> 12 & 63];
        *to++ = left == 2 ? (uint8_t)letters[bits >> 6 & 63] : '=';
        *to++ = '=';
    }
    out->size += (size_t)(to - begin);
}

static void append_escape(struct weir_buffer *out, uint8_t byte)
{
    static const char letters[] = "btnvfr"; /* 8 to 13; \v is none of JSON's */
    if (byte == '"' || byte == '\\') {
        buffer_byte(out, '\\');
        buffer_byte(out, byte);
    } else if (byte >= 8 && byte <= 13 && byte != 11) {
        buffer_byte(out, '\\');
        buffer_byte(out, (uint8_t)letters[byte - 8]);
    } else {
        weir_buffer_printf(out, "\\u%04x", byte);
    }
}

void json_quote(struct weir_bytes text, struct weir_buffer *out)
{
    /* Room for all of it where nothing is escaped. */
    buffer_room(out, text.size + 2);
    out->data[out->size++] = '"';
    size_t run = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (text.size - i >= 8 && utf8_unescaped8(text.data + i)) {
            i += 7;
            continue;
        }
        uint8_t byte = text.data[i];
        if (byte >= 0x20 && byte != '"' && byte != '\\')
            continue;
        buffer_append(out, text.data + run, i - run);
        append_escape(out, byte);
        run = i + 1;
    }
    if (text.size > run)
        buffer_append(out, text.data + run, text.size - run);
    buffer_byte(out, '"');
}
