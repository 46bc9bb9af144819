-- Rows as they came, some thousand together: a tenth of the time of a row each, and in the
-- database, so that a backup holds them. "body" is an Arrow IPC stream (zstd) of the rows that
-- differ from the stored ones: fid, geometry as WKB in source_crs, the mapped fields.
-- "digests" has 16 bytes for each row of "fids" (int64, little endian), "noted" one byte: 1 where
-- the row had issues. The next import of the layer compares them and loads only what changed.
CREATE TABLE library.source_chunk (
    content_id integer NOT NULL REFERENCES library.layer_content (id) ON DELETE CASCADE,
    chunk integer NOT NULL,
    first_fid bigint NOT NULL,
    last_fid bigint NOT NULL,
    source_crs text NOT NULL,
    fids bytea NOT NULL,
    digests bytea NOT NULL,
    noted bytea NOT NULL,
    body bytea NOT NULL,
    PRIMARY KEY (content_id, chunk)
);

ALTER TABLE library.source_chunk ALTER COLUMN body SET STORAGE EXTERNAL;
ALTER TABLE library.source_chunk ALTER COLUMN digests SET STORAGE EXTERNAL;
