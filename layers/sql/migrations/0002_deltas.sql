-- A content may stand on another one: it then holds only the rows that differ (a delta), and the
-- fids of the rows of its base that do not hold in it. Readers use the schema "reading", where a
-- delta looks like any other content. Runs once, in one transaction; never edited after release.

ALTER TABLE library.layer_content
ADD COLUMN base_id integer REFERENCES library.layer_content (id) CHECK (base_id <> id);

CREATE INDEX layer_content_base ON library.layer_content (base_id) WHERE base_id IS NOT NULL;

-- Rows of the base that do not hold in the delta: deleted, or there anew with a higher fid.
CREATE TABLE library.hidden_feature (
    content_id integer NOT NULL REFERENCES library.layer_content (id) ON DELETE CASCADE,
    fid bigint NOT NULL,
    PRIMARY KEY (content_id, fid)
);

-- Rows changed one by one since the pieces were made; their pieces are made anew before a publish.
CREATE TABLE library.touched_feature (
    content_id integer NOT NULL REFERENCES library.layer_content (id) ON DELETE CASCADE,
    fid bigint NOT NULL,
    PRIMARY KEY (content_id, fid)
);

-- Whether a piece shows one feature; false where a low zoom merges many of the layer. NULL in
-- pieces of an older version: nobody knows, a delta draws its low zooms anew.
ALTER TABLE library.tile_piece ADD COLUMN by_feature boolean;

-- The grid of classes behind the merged pieces (layers.mosaic), so that a delta changes its cells
-- instead of reading the whole layer. Cells are uint16, row by row from the north, zlib.
CREATE TABLE library.mosaic_grid (
    content_id integer NOT NULL REFERENCES library.layer_content (id) ON DELETE CASCADE,
    base_zoom smallint NOT NULL,
    west double precision NOT NULL,
    north double precision NOT NULL,
    cell_m double precision NOT NULL CHECK (cell_m > 0),
    height integer NOT NULL,
    width integer NOT NULL,
    classes jsonb NOT NULL,
    cells bytea NOT NULL,
    PRIMARY KEY (content_id, base_zoom)
);

-- Whether a content cannot change any more: published, or another one stands on it. The share
-- locks make an edit wait for a publish of its draft and for the making of pieces, and those for
-- the edit.
CREATE FUNCTION library.is_frozen(contents integer []) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    edition_state text;
BEGIN
    PERFORM FROM library.layer_content AS c WHERE c.id = ANY(contents) FOR KEY SHARE;
    IF EXISTS (
        SELECT FROM library.layer_content AS d WHERE d.base_id = ANY(contents)
    ) THEN
        RETURN true;
    END IF;
    FOR edition_state IN
        SELECT e.state FROM library.edition AS e
        WHERE e.id IN (
            SELECT el.edition_id FROM library.edition_layer AS el
            WHERE el.content_id = ANY(contents)
        )
        FOR SHARE OF e
    LOOP
        IF edition_state <> 'draft' THEN
            RETURN true;
        END IF;
    END LOOP;
    RETURN false;
END $$;

CREATE OR REPLACE FUNCTION library.refuse_change_of_published() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    contents integer [] := CASE TG_OP
        WHEN 'TRUNCATE' THEN ARRAY[TG_ARGV[0]::integer]
        WHEN 'INSERT' THEN ARRAY[NEW.content_id]
        WHEN 'DELETE' THEN ARRAY[OLD.content_id]
        ELSE ARRAY[OLD.content_id, NEW.content_id]
    END;
BEGIN
    -- A TRUNCATE tells nobody which rows went: their pieces would stay.
    IF TG_OP = 'TRUNCATE' OR library.is_frozen(contents) THEN
        RAISE EXCEPTION 'content of % is published or has others standing on it; it cannot change',
            TG_TABLE_NAME
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
END $$;

