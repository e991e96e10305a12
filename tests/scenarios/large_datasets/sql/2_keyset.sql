-- The same page by key
-- It begins after the last key of the page before, and gives the same ten rows.
-- Without its index it still reads the whole table.
SELECT id, customer, created_at
FROM orders
WHERE (created_at, id) < ('2026-01-01 00:04:10+00', 10001)
ORDER BY created_at DESC, id DESC
LIMIT 10;
