#ifndef HELLO_H
#define HELLO_H

#include "hello.weir.h"

struct weir_app *hello_app(int argc, char **argv);

#endif
