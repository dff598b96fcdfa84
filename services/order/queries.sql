-- name: find_order :one
SELECT order_id, customer_id, state, reason, total_minor, currency, created_ms, updated_ms, lines_deducted
  FROM orders WHERE order_id = @order_id;

-- name: items_of_order :many
SELECT sku, quantity FROM order_items WHERE order_id = @order_id ORDER BY line;

-- The latest first, from behind the last one of the page before.
-- name: orders_of_customer :many
SELECT order_id FROM orders
 WHERE customer_id = @customer_id AND (created_ms, order_id) < (@created_ms, @order_id)
 ORDER BY created_ms DESC, order_id DESC LIMIT @most;

-- name: count_by_state :many
SELECT state, count(*) AS orders FROM orders GROUP BY state;

-- ---- Placing ----

-- None when there is one already.
-- name: add_order :exec
INSERT INTO orders (order_id, customer_id, state, created_ms, updated_ms)
VALUES (@order_id, @customer_id, @state, @now_ms, @now_ms)
    ON CONFLICT (order_id) DO NOTHING;

-- name: add_item :exec
INSERT INTO order_items (order_id, line, sku, quantity) VALUES (@order_id, @line, @sku, @quantity);

-- name: set_total :exec
UPDATE orders SET total_minor = @total_minor, currency = @currency WHERE order_id = @order_id;

-- name: set_lines_deducted :exec
UPDATE orders SET lines_deducted = @lines WHERE order_id = @order_id;

-- A reason that is NULL stays what it is. None when the order is not `from` (any more).
-- name: move_order :exec
UPDATE orders SET state = @to, updated_ms = @now_ms, reason = COALESCE(@reason, reason)
 WHERE order_id = @order_id AND state = @from;

-- ---- Cancelling ----

-- Of one that is confirmed or completed: why somebody wants it cancelled; empty: nobody does.
-- name: set_wish :exec
UPDATE orders SET reason = @reason WHERE order_id = @order_id AND state IN (3, 4);