-- A delta stands on a whole content of its layer, and only while it is being loaded may it become
-- whole itself.
CREATE FUNCTION library.guard_base() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND NEW.base_id IS DISTINCT FROM OLD.base_id AND (
        OLD.state <> 'loading' OR NEW.base_id IS NOT NULL
    ) THEN
        RAISE EXCEPTION 'content % keeps its base', OLD.id USING ERRCODE = 'restrict_violation';
    END IF;
    IF TG_OP = 'INSERT' AND NEW.base_id IS NOT NULL AND NOT EXISTS (
        SELECT FROM library.layer_content AS b
        WHERE
            b.id = NEW.base_id AND b.layer_id = NEW.layer_id AND b.base_id IS NULL
            AND b.state <> 'loading'
        FOR SHARE
    ) THEN
        RAISE EXCEPTION 'content % is no whole, loaded content of layer %',
            NEW.base_id, NEW.layer_id USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER layer_content_base_guard BEFORE INSERT OR UPDATE ON library.layer_content
FOR EACH ROW EXECUTE FUNCTION library.guard_base();

-- Two rows of a content never have one fid or one feature id, wherever they are stored.
CREATE FUNCTION library.refuse_twice_in_delta(content integer, new_fid bigint, new_id text)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    base integer := (SELECT c.base_id FROM library.layer_content AS c WHERE c.id = content);
BEGIN
    IF base IS NULL THEN
        RETURN;
    END IF;
    IF new_fid <= (
        SELECT f.fid FROM library.feature AS f
        WHERE f.content_id = base ORDER BY f.fid DESC LIMIT 1
    ) THEN
        RAISE EXCEPTION 'fid % belongs to the base of content %', new_fid, content
            USING ERRCODE = 'unique_violation';
    END IF;
    IF EXISTS (
        SELECT FROM library.feature AS f
        WHERE
            f.content_id = base AND f.feature_id = new_id AND NOT EXISTS (
                SELECT FROM library.hidden_feature AS h
                WHERE h.content_id = content AND h.fid = f.fid
            )
    ) THEN
        RAISE EXCEPTION 'feature % is in the base of content % and not hidden', new_id, content
            USING ERRCODE = 'unique_violation';
    END IF;
END $$;

CREATE FUNCTION library.mark_touched(content integer) RETURNS void
LANGUAGE sql AS $$
    UPDATE library.layer_content SET state = 'loaded', content_sha256 = NULL
    WHERE id = content AND (state = 'ready' OR state = 'loaded' AND content_sha256 IS NOT NULL)
$$;

CREATE FUNCTION library.note_touched_feature() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        INSERT INTO library.touched_feature (content_id, fid) VALUES (OLD.content_id, OLD.fid)
        ON CONFLICT DO NOTHING;
        PERFORM library.mark_touched(OLD.content_id);
    END IF;
    IF TG_OP <> 'DELETE' THEN
        PERFORM library.refuse_twice_in_delta(NEW.content_id, NEW.fid, NEW.feature_id);
        INSERT INTO library.touched_feature (content_id, fid) VALUES (NEW.content_id, NEW.fid)
        ON CONFLICT DO NOTHING;
        PERFORM library.mark_touched(NEW.content_id);
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER feature_touched AFTER INSERT OR UPDATE OR DELETE ON library.feature
FOR EACH ROW EXECUTE FUNCTION library.note_touched_feature();

-- By statement: thousands of rows are hidden at once.
CREATE FUNCTION library.note_hidden_features() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    contents integer [] := ARRAY(SELECT DISTINCT c.content_id FROM changed AS c);
BEGIN
    IF library.is_frozen(contents) THEN
        RAISE EXCEPTION 'a content of % is published and cannot change', TG_TABLE_NAME
            USING ERRCODE = 'restrict_violation';
    END IF;
    -- A row of the base that holds again: no row of the delta may have its feature id.
    IF TG_OP = 'DELETE' AND EXISTS (
        SELECT FROM changed AS h
        INNER JOIN library.layer_content AS c ON c.id = h.content_id
        INNER JOIN library.feature AS b ON b.content_id = c.base_id AND b.fid = h.fid
        INNER JOIN library.feature AS f ON f.content_id = c.id AND f.feature_id = b.feature_id
    ) THEN
        RAISE EXCEPTION 'a feature of the base is in the delta, too'
            USING ERRCODE = 'unique_violation';
    END IF;
    PERFORM library.mark_touched(one) FROM unnest(contents) AS one;
    RETURN NULL;
END $$;

CREATE TRIGGER hidden_feature_added AFTER INSERT ON library.hidden_feature
REFERENCING NEW TABLE AS changed
FOR EACH STATEMENT EXECUTE FUNCTION library.note_hidden_features();

