#include "logistics/logistics.h"

int main(int argc, char **argv)
{
    return weir_app_run(logistics_app(argc, argv));
}
