/* Doubles and floats as text, exactly: shortest that reads back, correctly rounded. In C++ because
 * std::to_chars and std::from_chars are what the standard libraries offer for it, without a locale. */
#ifndef WEIR_CODEC_DOUBLES_H
#define WEIR_CODEC_DOUBLES_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DOUBLE_TEXT_SIZE 32

/* `text` is a JSON number. False when it is out of range; too small becomes the nearest, or 0. */
bool double_parse(const char *text, size_t size, double *ret_value);
bool float_parse(const char *text, size_t size, float *ret_value);

/* Finite values. Without an exponent between 1e-5 and 1e17. Returns the size; no terminator. */
size_t double_print(double value, char text[DOUBLE_TEXT_SIZE]);
size_t float_print(float value, char text[DOUBLE_TEXT_SIZE]);

#ifdef __cplusplus
}
#endif

#endif