CREATE TRIGGER hidden_feature_removed AFTER DELETE ON library.hidden_feature
REFERENCING OLD TABLE AS changed
FOR EACH STATEMENT EXECUTE FUNCTION library.note_hidden_features();

CREATE FUNCTION library.refuse() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% of % is never allowed', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END $$;

CREATE TRIGGER hidden_feature_never BEFORE UPDATE OR TRUNCATE ON library.hidden_feature
FOR EACH STATEMENT EXECUTE FUNCTION library.refuse();

-- What readers see: the rows of each content, those of a delta's base among them. "part_id" is
-- the content that stores the row; with "part_id = ANY(parts)" the planner leaves all other
-- partitions away, and with "from_base = ANY('{false}')" the second half of each view.
CREATE SCHEMA reading;

CREATE VIEW reading.feature AS
SELECT
    f.content_id,
    f.content_id AS part_id,
    false AS from_base,
    f.fid,
    f.feature_id,
    f.attributes,
    f.area_m2,
    f.geom
FROM library.feature AS f
UNION ALL
SELECT
    d.id AS content_id,
    f.content_id AS part_id,
    true AS from_base,
    f.fid,
    f.feature_id,
    f.attributes,
    f.area_m2,
    f.geom
FROM library.layer_content AS d
INNER JOIN library.feature AS f ON f.content_id = d.base_id
WHERE d.base_id IS NOT NULL AND NOT EXISTS (
    SELECT FROM library.hidden_feature AS h WHERE h.content_id = d.id AND h.fid = f.fid
);

CREATE VIEW reading.overlay_piece AS
SELECT
    p.content_id,
    p.content_id AS part_id,
    false AS from_base,
    p.fid,
    p.piece,
    p.geom
FROM library.overlay_piece AS p
UNION ALL
SELECT
    d.id AS content_id,
    p.content_id AS part_id,
    true AS from_base,
    p.fid,
    p.piece,
    p.geom
FROM library.layer_content AS d
INNER JOIN library.overlay_piece AS p ON p.content_id = d.base_id
WHERE d.base_id IS NOT NULL AND NOT EXISTS (
    SELECT FROM library.hidden_feature AS h WHERE h.content_id = d.id AND h.fid = p.fid
);

CREATE VIEW reading.tile_piece AS
SELECT
    t.content_id,
    t.content_id AS part_id,
    false AS from_base,
    t.base_zoom,
    t.x,
    t.y,
    t.fid,
    t.properties,
    t.geom
FROM library.tile_piece AS t
UNION ALL
SELECT
    d.id AS content_id,
    t.content_id AS part_id,
    true AS from_base,
    t.base_zoom,
    t.x,
    t.y,
    t.fid,
    t.properties,
    t.geom
FROM library.layer_content AS d
INNER JOIN library.tile_piece AS t ON t.content_id = d.base_id
WHERE
    d.base_id IS NOT NULL
    AND (t.base_zoom >= 10 OR t.by_feature)
    AND NOT EXISTS (
        SELECT FROM library.hidden_feature AS h WHERE h.content_id = d.id AND h.fid = t.fid
    );

-- Where a content has data; a delta has the whole of it.
CREATE VIEW reading.coverage_piece AS
SELECT
    p.content_id,
    p.piece,
    p.geom
FROM library.coverage_piece AS p;

CREATE VIEW reading.source_feature AS
SELECT
    s.content_id,
    s.fid,
    s.source_crs,
    s.geom_wkb,
    s.attributes
FROM library.source_feature AS s
UNION ALL
SELECT
    d.id AS content_id,
    s.fid,
    s.source_crs,
    s.geom_wkb,
    s.attributes
FROM library.layer_content AS d
INNER JOIN library.source_feature AS s ON s.content_id = d.base_id
WHERE d.base_id IS NOT NULL AND NOT EXISTS (
    SELECT FROM library.hidden_feature AS h WHERE h.content_id = d.id AND h.fid = s.fid
);

-- The parts of a content: itself, and its base if it has one.
CREATE VIEW reading.content_part AS
SELECT
    c.id AS content_id,
    c.id AS part_id
FROM library.layer_content AS c
UNION ALL
SELECT
    d.id AS content_id,
    d.base_id AS part_id
FROM library.layer_content AS d
WHERE d.base_id IS NOT NULL;
