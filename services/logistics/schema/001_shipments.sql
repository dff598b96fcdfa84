-- States are those of shop/logistics/v1/logistics.proto.
CREATE TABLE shipments (
  order_id TEXT NOT NULL PRIMARY KEY,
  shipment_id TEXT NOT NULL UNIQUE,
  customer_id TEXT NOT NULL,
  state BIGINT NOT NULL,
  planned_ms BIGINT NOT NULL
) WITHOUT ROWID;

CREATE TABLE shipment_items (
  order_id TEXT NOT NULL REFERENCES shipments,
  sku TEXT NOT NULL,
  quantity BIGINT NOT NULL,
  PRIMARY KEY (order_id, sku)
) WITHOUT ROWID;

CREATE TABLE departures (order_id TEXT NOT NULL PRIMARY KEY, leaves_ms BIGINT NOT NULL) WITHOUT ROWID;
CREATE INDEX departures_due ON departures (leaves_ms);
