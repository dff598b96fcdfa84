#include <weir/weir.h>

#include "payment/payment.h"

int main(int argc, char **argv)
{
    return weir_app_run(payment_app(argc, argv));
}
