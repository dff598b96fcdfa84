-- name: add_visit :one
INSERT INTO guests (name, visits) VALUES (@name, 1)
    ON CONFLICT (name) DO UPDATE SET visits = guests.visits + 1
    RETURNING visits, thanks;

-- name: add_thanks :exec
UPDATE guests SET thanks = thanks + 1 WHERE name = @name;
