-- States of reservations and their lines are those of inventory.h.

-- name: find_product :one product
SELECT p.sku, p.name, p.price_minor, p.currency, s.on_hand
  FROM products p JOIN stock s USING (sku)
 WHERE p.sku = @sku;

-- A page goes by sku, from behind the last one of the page before.
-- name: products_after :many product
SELECT p.sku, p.name, p.price_minor, p.currency, s.on_hand
  FROM products p JOIN stock s USING (sku)
 WHERE p.sku > @after
 ORDER BY p.sku LIMIT @most;

-- name: find_stock :one
SELECT on_hand, reserved, deducted, initial, restocked, threshold FROM stock WHERE sku = @sku;

-- name: total_stock :one
SELECT COALESCE(CAST(sum(on_hand) AS BIGINT), 0) AS on_hand,
       COALESCE(CAST(sum(reserved) AS BIGINT), 0) AS reserved,
       COALESCE(CAST(sum(deducted) AS BIGINT), 0) AS deducted,
       COALESCE(CAST(sum(initial) AS BIGINT), 0) AS initial,
       COALESCE(CAST(sum(restocked) AS BIGINT), 0) AS restocked,
       COALESCE(CAST((SELECT count(DISTINCT order_id) FROM reservation_lines WHERE state = 1) AS BIGINT), 0)
           AS open_reservations
  FROM stock;

-- ---- Reserving ----

-- name: find_reservation :one
SELECT state, expires_ms FROM reservations WHERE order_id = @order_id;

-- name: priced_lines :many
SELECT l.sku, l.quantity, p.price_minor, p.currency
  FROM reservation_lines l JOIN products p USING (sku)
 WHERE l.order_id = @order_id
 ORDER BY l.sku;

-- name: add_reservation :exec
INSERT INTO reservations (order_id, state, expires_ms) VALUES (@order_id, @state, @expires_ms);

-- name: add_line :exec
INSERT INTO reservation_lines (order_id, sku, quantity, state) VALUES (@order_id, @sku, @quantity, @state);

-- None when there is not enough.
-- name: take_stock :exec
UPDATE stock SET on_hand = on_hand - @quantity, reserved = reserved + @quantity
 WHERE sku = @sku AND on_hand >= @quantity;

-- ---- Deducting ----

-- name: find_line :one
SELECT l.quantity, l.state, r.state AS reservation_state
  FROM reservation_lines l JOIN reservations r USING (order_id)
 WHERE l.order_id = @order_id AND l.sku = @sku;

-- name: deduct_reserved :exec
UPDATE stock SET reserved = reserved - @quantity, deducted = deducted + @quantity WHERE sku = @sku;

-- Of a reservation that expired. None when there is not enough.
-- name: deduct_on_hand :exec
UPDATE stock SET on_hand = on_hand - @quantity, deducted = deducted + @quantity
 WHERE sku = @sku AND on_hand >= @quantity;

-- name: set_line_state :exec
UPDATE reservation_lines SET state = @state WHERE order_id = @order_id AND sku = @sku;

-- ---- Giving back ----

-- Also of an order that nothing was reserved for.
-- name: mark_released :exec
INSERT INTO reservations (order_id, state, expires_ms) VALUES (@order_id, @state, @expires_ms)
    ON CONFLICT (order_id) DO UPDATE SET state = excluded.state;

-- name: lines_in_state :many
SELECT sku, quantity FROM reservation_lines WHERE order_id = @order_id AND state = @state;

-- name: put_back_reserved :exec
UPDATE stock SET reserved = reserved - @quantity, on_hand = on_hand + @quantity WHERE sku = @sku;

-- Goods that had left are counted in again.
-- name: put_back_deducted :exec
UPDATE stock SET restocked = restocked + @quantity, on_hand = on_hand + @quantity WHERE sku = @sku;

-- name: move_lines :exec
UPDATE reservation_lines SET state = @to WHERE order_id = @order_id AND state = @from;

-- name: expired_reservations :many
SELECT order_id FROM reservations WHERE state = 1 AND expires_ms < @now_ms LIMIT 50;

-- name: set_reservation_state :exec
UPDATE reservations SET state = @state WHERE order_id = @order_id;
