-- What a shop sells.
CREATE TABLE products (
  sku TEXT NOT NULL PRIMARY KEY,
  name TEXT NOT NULL,
  price_minor BIGINT NOT NULL CHECK (price_minor > 0),
  note TEXT,
  weight DOUBLE PRECISION,
  fragile BOOLEAN NOT NULL DEFAULT FALSE,
  image BYTEA
);
