#include <weir/weir.h>

#include "guestbook.h"

int main(int argc, char **argv)
{
    return weir_app_run(guestbook_app(argc, argv));
}
