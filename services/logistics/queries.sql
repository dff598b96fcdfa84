-- name: find_shipment :one
SELECT shipment_id, customer_id, state, planned_ms FROM shipments WHERE order_id = @order_id;

-- name: items_of_shipment :many
SELECT sku, quantity FROM shipment_items WHERE order_id = @order_id ORDER BY sku;

-- name: count_by_state :one
SELECT count(*) FILTER (WHERE state = 1) AS planned,
       count(*) FILTER (WHERE state = 2) AS sent,
       count(*) FILTER (WHERE state = 3) AS cancelled
  FROM shipments;

-- None when the order has its shipment, perhaps one that was cancelled before.
-- name: add_shipment :exec
INSERT INTO shipments (order_id, shipment_id, customer_id, state, planned_ms)
VALUES (@order_id, @shipment_id, @customer_id, @state, @planned_ms)
    ON CONFLICT (order_id) DO NOTHING;

-- name: add_item :exec
INSERT INTO shipment_items (order_id, sku, quantity) VALUES (@order_id, @sku, @quantity);

-- An order whose shipment is not known yet gets one that is cancelled already: order.paid finds it.
-- name: cancel_planned :exec
INSERT INTO shipments (order_id, shipment_id, customer_id, state, planned_ms)
VALUES (@order_id, @shipment_id, @customer_id, 3, @planned_ms)
    ON CONFLICT (order_id) DO UPDATE SET state = excluded.state WHERE shipments.state = 1;

-- name: add_departure :exec
INSERT INTO departures (order_id, leaves_ms) VALUES (@order_id, @leaves_ms) ON CONFLICT (order_id) DO NOTHING;

-- name: send_planned :exec
UPDATE shipments SET state = 2
 WHERE state = 1 AND order_id IN (SELECT order_id FROM departures WHERE leaves_ms <= @now_ms);

-- A departure whose shipment is not planned yet waits for it.
-- name: forget_departures :exec
DELETE FROM departures WHERE leaves_ms <= @now_ms AND order_id IN (SELECT order_id FROM shipments);
