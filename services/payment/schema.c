#include "payment/payment.h"

const char *const payment_schema[] = {
    "CREATE TABLE payments ("
    "  order_id TEXT PRIMARY KEY,"
    "  customer_id TEXT NOT NULL,"
    "  amount_minor INTEGER NOT NULL CHECK (amount_minor >= 0),"
    "  currency TEXT NOT NULL,"
    "  state INTEGER NOT NULL,"
    "  expires_ms INTEGER NOT NULL"
    ") WITHOUT ROWID;"
    "CREATE INDEX payments_open ON payments (expires_ms) WHERE state = 1;",
    NULL,
};
