-- 100,000 orders, 40 in each second
CREATE TABLE orders AS
SELECT id::int8 AS id, 'customer ' || id % 50 AS customer,
       timestamptz '2026-01-01 00:00+00'
         + id / 40 * interval '1 second' AS created_at
FROM generate_series(1, 100000) AS id;
ALTER TABLE orders ADD PRIMARY KEY (id);
ANALYZE orders;
