-- name: times_greeted :one
SELECT times FROM greeted WHERE name = @name;

-- name: all_greeted :many
SELECT name, times FROM greeted;
