-- The spatial library: plan -> edition -> layer -> feature, in EPSG:4490 (CGCS2000, x = longitude).
-- Runs once, in one transaction; never edited after release: a change is a new file.

CREATE EXTENSION IF NOT EXISTS postgis;
CREATE EXTENSION IF NOT EXISTS btree_gist;

CREATE SCHEMA IF NOT EXISTS library;
CREATE SCHEMA IF NOT EXISTS layer_view;

-- Mirror of the catalogue (config/layers), kept equal by layers.catalog_sync.
CREATE TABLE library.plan (
    id text PRIMARY KEY,
    kind text NOT NULL,
    rank integer NOT NULL,
    definition jsonb NOT NULL
);

CREATE TABLE library.layer (
    id text PRIMARY KEY,
    plan_id text NOT NULL REFERENCES library.plan (id),
    access_class text NOT NULL CHECK (access_class IN ('open', 'internal', 'restricted')),
    accuracy_m double precision NOT NULL CHECK (accuracy_m > 0),
    definition jsonb NOT NULL
);

-- An edition (版本) of a plan; immutable once it has been published.
CREATE TABLE library.edition (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    plan_id text NOT NULL REFERENCES library.plan (id),
    state text NOT NULL DEFAULT 'draft'
    CHECK (state IN ('draft', 'published', 'superseded', 'withdrawn')),
    title jsonb NOT NULL,
    valid_from date NOT NULL,
    synthetic boolean NOT NULL DEFAULT false,
    created timestamptz NOT NULL DEFAULT now(),
    published timestamptz,
    metadata jsonb NOT NULL DEFAULT '{}'
);

-- A plan has at most one draft that takes imports.
CREATE UNIQUE INDEX edition_one_draft ON library.edition (plan_id) WHERE state = 'draft';

-- Which edition is in force when (valid) and since when we know it (recorded): bitemporal.
-- Nothing is updated here except that "recorded" is closed.
CREATE TABLE library.in_force (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    plan_id text NOT NULL REFERENCES library.plan (id),
    edition_id integer NOT NULL REFERENCES library.edition (id),
    valid daterange NOT NULL CHECK (NOT isempty(valid)),
    recorded tstzrange NOT NULL DEFAULT tstzrange(now(), NULL),
    CONSTRAINT in_force_one_edition_at_a_time
    EXCLUDE USING gist (plan_id WITH =, valid WITH &&) WHERE (upper_inf(recorded))
);

