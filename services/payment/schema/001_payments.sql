-- States are those of shop/payment/v1/payment.proto.
CREATE TABLE payments (
  order_id TEXT NOT NULL PRIMARY KEY,
  customer_id TEXT NOT NULL,
  amount_minor BIGINT NOT NULL CHECK (amount_minor >= 0),
  currency TEXT NOT NULL,
  state BIGINT NOT NULL,
  expires_ms BIGINT NOT NULL
) WITHOUT ROWID;
CREATE INDEX payments_open ON payments (expires_ms) WHERE state = 1;
