-- A deep page by OFFSET
-- Ten orders, newest first, after 90,000 others.
-- No index has this order, so every order is read, and all are sorted, for ten rows.
SELECT id, customer, created_at
FROM orders
ORDER BY created_at DESC, id DESC
LIMIT 10 OFFSET 90000;
