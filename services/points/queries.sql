-- None when the order has its entry.
-- name: add_entry :exec
INSERT INTO entries (order_id, customer_id, points, created_ms)
VALUES (@order_id, @customer_id, @points, @created_ms)
    ON CONFLICT (order_id) DO NOTHING;

-- name: take_back :exec
INSERT INTO entries (order_id, customer_id, points, taken_back, created_ms)
VALUES (@order_id, @customer_id, 0, 1, @created_ms)
    ON CONFLICT (order_id) DO UPDATE SET taken_back = 1;

-- name: find_balance :one
SELECT COALESCE(CAST(sum(points) AS BIGINT), 0) AS points
  FROM entries WHERE customer_id = @customer_id AND taken_back = 0;

-- The latest hundred.
-- name: entries_of :many
SELECT order_id, points FROM entries
 WHERE customer_id = @customer_id AND taken_back = 0
 ORDER BY created_ms DESC, order_id DESC LIMIT 100;

-- Of orders, that is without welcomes.
-- name: count_order_entries :one
SELECT count(*) FILTER (WHERE taken_back = 0) AS orders,
       COALESCE(CAST(sum(CASE taken_back WHEN 0 THEN points END) AS BIGINT), 0) AS points,
       COALESCE(CAST(sum(taken_back) AS BIGINT), 0) AS taken_back
  FROM entries WHERE order_id NOT LIKE 'welcome:%';
