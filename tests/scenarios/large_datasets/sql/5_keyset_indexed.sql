-- The key with the index
-- The scan starts at the key (`Index Cond`) and ends after ten rows, as it does at any depth.
SELECT id, customer, created_at
FROM orders
WHERE (created_at, id) < ('2026-01-01 00:04:10+00', 10001)
ORDER BY created_at DESC, id DESC
LIMIT 10;
