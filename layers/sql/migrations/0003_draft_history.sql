-- A draft that is edited feature by feature keeps its history, whoever edits and by whatever way:
-- the Python functions (layers.draft_edits), QGIS on the views in "layer_draft", plain SQL. Runs
-- once, in one transaction; never edited after release.

CREATE SCHEMA layer_draft;

-- One row for each change of a feature in a draft's content; version 0 is what the draft began with.
CREATE TABLE library.feature_history (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    content_id integer NOT NULL REFERENCES library.layer_content (id) ON DELETE CASCADE,
    feature_id text NOT NULL,
    version integer NOT NULL CHECK (version > 0),
    action text NOT NULL CHECK (action IN ('create', 'update', 'delete')),
    attributes_before jsonb,
    attributes_after jsonb,
    geom_before geometry (Geometry, 4490),
    geom_after geometry (Geometry, 4490),
    changed_by text NOT NULL,
    reason text,
    changed timestamptz NOT NULL,
    UNIQUE (content_id, feature_id, version)
);

CREATE FUNCTION library.guard_feature_history() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    -- With a discarded draft its history goes, and only then.
    IF TG_OP = 'DELETE' AND NOT EXISTS (
        SELECT FROM library.layer_content AS c WHERE c.id = OLD.content_id
    ) THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'history is not rewritten' USING ERRCODE = 'restrict_violation';
END $$;

CREATE TRIGGER feature_history_is_kept BEFORE UPDATE OR DELETE ON library.feature_history
FOR EACH ROW EXECUTE FUNCTION library.guard_feature_history();

CREATE TRIGGER feature_history_is_not_truncated BEFORE TRUNCATE ON library.feature_history
FOR EACH STATEMENT EXECUTE FUNCTION library.guard_feature_history();

-- The box that every draft's features have to lie in, as the service is configured (degrees).
CREATE TABLE library.draft_region (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    west double precision NOT NULL,
    south double precision NOT NULL,
    east double precision NOT NULL,
    north double precision NOT NULL
);

-- Asked when a row changes, not at the end: an import hides and loads rows while it is loading.
CREATE FUNCTION library.keeps_history(content integer) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT coalesce(
        (SELECT c.state <> 'loading' FROM library.layer_content AS c WHERE c.id = content), false
    )
$$;

