#include "guestbook.weir.h"

struct weir_app *guestbook_app(int argc, char **argv);
