-- States are those of shop/order/v1/order.proto.
CREATE TABLE orders (
  order_id TEXT NOT NULL PRIMARY KEY,
  customer_id TEXT NOT NULL,
  state BIGINT NOT NULL,
  reason TEXT NOT NULL DEFAULT '',
  total_minor BIGINT NOT NULL DEFAULT 0,
  currency TEXT NOT NULL DEFAULT 'EUR',
  created_ms BIGINT NOT NULL,
  updated_ms BIGINT NOT NULL,
  lines_deducted BIGINT NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX orders_of_customer ON orders (customer_id, created_ms DESC, order_id DESC);

CREATE TABLE order_items (
  order_id TEXT NOT NULL REFERENCES orders,
  line BIGINT NOT NULL,
  sku TEXT NOT NULL,
  quantity BIGINT NOT NULL,
  PRIMARY KEY (order_id, line)
) WITHOUT ROWID;
