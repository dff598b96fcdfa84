#include <weir/weir.h>

#include "hello.h"

int main(int argc, char **argv)
{
    return weir_app_run(hello_app(argc, argv));
}
