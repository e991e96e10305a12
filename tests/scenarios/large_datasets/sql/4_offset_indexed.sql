-- OFFSET with the index
-- Nothing is sorted now.
-- The scan still fetches each of the 90,000 rows before the page: the number of rows below `Limit` says so.
SELECT id, customer, created_at
FROM orders
ORDER BY created_at DESC, id DESC
LIMIT 10 OFFSET 90000;
