-- The same OR behind a bound
-- One condition on the first column gives the index a place to start.
-- The `Filter` removes what shares the key's second.
SELECT id, customer, created_at
FROM orders
WHERE created_at <= '2026-01-01 00:04:10+00'
  AND (created_at < '2026-01-01 00:04:10+00' OR id < 10001)
ORDER BY created_at DESC, id DESC
LIMIT 10;
