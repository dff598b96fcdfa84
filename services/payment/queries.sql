-- name: find_payment :one
SELECT customer_id, amount_minor, currency, state, expires_ms FROM payments WHERE order_id = @order_id;

-- name: add_payment :exec
INSERT INTO payments (order_id, customer_id, amount_minor, currency, state, expires_ms)
VALUES (@order_id, @customer_id, @amount_minor, @currency, @state, @expires_ms);

-- name: set_payment_state :exec
UPDATE payments SET state = @state WHERE order_id = @order_id;

-- name: totals_by_state :many
SELECT state, COALESCE(CAST(sum(amount_minor) AS BIGINT), 0) AS amount_minor, count(*) AS payments
  FROM payments GROUP BY state;

-- Open ones, a hundred at a time.
-- name: expire_payments :exec
UPDATE payments SET state = @state
 WHERE order_id IN (SELECT order_id FROM payments WHERE state = 1 AND expires_ms < @now_ms LIMIT 100);
