-- Statements on databases of other departments; they are only read.

-- name: geometry_columns
SELECT
    g.f_geometry_column AS name,
    g.srid,
    s.auth_name,
    s.auth_srid,
    s.srtext
FROM geometry_columns AS g
LEFT JOIN spatial_ref_sys AS s ON s.srid = g.srid
WHERE g.f_table_schema = %(schema)s AND g.f_table_name = %(table)s
ORDER BY g.f_geometry_column

-- name: plain_columns
-- Columns that are no geometry, in their order, and which of them make the primary key.
SELECT
    a.attname AS name,
    t.typname AS type,
    coalesce(array_position(i.indkey::smallint [], a.attnum), -1) AS key_position
FROM pg_catalog.pg_class AS c
INNER JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
INNER JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid
INNER JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
LEFT JOIN pg_catalog.pg_index AS i ON i.indrelid = c.oid AND i.indisprimary
WHERE
    n.nspname = %(schema)s
    AND c.relname = %(table)s
    AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
    AND a.attnum > 0
    AND NOT a.attisdropped
    AND t.typname NOT IN ('geometry', 'geography', 'raster', 'bytea')
ORDER BY a.attnum

-- name: srids
SELECT DISTINCT ST_SRID({geometry}) FROM {table} WHERE {geometry} IS NOT NULL LIMIT 3

-- name: rows
SELECT {columns} ST_AsBinary({geometry}) FROM {table} {order}
