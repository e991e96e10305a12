-- The index of the key
-- The columns of the `ORDER BY`, the unique one last. It is read in either direction.
CREATE INDEX orders_by_key ON orders (created_at, id);
