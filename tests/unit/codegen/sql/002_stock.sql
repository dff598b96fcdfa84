CREATE TABLE stock (
  sku TEXT NOT NULL PRIMARY KEY REFERENCES products,
  on_hand BIGINT NOT NULL CHECK (on_hand >= 0),
  threshold BIGINT
);
