-- An order's entry has the points it earned; `taken_back` when it was cancelled, perhaps before order.paid came: then
-- there never are any. The welcome is an entry without an order.
CREATE TABLE entries (
  order_id TEXT NOT NULL PRIMARY KEY,
  customer_id TEXT NOT NULL,
  points BIGINT NOT NULL,
  taken_back BIGINT NOT NULL DEFAULT 0,
  created_ms BIGINT NOT NULL
) WITHOUT ROWID;
CREATE INDEX entries_of_customer ON entries (customer_id, created_ms DESC);
