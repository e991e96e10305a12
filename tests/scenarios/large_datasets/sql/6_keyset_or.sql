-- The key written out with OR
-- The same rows, but the condition became a `Filter`: the scan starts at the newest order and throws away what comes before the key.
SELECT id, customer, created_at
FROM orders
WHERE created_at < '2026-01-01 00:04:10+00'
   OR (created_at = '2026-01-01 00:04:10+00' AND id < 10001)
ORDER BY created_at DESC, id DESC
LIMIT 10;
