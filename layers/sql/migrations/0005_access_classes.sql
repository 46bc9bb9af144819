-- Access classes: the rows of internal and restricted layers live in schemas of their own, what
-- stands in "library" beside them is open. Roles and their rights come with layers.roles, since
-- roles belong to the cluster and their names to its administrator. Row security is on for the
-- small tables that speak of layers; the owner is not bound by it. Features have none: it would
-- take the spatial index from every search (PostGIS operators are not leakproof).

CREATE SCHEMA library_internal;
CREATE SCHEMA library_restricted;

CREATE FUNCTION library.schema_of_class(access_class text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN access_class = 'open' THEN 'library' ELSE 'library_' || access_class END
$$;

DO $$
DECLARE
    class text;
    name text;
    definition text;
BEGIN
    FOREACH class IN ARRAY ARRAY['library_internal', 'library_restricted'] LOOP
        FOREACH name IN ARRAY ARRAY['feature', 'overlay_piece', 'tile_piece'] LOOP
            EXECUTE format(
                'CREATE TABLE %I.%I (LIKE library.%I INCLUDING ALL) PARTITION BY LIST (content_id)',
                class, name, name
            );
        END LOOP;
        EXECUTE format(
            'CREATE TABLE %I.coverage_piece (LIKE library.coverage_piece INCLUDING ALL)', class
        );
        EXECUTE format(
            'ALTER TABLE %I.coverage_piece ADD FOREIGN KEY (content_id)'
            ' REFERENCES library.layer_content (id) ON DELETE CASCADE', class
        );
        -- What guards the open rows guards these.
        FOR definition IN
            SELECT pg_get_triggerdef(t.oid) FROM pg_trigger AS t
            WHERE
                NOT t.tgisinternal AND t.tgrelid IN (
                    'library.feature'::regclass, 'library.overlay_piece'::regclass,
                    'library.tile_piece'::regclass, 'library.coverage_piece'::regclass
                )
        LOOP
            EXECUTE regexp_replace(
                definition, ' ON library\.(feature|overlay_piece|tile_piece|coverage_piece) ',
                format(' ON %I.\1 ', class)
            );
        END LOOP;
    END LOOP;
END $$;

-- Views of three circles of readers. "stored_" views hold rows as the contents store them, the
-- others show a delta as a whole content (0002). Each stands on what its circle may read only, so
-- that no condition of a reader ever meets another row.
CREATE SCHEMA reading_internal;
CREATE SCHEMA reading_open;

DO $$
DECLARE
    reader record;
    kind record;
    stored text;
BEGIN
    FOR reader IN
        SELECT * FROM (VALUES
            ('reading', ARRAY['library', 'library_internal', 'library_restricted']),
            ('reading_internal', ARRAY['library', 'library_internal']),
            ('reading_open', ARRAY['library'])
        ) AS v (schema, parents)
    LOOP
        FOR kind IN
            SELECT * FROM (VALUES
                ('feature', 'fid, feature_id, attributes, area_m2, geom', 'true'),
                ('overlay_piece', 'fid, piece, geom', 'true'),
                (
                    'tile_piece', 'base_zoom, x, y, fid, properties, geom',
                    '(s.base_zoom >= 10 OR s.by_feature)'
                ),
                ('coverage_piece', 'piece, geom', NULL)
            ) AS v (name, columns, holds)
        LOOP
            SELECT string_agg(
                format('SELECT * FROM %I.%I', parent, kind.name), ' UNION ALL ' ORDER BY parent
            ) INTO stored
            FROM unnest(reader.parents) AS parent;
            IF kind.holds IS NULL THEN
                EXECUTE format(
                    'CREATE OR REPLACE VIEW %I.%I AS SELECT s.content_id, %s FROM (%s) AS s',
                    reader.schema, kind.name, kind.columns, stored
                );
                CONTINUE;
            END IF;
            EXECUTE format(
                'CREATE VIEW %I.%I AS %s', reader.schema, 'stored_' || kind.name, stored
            );
            EXECUTE format(
                'CREATE OR REPLACE VIEW %1$I.%2$I AS'
                ' SELECT s.content_id, s.content_id AS part_id, false AS from_base, %4$s'
                ' FROM %1$I.%3$I AS s'
                ' UNION ALL'
                ' SELECT d.id AS content_id, s.content_id AS part_id, true AS from_base, %4$s'
                ' FROM library.layer_content AS d'
                ' INNER JOIN %1$I.%3$I AS s ON s.content_id = d.base_id'
                ' WHERE d.base_id IS NOT NULL AND %5$s AND NOT EXISTS ('
                ' SELECT FROM library.hidden_feature AS h'
                ' WHERE h.content_id = d.id AND h.fid = s.fid)',
                reader.schema, kind.name, 'stored_' || kind.name, kind.columns, kind.holds
            );
        END LOOP;
        EXECUTE format(
            'CREATE OR REPLACE VIEW %I.content_part WITH (security_barrier) AS'
            ' SELECT c.id AS content_id, c.id AS part_id FROM library.layer_content AS c'
            ' INNER JOIN library.layer AS l ON l.id = c.layer_id AND l.access_class = ANY(%L)'
            ' UNION ALL'
            ' SELECT d.id AS content_id, d.base_id AS part_id FROM library.layer_content AS d'
            ' INNER JOIN library.layer AS l ON l.id = d.layer_id AND l.access_class = ANY(%L)'
            ' WHERE d.base_id IS NOT NULL',
            reader.schema,
            (ARRAY['open', 'internal', 'restricted'])[1:cardinality(reader.parents)],
            (ARRAY['open', 'internal', 'restricted'])[1:cardinality(reader.parents)]
        );
    END LOOP;
END $$;

-- The guards of 0002 look into bases of every class.
CREATE OR REPLACE FUNCTION library.refuse_twice_in_delta(
    content integer, new_fid bigint, new_id text
)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    base integer := (SELECT c.base_id FROM library.layer_content AS c WHERE c.id = content);
BEGIN
    IF base IS NULL THEN
        RETURN;
    END IF;
    IF new_fid <= (
        SELECT max(f.fid) FROM reading.stored_feature AS f WHERE f.content_id = base
    ) THEN
        RAISE EXCEPTION 'fid % belongs to the base of content %', new_fid, content
            USING ERRCODE = 'unique_violation';
    END IF;
    IF EXISTS (
        SELECT FROM reading.stored_feature AS f
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

CREATE OR REPLACE FUNCTION library.note_hidden_features() RETURNS trigger
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
        INNER JOIN reading.stored_feature AS b ON b.content_id = c.base_id AND b.fid = h.fid
        INNER JOIN reading.stored_feature AS f
            ON f.content_id = c.id AND f.feature_id = b.feature_id
    ) THEN
        RAISE EXCEPTION 'a feature of the base is in the delta, too'
            USING ERRCODE = 'unique_violation';
    END IF;
    PERFORM library.mark_touched(one) FROM unnest(contents) AS one;
    RETURN NULL;
END $$;

-- A report is of the highest class of the layers it read; whoever does not say, says "restricted".
ALTER TABLE library.report ADD COLUMN access_class text NOT NULL DEFAULT 'open'
CHECK (access_class IN ('open', 'internal', 'restricted'));
ALTER TABLE library.report ALTER COLUMN access_class SET DEFAULT 'restricted';

ALTER TABLE library.plan ENABLE ROW LEVEL SECURITY;
ALTER TABLE library.layer ENABLE ROW LEVEL SECURITY;
ALTER TABLE library.edition ENABLE ROW LEVEL SECURITY;
ALTER TABLE library.edition_layer ENABLE ROW LEVEL SECURITY;
ALTER TABLE library.in_force ENABLE ROW LEVEL SECURITY;
ALTER TABLE library.layer_content ENABLE ROW LEVEL SECURITY;
ALTER TABLE library.hidden_feature ENABLE ROW LEVEL SECURITY;
ALTER TABLE library.report ENABLE ROW LEVEL SECURITY;
ALTER TABLE library.quality_run ENABLE ROW LEVEL SECURITY;
ALTER TABLE library.quality_finding ENABLE ROW LEVEL SECURITY;
ALTER TABLE library.quality_outline ENABLE ROW LEVEL SECURITY;

-- Nobody but the owner puts a table where a name is looked for first.
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
