#include "order/order.h"

int main(int argc, char **argv)
{
    return weir_app_run(order_app(argc, argv));
}
