CREATE TABLE products (
  sku TEXT NOT NULL PRIMARY KEY,
  name TEXT NOT NULL,
  price_minor BIGINT NOT NULL CHECK (price_minor > 0),
  currency TEXT NOT NULL DEFAULT 'EUR'
) WITHOUT ROWID;

CREATE TABLE stock (
  sku TEXT NOT NULL PRIMARY KEY REFERENCES products,
  on_hand BIGINT NOT NULL CHECK (on_hand >= 0),
  reserved BIGINT NOT NULL DEFAULT 0 CHECK (reserved >= 0),
  deducted BIGINT NOT NULL DEFAULT 0 CHECK (deducted >= 0),
  initial BIGINT NOT NULL,
  restocked BIGINT NOT NULL DEFAULT 0,
  threshold BIGINT NOT NULL DEFAULT 1000,
  CHECK (on_hand + reserved + deducted = initial + restocked)
) WITHOUT ROWID;

-- States are those of inventory.h.
CREATE TABLE reservations (
  order_id TEXT NOT NULL PRIMARY KEY,
  state BIGINT NOT NULL,
  expires_ms BIGINT NOT NULL
) WITHOUT ROWID;
CREATE INDEX reservations_active ON reservations (expires_ms) WHERE state = 1;

CREATE TABLE reservation_lines (
  order_id TEXT NOT NULL REFERENCES reservations,
  sku TEXT NOT NULL REFERENCES stock,
  quantity BIGINT NOT NULL CHECK (quantity > 0),
  state BIGINT NOT NULL,
  PRIMARY KEY (order_id, sku)
) WITHOUT ROWID;
