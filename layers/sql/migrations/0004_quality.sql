-- Quality runs: what the checks of an edition found, as rows. A run is written whole, in one
-- transaction, and never changed: it says which contents it looked at, so that nobody takes it
-- for a word about other ones.

CREATE TABLE library.quality_run (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    edition_id integer NOT NULL REFERENCES library.edition (id) ON DELETE CASCADE,
    started timestamptz NOT NULL,
    finished timestamptz NOT NULL DEFAULT now(),
    -- Layer id -> "content id:sha256"; exactly these rows were checked (a draft can be edited).
    contents jsonb NOT NULL,
    -- Layer id -> {edition, content} of other plans that were compared with.
    counterparts jsonb NOT NULL DEFAULT '{}',
    outcome text NOT NULL CHECK (outcome IN ('blocked', 'incomplete', 'advisory', 'clean')),
    blocking bigint NOT NULL,
    advisory bigint NOT NULL,
    -- Whole counts by layer, code, origin and severity; findings of a kind are kept up to a number.
    counts jsonb NOT NULL,
    levels jsonb NOT NULL,
    engine jsonb NOT NULL
);

CREATE INDEX quality_run_edition ON library.quality_run (edition_id, id DESC);

CREATE TABLE library.quality_finding (
    run_id integer NOT NULL REFERENCES library.quality_run (id) ON DELETE CASCADE,
    number integer NOT NULL,
    origin text NOT NULL CHECK (origin IN ('import', 'edition')),
    code text NOT NULL,
    severity text NOT NULL CHECK (severity IN ('blocking', 'advisory')),
    layer_id text NOT NULL REFERENCES library.layer (id),
    -- No foreign key: a draft's content goes when a later import replaces it, its findings stay.
    content_id integer NOT NULL,
    feature_ids text [] NOT NULL DEFAULT '{}',
    other_layer_id text REFERENCES library.layer (id),
    other_content_id integer,
    source_row bigint,
    field text,
    value text,
    measured double precision,
    unit text CHECK (unit IN ('m2', 'm', 'deg', '1')),
    width_m double precision,
    reason jsonb NOT NULL,
    place geometry (Point, 4490),
    geom geometry (Geometry, 4490),
    PRIMARY KEY (run_id, number)
);

CREATE INDEX quality_finding_place ON library.quality_finding USING gist (place);

-- What the report's map is drawn with: each layer's shapes, simplified to a pixel of the page.
CREATE TABLE library.quality_outline (
    run_id integer NOT NULL REFERENCES library.quality_run (id) ON DELETE CASCADE,
    layer_id text NOT NULL REFERENCES library.layer (id),
    geom geometry (Geometry, 4490) NOT NULL,
    PRIMARY KEY (run_id, layer_id)
);

CREATE FUNCTION library.guard_quality() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    -- Runs go with their draft edition only; by then its row is gone.
    IF TG_OP = 'DELETE' THEN
        IF TG_TABLE_NAME = 'quality_run' THEN
            IF NOT EXISTS (SELECT FROM library.edition AS e WHERE e.id = OLD.edition_id) THEN
                RETURN OLD;
            END IF;
        ELSIF NOT EXISTS (SELECT FROM library.quality_run AS r WHERE r.id = OLD.run_id) THEN
            RETURN OLD;
        END IF;
    END IF;
    RAISE EXCEPTION '% is a record and cannot change', TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END $$;

CREATE TRIGGER quality_run_is_immutable BEFORE UPDATE OR DELETE ON library.quality_run
FOR EACH ROW EXECUTE FUNCTION library.guard_quality();

CREATE TRIGGER quality_run_stays BEFORE TRUNCATE ON library.quality_run
FOR EACH STATEMENT EXECUTE FUNCTION library.guard_quality();

CREATE TRIGGER quality_finding_is_immutable BEFORE UPDATE OR DELETE ON library.quality_finding
FOR EACH ROW EXECUTE FUNCTION library.guard_quality();

CREATE TRIGGER quality_finding_stays BEFORE TRUNCATE ON library.quality_finding
FOR EACH STATEMENT EXECUTE FUNCTION library.guard_quality();
