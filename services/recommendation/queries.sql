-- Of all orders, or all views.
-- name: add_to_count :exec
UPDATE counts SET value = value + 1 WHERE name = @name;

-- name: add_order_of :exec
INSERT INTO products (sku, orders) VALUES (@sku, 1)
    ON CONFLICT (sku) DO UPDATE SET orders = products.orders + 1;

-- name: add_view_of :exec
INSERT INTO products (sku, views) VALUES (@sku, 1)
    ON CONFLICT (sku) DO UPDATE SET views = products.views + 1;

-- name: add_pair :exec
INSERT INTO pairs (sku, other, orders) VALUES (@sku, @other, 1)
    ON CONFLICT (sku, other) DO UPDATE SET orders = pairs.orders + 1;

-- name: find_popularity :one
SELECT orders, views FROM products WHERE sku = @sku;

-- name: bought_with :many
SELECT other, orders FROM pairs WHERE sku = @sku ORDER BY orders DESC, other LIMIT @most;

-- name: all_counts :many
SELECT name, value FROM counts;
