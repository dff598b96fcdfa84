#include "codec/doubles.h"

#include <charconv>
#include <cmath>
#include <cstring>

namespace
{

// Whether a JSON number that no double can hold is too large, rather than too small: the decimal exponent of
// its first digit that is not zero.
bool too_large(const char *text, const char *end)
{
    long long before = 0, exponent = 0;
    bool point = false, begun = false;
    for (; text < end && *text != 'e' && *text != 'E'; text++) {
        if (*text == '.') {
            point = true;
        } else if (*text != '-') {
            begun = begun || *text != '0';
            if (begun && !point)
                before++;
            else if (!begun && point)
                before--;
        }
    }
    if (text < end) {
        text++;
        bool negative = *text == '-';
        if (*text == '-' || *text == '+')
            text++;
        for (; text < end && exponent < 1000000000000; text++)
            exponent = exponent * 10 + (*text - '0');
        if (negative)
            exponent = -exponent;
    }
    return begun && before + exponent > 0;
}

template <typename Number> bool parse(const char *text, std::size_t size, Number *ret_value)
{
    const char *end = text + size;
    Number value = 0;
    auto result = std::from_chars(text, end, value);
    if (result.ec == std::errc::result_out_of_range) {
        if (too_large(text, end))
            return false;
        value = *text == '-' ? -Number(0) : Number(0);
    } else if (result.ec != std::errc() || std::isinf(value)) {
        return false;
    }
    *ret_value = value;
    return true;
}

template <typename Number> std::size_t print(Number value, char *text)
{
    Number size = std::fabs(value);
    auto format = size == 0 || (size >= Number(1e-5) && size < Number(1e17)) ? std::chars_format::fixed
                                                                             : std::chars_format::scientific;
    return static_cast<std::size_t>(std::to_chars(text, text + DOUBLE_TEXT_SIZE, value, format).ptr - text);
}

} // namespace

bool double_parse(const char *text, std::size_t size, double *ret_value)
{
    return parse(text, size, ret_value);
}

bool float_parse(const char *text, std::size_t size, float *ret_value)
{
    return parse(text, size, ret_value);
}

std::size_t double_print(double value, char text[DOUBLE_TEXT_SIZE])
{
    return print(value, text);
}

std::size_t float_print(float value, char text[DOUBLE_TEXT_SIZE])
{
    return print(value, text);
}