-- Compares what a feature was with what it is at the end of the transaction: a row of the base
-- that is hidden and stored anew is one change and not two. An edit that nobody has held against
-- code lists and attribute types yet blocks the publish (layers.draft_checks takes the note away).
CREATE FUNCTION library.note_history(
    content integer, name text, attributes_then jsonb, geom_then geometry
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    part integer [];
    last library.feature_history;
    attributes_now jsonb;
    geom_now geometry;
BEGIN
    SELECT ARRAY[c.id, c.base_id] INTO part FROM library.layer_content AS c WHERE c.id = content;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    SELECT h.* INTO last FROM library.feature_history AS h
    WHERE h.content_id = content AND h.feature_id = name
    ORDER BY h.version DESC LIMIT 1;
    IF last.version IS NOT NULL THEN
        attributes_then := last.attributes_after;
        geom_then := last.geom_after;
    END IF;
    SELECT f.attributes, f.geom INTO attributes_now, geom_now
    FROM reading.feature AS f
    WHERE f.content_id = content AND f.part_id = ANY(part) AND f.feature_id = name;
    IF attributes_then IS NOT DISTINCT FROM attributes_now
        AND ST_AsBinary(geom_then) IS NOT DISTINCT FROM ST_AsBinary(geom_now)
    THEN
        RETURN;
    END IF;
    INSERT INTO library.feature_history (
        content_id, feature_id, version, action, attributes_before, attributes_after,
        geom_before, geom_after, changed_by, reason, changed
    ) VALUES (
        content, name, coalesce(last.version, 0) + 1,
        CASE
            WHEN geom_then IS NULL THEN 'create' WHEN geom_now IS NULL THEN 'delete' ELSE 'update'
        END,
        attributes_then, attributes_now, geom_then, geom_now,
        coalesce(nullif(current_setting('library.editor', true), ''), session_user),
        nullif(current_setting('library.edit_reason', true), ''),
        clock_timestamp()
    );
    INSERT INTO library.import_issue (content_id, code, severity, reason)
    SELECT content, 'edits-not-checked', 'blocking', jsonb_build_object(
        'zh', '草稿编辑后尚未检查（gis-service drafts check）。',
        'en', 'The draft was edited and not checked since (gis-service drafts check).'
    )
    WHERE NOT EXISTS (
        SELECT FROM library.import_issue AS i
        WHERE i.content_id = content AND i.code = 'edits-not-checked'
    );
    IF FOUND THEN
        UPDATE library.layer_content SET blocking_issues = blocking_issues + 1 WHERE id = content;
    END IF;
END $$;

CREATE FUNCTION library.note_feature_change() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        PERFORM library.note_history(OLD.content_id, OLD.feature_id, OLD.attributes, OLD.geom);
    END IF;
    IF TG_OP = 'INSERT' OR TG_OP = 'UPDATE' AND NEW.feature_id <> OLD.feature_id THEN
        PERFORM library.note_history(NEW.content_id, NEW.feature_id, NULL, NULL);
    END IF;
    RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER feature_history_insert AFTER INSERT ON library.feature
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (library.keeps_history(NEW.content_id))
EXECUTE FUNCTION library.note_feature_change();

CREATE CONSTRAINT TRIGGER feature_history_change AFTER UPDATE OR DELETE ON library.feature
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (library.keeps_history(OLD.content_id))
EXECUTE FUNCTION library.note_feature_change();

CREATE FUNCTION library.note_hidden_change() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    hidden library.hidden_feature := CASE WHEN TG_OP = 'INSERT' THEN NEW ELSE OLD END;
    base library.feature;
BEGIN
    SELECT f.* INTO base
    FROM library.layer_content AS c
    INNER JOIN reading.stored_feature AS f ON f.content_id = c.base_id AND f.fid = hidden.fid
    WHERE c.id = hidden.content_id;
    IF FOUND AND TG_OP = 'INSERT' THEN
        PERFORM library.note_history(
            hidden.content_id, base.feature_id, base.attributes, base.geom
        );
    ELSIF FOUND THEN
        PERFORM library.note_history(hidden.content_id, base.feature_id, NULL, NULL);
    END IF;
    RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER hidden_history_insert AFTER INSERT ON library.hidden_feature
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (library.keeps_history(NEW.content_id))
EXECUTE FUNCTION library.note_hidden_change();

CREATE CONSTRAINT TRIGGER hidden_history_delete AFTER DELETE ON library.hidden_feature
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (library.keeps_history(OLD.content_id))
EXECUTE FUNCTION library.note_hidden_change();

-- What a geometry has to be to stand in a draft; refused with the reason, never mended. Larger
-- ones than the database should judge (GEOS cannot be stopped) come by the command line.
CREATE FUNCTION library.draft_geometry(shape geometry, dimension integer) RETURNS geometry
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    region library.draft_region;
    snapped geometry;
    fault text;
BEGIN
    SELECT r.* INTO region FROM library.draft_region AS r;
    fault := CASE
        WHEN region.one IS NULL
            THEN '服务范围未设定，请先执行 gis-service drafts open / the region is not set, run: '
            || 'gis-service drafts open'
        WHEN shape IS NULL OR ST_IsEmpty(shape) THEN '图形为空 / the geometry is empty'
        WHEN ST_SRID(shape) <> 4490
            THEN '坐标系应为 CGCS2000（EPSG:4490）/ the CRS must be CGCS2000 (EPSG:4490)'
        WHEN ST_HasArc(shape) THEN '不接受圆弧 / arcs are not accepted'
        WHEN ST_Dimension(shape) <> dimension OR GeometryType(shape) = 'GEOMETRYCOLLECTION'
            THEN '图形类型不符 / the geometry is of another kind than the layer''s'
        WHEN ST_NPoints(shape) > 20000
            THEN '顶点超过 20000 个，请用导入 / more than 20,000 vertices, import a file instead'
        WHEN NOT ST_IsValid(shape)
            THEN '图形无效 / invalid geometry: ' || ST_IsValidReason(shape)
        WHEN ST_XMin(shape) < region.west OR ST_XMax(shape) > region.east
            OR ST_YMin(shape) < region.south OR ST_YMax(shape) > region.north
            THEN '图形超出行政区域范围 / the geometry lies outside the region'
    END;
    IF fault IS NULL THEN
        snapped := ST_ReducePrecision(ST_Force2D(shape), 1e-8);
        IF ST_IsEmpty(snapped) OR ST_Dimension(snapped) <> dimension THEN
            fault := '图形小于存储网格（约 1 毫米）/ the geometry is thinner than the storage grid';
        END IF;
    END IF;
    IF fault IS NOT NULL THEN
        RAISE EXCEPTION '%', fault USING ERRCODE = 'check_violation';
    END IF;
    RETURN CASE WHEN ST_NumGeometries(snapped) = 1 THEN ST_GeometryN(snapped, 1) ELSE snapped END;
END $$;

-- The editable side of the views layer_draft.<layer>. Arguments: layer, dimension, id attribute.
-- Areas are measured by layers.draft_checks before a publish and unknown until then.
CREATE FUNCTION library.edit_draft() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    draft library.layer_content;
    id_attribute text := nullif(TG_ARGV[2], '');
    stored reading.feature;
    shape geometry;
    content jsonb;
    name text;
    next_fid bigint;
    area_m2 double precision;
    rows_of text;
BEGIN
    SELECT c.* INTO draft
    FROM library.edition_layer AS el
    INNER JOIN library.edition AS e ON e.id = el.edition_id AND e.state = 'draft'
    INNER JOIN library.layer_content AS c ON c.id = el.content_id
    WHERE el.layer_id = TG_ARGV[0]
    FOR NO KEY UPDATE OF c;
    IF NOT FOUND THEN
        RAISE EXCEPTION '图层 % 没有草稿 / layer % has no draft; gis-service drafts open',
            TG_ARGV[0], TG_ARGV[0] USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    next_fid := 1 + greatest(
        (SELECT max(f.fid) FROM reading.stored_feature AS f WHERE f.content_id = draft.id),
        (SELECT max(f.fid) FROM reading.stored_feature AS f WHERE f.content_id = draft.base_id),
        0
    );
    IF TG_OP <> 'INSERT' THEN
        SELECT f.* INTO stored FROM reading.feature AS f
        WHERE
            f.content_id = draft.id AND f.part_id IN (draft.id, draft.base_id)
            AND f.feature_id = OLD.feature_id;
        IF NOT FOUND THEN
            RETURN NULL;
        END IF;
        name := stored.feature_id;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        shape := CASE
            WHEN TG_OP = 'UPDATE' AND ST_AsBinary(NEW.geom) = ST_AsBinary(stored.geom)
                THEN stored.geom
            ELSE library.draft_geometry(NEW.geom, TG_ARGV[1]::integer)
        END;
        NEW.geom := shape;
        content := jsonb_strip_nulls(
            to_jsonb(NEW) - ARRAY['fid', 'feature_id', 'area_m2', 'geom']
        );
        IF TG_OP = 'INSERT' THEN
            name := coalesce(NEW.feature_id, content ->> id_attribute, next_fid::text);
        END IF;
        IF id_attribute IS NOT NULL THEN
            content := jsonb_build_object(id_attribute, name) || content;
        END IF;
        IF NEW.feature_id <> name OR content ->> id_attribute <> name THEN
            RAISE EXCEPTION '要素编号不可更改 / a feature id does not change'
                USING ERRCODE = 'check_violation';
        END IF;
    END IF;
    area_m2 := CASE
        WHEN ST_AsBinary(shape) = ST_AsBinary(stored.geom) THEN stored.area_m2
    END;
    -- Partitions keep their names in "library" whatever the access class of their layer.
    rows_of := format('library.%I', 'feature_c' || draft.id);
    IF TG_OP = 'UPDATE' AND stored.part_id = draft.id THEN
        EXECUTE format(
            'UPDATE %s SET attributes = $1, geom = $2, area_m2 = $3 WHERE fid = $4', rows_of
        ) USING content, shape, area_m2, stored.fid;
        RETURN NEW;
    END IF;
    IF TG_OP <> 'INSERT' AND stored.part_id = draft.id THEN
        EXECUTE format('DELETE FROM %s WHERE fid = $1', rows_of) USING stored.fid;
    ELSIF TG_OP <> 'INSERT' THEN
        INSERT INTO library.hidden_feature (content_id, fid) VALUES (draft.id, stored.fid);
    END IF;
    IF TG_OP = 'DELETE' THEN
        RETURN OLD;
    END IF;
    EXECUTE format(
        'INSERT INTO %s (content_id, fid, feature_id, attributes, area_m2, geom)'
        ' VALUES ($1, $2, $3, $4, $5, $6)', rows_of
    ) USING draft.id, next_fid, name, content, area_m2, shape;
    NEW.fid := next_fid;
    NEW.feature_id := name;
    RETURN NEW;
END $$;
