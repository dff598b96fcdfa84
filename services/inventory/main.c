#include "inventory/inventory.h"

int main(int argc, char **argv)
{
    return weir_app_run(inventory_app(argc, argv));
}