-- The content of one layer, as imported once. Several editions of a plan may share it: an
-- edition that brings only one layer anew carries the others over without copying a row.
CREATE TABLE library.layer_content (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    layer_id text NOT NULL REFERENCES library.layer (id),
    state text NOT NULL DEFAULT 'loading' CHECK (state IN ('loading', 'loaded', 'ready')),
    -- As stated when it was imported: a later change of the catalogue changes no old verdict.
    accuracy_m double precision NOT NULL CHECK (accuracy_m > 0),
    feature_count bigint,
    content_sha256 text,
    coverage geometry (MultiPolygon, 4490),
    extent geometry (Polygon, 4490),
    source jsonb NOT NULL DEFAULT '{}',
    import_report jsonb NOT NULL DEFAULT '{}',
    blocking_issues integer NOT NULL DEFAULT 0,
    created timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE library.edition_layer (
    edition_id integer NOT NULL REFERENCES library.edition (id),
    layer_id text NOT NULL REFERENCES library.layer (id),
    content_id integer NOT NULL REFERENCES library.layer_content (id),
    carried_over boolean NOT NULL DEFAULT false,
    PRIMARY KEY (edition_id, layer_id)
);

CREATE INDEX edition_layer_content ON library.edition_layer (content_id);

-- Features, one partition for each layer content, so that an import is a load beside the
-- library and an attach, and a layer's spatial index holds nothing but that layer.
CREATE TABLE library.feature (
    content_id integer NOT NULL,
    fid bigint NOT NULL,
    feature_id text NOT NULL,
    attributes jsonb NOT NULL,
    area_m2 double precision,
    geom geometry (Geometry, 4490) NOT NULL
    CHECK (NOT ST_IsEmpty(geom)) CHECK (ST_IsValid(geom)),
    PRIMARY KEY (content_id, fid),
    UNIQUE (content_id, feature_id)
) PARTITION BY LIST (content_id);

CREATE INDEX feature_geom ON library.feature USING gist (geom);

-- The row as it came, where snapping, mending or a change of CRS made the stored one differ.
CREATE TABLE library.source_feature (
    content_id integer NOT NULL REFERENCES library.layer_content (id),
    fid bigint NOT NULL,
    source_crs text NOT NULL,
    geom_wkb bytea NOT NULL,
    attributes jsonb NOT NULL,
    PRIMARY KEY (content_id, fid)
);

-- Derived: pieces of at most 128 vertices, for overlay and point queries (reference: 23x faster).
CREATE TABLE library.overlay_piece (
    content_id integer NOT NULL,
    fid bigint NOT NULL,
    piece integer NOT NULL,
    geom geometry (Geometry, 4490) NOT NULL,
    PRIMARY KEY (content_id, fid, piece)
) PARTITION BY LIST (content_id);

CREATE INDEX overlay_piece_geom ON library.overlay_piece USING gist (geom);

-- Derived: the coverage of a content in small pieces; a check reads those near its site.
CREATE TABLE library.coverage_piece (
    content_id integer NOT NULL REFERENCES library.layer_content (id) ON DELETE CASCADE,
    piece integer NOT NULL,
    geom geometry (Polygon, 4490) NOT NULL,
    PRIMARY KEY (content_id, piece)
);

-- Derived: web-mercator pieces clipped to the tiles of a base zoom, with a margin; for drawing
-- only, never for measuring. base_zoom 13 serves z >= 13, 10 serves 10-12, 7 serves 7-9, 4 below.
CREATE TABLE library.tile_piece (
    content_id integer NOT NULL,
    base_zoom smallint NOT NULL,
    x integer NOT NULL,
    y integer NOT NULL,
    fid bigint NOT NULL,
    properties jsonb NOT NULL,
    geom geometry (Geometry, 3857) NOT NULL
) PARTITION BY LIST (content_id);

CREATE INDEX tile_piece_tile ON library.tile_piece (base_zoom, x, y);

CREATE TABLE library.import_issue (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    content_id integer NOT NULL REFERENCES library.layer_content (id) ON DELETE CASCADE,
    source_row bigint,
    field text,
    value text,
    code text NOT NULL,
    severity text NOT NULL CHECK (severity IN ('blocking', 'advisory')),
    reason jsonb NOT NULL
);

CREATE INDEX import_issue_content ON library.import_issue (content_id);

-- Reports as issued; the JSON is the master of every other form.
CREATE TABLE library.report (
    id text PRIMARY KEY,
    created timestamptz NOT NULL,
    outcome text NOT NULL,
    digest text NOT NULL,
    body bytea NOT NULL
);

-- Published content cannot change, whoever writes and whichever table he names. Row triggers of
-- the parent reach every partition from the moment it is attached; a load comes before that and
-- pays nothing. TRUNCATE has no rows: each partition gets a statement trigger with its content.
CREATE FUNCTION library.refuse_change_of_published() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    contents integer [] := CASE TG_OP
        WHEN 'TRUNCATE' THEN ARRAY[TG_ARGV[0]::integer]
        ELSE ARRAY[OLD.content_id, NEW.content_id]
    END;
BEGIN
    IF EXISTS (
        SELECT FROM library.edition_layer AS el
        INNER JOIN library.edition AS e ON e.id = el.edition_id
        WHERE el.content_id = ANY(contents) AND e.state <> 'draft'
    ) THEN
        RAISE EXCEPTION 'content of % belongs to a published edition and cannot change',
            TG_TABLE_NAME
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN CASE TG_OP WHEN 'TRUNCATE' THEN NULL WHEN 'DELETE' THEN OLD ELSE NEW END;
END $$;

CREATE TRIGGER feature_published_is_immutable BEFORE INSERT OR UPDATE OR DELETE ON library.feature
FOR EACH ROW EXECUTE FUNCTION library.refuse_change_of_published();

-- What is derived from published content is as untouchable: without its pieces a redline is blank.
CREATE TRIGGER overlay_piece_published_is_immutable
BEFORE INSERT OR UPDATE OR DELETE ON library.overlay_piece
FOR EACH ROW EXECUTE FUNCTION library.refuse_change_of_published();

CREATE TRIGGER coverage_piece_published_is_immutable
BEFORE INSERT OR UPDATE OR DELETE ON library.coverage_piece
FOR EACH ROW EXECUTE FUNCTION library.refuse_change_of_published();

CREATE FUNCTION library.guard_layer_content() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF (
        TG_OP = 'DELETE'
        OR NEW.layer_id <> OLD.layer_id
        OR NEW.state <> OLD.state
        OR NEW.accuracy_m <> OLD.accuracy_m
        OR NEW.content_sha256 IS DISTINCT FROM OLD.content_sha256
        OR NEW.feature_count IS DISTINCT FROM OLD.feature_count
        OR NOT NEW.coverage IS NOT DISTINCT FROM OLD.coverage
    ) AND EXISTS (
        SELECT FROM library.edition_layer AS el
        INNER JOIN library.edition AS e ON e.id = el.edition_id
        WHERE el.content_id = OLD.id AND e.state <> 'draft'
    ) THEN
        RAISE EXCEPTION 'content % belongs to a published edition and cannot change', OLD.id
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
END $$;

CREATE TRIGGER layer_content_published_is_immutable BEFORE UPDATE OR DELETE ON library.layer_content
FOR EACH ROW EXECUTE FUNCTION library.guard_layer_content();

-- An edition leaves the draft state by publishing only and never comes back to it.
CREATE FUNCTION library.guard_edition_state() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF OLD.state <> 'draft' THEN
            RAISE EXCEPTION 'edition % is published and cannot be deleted', OLD.id
                USING ERRCODE = 'restrict_violation';
        END IF;
        RETURN OLD;
    END IF;
    IF OLD.state <> 'draft' AND (
        NEW.state = 'draft' OR NEW.plan_id <> OLD.plan_id OR NEW.valid_from <> OLD.valid_from
        OR NEW.title <> OLD.title OR NEW.metadata <> OLD.metadata
        OR NEW.published IS DISTINCT FROM OLD.published
    ) THEN
        RAISE EXCEPTION 'edition % is published and cannot change', OLD.id
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER edition_state BEFORE UPDATE OR DELETE ON library.edition
FOR EACH ROW EXECUTE FUNCTION library.guard_edition_state();

CREATE FUNCTION library.guard_edition_layer() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    edition integer := CASE WHEN TG_OP = 'INSERT' THEN NEW.edition_id ELSE OLD.edition_id END;
BEGIN
    IF (SELECT e.state FROM library.edition AS e WHERE e.id = edition) <> 'draft' THEN
        RAISE EXCEPTION 'edition % is published and cannot change', edition
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
END $$;

CREATE TRIGGER edition_layer_guard BEFORE INSERT OR UPDATE OR DELETE ON library.edition_layer
FOR EACH ROW EXECUTE FUNCTION library.guard_edition_layer();

-- The layer contents in force today; what the typed views in layer_view stand on.
CREATE VIEW library.layer_in_force AS
SELECT
    el.layer_id,
    el.content_id,
    f.edition_id
FROM library.in_force AS f
INNER JOIN library.edition_layer AS el ON el.edition_id = f.edition_id
WHERE upper_inf(f.recorded) AND f.valid @> current_date;
