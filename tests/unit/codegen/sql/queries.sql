-- Products and their stock. This comment is nobody's.

-- A new product. "Quotes", /* stars */ and \ backslashes do no harm.
-- name: add_product :exec
INSERT INTO products (sku, name, price_minor, note, weight, image, fragile)
VALUES (@sku, @name, @price_minor, @note, @weight, @image, @fragile);

-- name: set_stock :exec
INSERT INTO stock (sku, on_hand, threshold) VALUES (@sku, @on_hand, @threshold)
    ON CONFLICT (sku) DO UPDATE SET on_hand = excluded.on_hand, threshold = @threshold;

-- name: take_stock :exec
-- None when there is not enough.
UPDATE stock SET on_hand = on_hand - @quantity -- the same parameter twice
 WHERE sku = @sku AND on_hand >= @quantity;

-- name: find_product :one
SELECT sku, name, price_minor, note, weight, fragile, image FROM products WHERE sku = @sku;

-- A page of products, with what is left of them.
-- name: list_products :many
SELECT p.sku, p.name, s.on_hand AS left
  FROM products p LEFT JOIN stock s ON s.sku = p.sku
 WHERE p.sku > @after
 ORDER BY p.sku LIMIT @page_size;

-- name: totals :one
SELECT count(*) AS products, CAST(sum(on_hand) AS BIGINT) AS on_hand,
       COALESCE(CAST(avg(on_hand) AS DOUBLE PRECISION), 0.0) AS mean
  FROM stock;

-- name: rename_product :one
UPDATE products SET name = @name WHERE sku = @sku RETURNING price_minor, note;

-- name: clear :many
DELETE FROM stock WHERE on_hand BETWEEN @least AND @most RETURNING sku;

-- Filters that may be left out: what is asked for NULL may be NULL.
-- name: search :many
SELECT sku, price_minor FROM products
 WHERE (name LIKE @name OR @name IS NULL) AND (CAST(@most AS BIGINT) IS NULL OR price_minor <= @most)
 ORDER BY sku;

-- What is NULL stays as it is.
-- name: change_product :exec
UPDATE products SET name = COALESCE(@name, name), weight = COALESCE(@weight, weight) WHERE sku = @sku;
