-- Edits of drafts by processes that may not write tables, and the jobs of OGC processes. Runs once,
-- in one transaction; never edited after release.

-- A serving process shows the key of its caller and edits as that caller: without a valid key of
-- an editor it can change nothing, whatever a hole in it might let somebody do. The owner's own
-- commands show none. Gives the name that the history keeps.
CREATE FUNCTION library.begin_draft_edit(content integer, key_digest bytea) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    held record;
    editor text;
BEGIN
    SELECT c.id, c.layer_id INTO held FROM library.layer_content AS c
    WHERE c.id = content FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    IF pg_has_role(
        session_user,
        (SELECT t.relowner FROM pg_class AS t WHERE t.oid = 'library.layer_content'::regclass),
        'MEMBER'
    ) AND key_digest IS NULL THEN
        RETURN nullif(current_setting('library.editor', true), '');
    END IF;
    SELECT k.name INTO editor FROM library.access_key AS k
    WHERE k.digest = key_digest AND k.revoked IS NULL AND k.role IN ('editor', 'admin');
    IF NOT FOUND
        OR NOT has_table_privilege(
            session_user, format('layer_view.%I', held.layer_id), 'SELECT'
        )
    THEN
        RAISE EXCEPTION 'not an editor of this layer' USING ERRCODE = 'insufficient_privilege';
    END IF;
    PERFORM set_config('library.editor', editor, true);
    RETURN editor;
END $$;

-- The first fid that is free in a content, above all of its base and of rows that are gone.
CREATE FUNCTION library.next_draft_fid(content integer) RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT 1 + coalesce(max(t.fid), 0)
    FROM library.layer_content AS c
    CROSS JOIN LATERAL unnest(ARRAY[c.id, c.base_id]) AS part (id)
    CROSS JOIN LATERAL (
        (
            SELECT f.fid FROM reading.stored_feature AS f
            WHERE f.content_id = part.id ORDER BY f.fid DESC LIMIT 1
        )
        UNION ALL
        SELECT max(s.last_fid) FROM library.source_chunk AS s WHERE s.content_id = part.id
    ) AS t (fid)
    WHERE c.id = content AND part.id IS NOT NULL
$$;

-- Adds a feature to a draft's content or replaces the one of that id; gives its fid. A replaced
-- row of the base is hidden and stored anew. The caller has checked attributes and geometry.
CREATE FUNCTION library.put_draft_feature(
    content integer, name text, new_attributes jsonb, new_area_m2 double precision,
    shape geometry, key_digest bytea
) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    stored record;
    new_fid bigint;
BEGIN
    PERFORM library.begin_draft_edit(content, key_digest);
    SELECT f.fid, f.part_id INTO stored
    FROM library.layer_content AS c
    INNER JOIN reading.feature AS f
        ON f.content_id = c.id AND f.part_id = ANY(ARRAY[c.id, c.base_id])
    WHERE c.id = content AND f.feature_id = name;
    -- Partitions keep their names in "library" whatever the access class of their layer.
    IF stored.part_id = content THEN
        EXECUTE format(
            'UPDATE library.%I SET attributes = $1, area_m2 = $2, geom = $3 WHERE fid = $4',
            'feature_c' || content
        ) USING new_attributes, new_area_m2, shape, stored.fid;
        RETURN stored.fid;
    END IF;
    IF stored.fid IS NOT NULL THEN
        PERFORM library.hide_draft_row(content, stored.part_id, stored.fid);
    END IF;
    new_fid := library.next_draft_fid(content);
    EXECUTE format(
        'INSERT INTO library.%I (content_id, fid, feature_id, attributes, area_m2, geom)'
        ' VALUES ($1, $2, $3, $4, $5, $6)', 'feature_c' || content
    ) USING content, new_fid, name, new_attributes, new_area_m2, shape;
    RETURN new_fid;
END $$;

-- A row that no longer holds: one of the base is hidden, an own one deleted, with its source row.
CREATE FUNCTION library.hide_draft_row(content integer, part integer, row_fid bigint)
RETURNS void
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF part <> content THEN
        INSERT INTO library.hidden_feature (content_id, fid) VALUES (content, row_fid)
        ON CONFLICT DO NOTHING;
    ELSE
        EXECUTE format('DELETE FROM library.%I WHERE fid = $1', 'feature_c' || content)
        USING row_fid;
    END IF;
    DELETE FROM library.source_feature WHERE content_id = content AND fid = row_fid;
END $$;

CREATE FUNCTION library.remove_draft_feature(content integer, name text, key_digest bytea)
RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    stored record;
BEGIN
    PERFORM library.begin_draft_edit(content, key_digest);
    SELECT f.fid, f.part_id INTO stored
    FROM library.layer_content AS c
    INNER JOIN reading.feature AS f
        ON f.content_id = c.id AND f.part_id = ANY(ARRAY[c.id, c.base_id])
    WHERE c.id = content AND f.feature_id = name;
    IF stored.fid IS NULL THEN
        RETURN false;
    END IF;
    PERFORM library.hide_draft_row(content, stored.part_id, stored.fid);
    RETURN true;
END $$;

-- How often a feature was edited in a draft: a number that everybody may know.
CREATE FUNCTION library.draft_version(content integer, name text) RETURNS integer
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce(max(h.version), 0)::integer FROM library.feature_history AS h
    WHERE h.content_id = content AND h.feature_id = name
$$;

CREATE FUNCTION library.draft_bounds()
RETURNS TABLE (
    west double precision, south double precision, east double precision, north double precision
)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT r.west, r.south, r.east, r.north FROM library.draft_region AS r
$$;

-- Jobs of OGC processes with their results, which outlive workers and restarts. "access_class" is
-- that of the process that took the job: what it reads, and who may see it.
CREATE TABLE library.process_job (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    number bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    process_id text NOT NULL,
    access_class text NOT NULL CHECK (access_class IN ('open', 'internal', 'restricted')),
    caller text,
    request jsonb NOT NULL,
    subscriber jsonb,
    status text NOT NULL DEFAULT 'accepted' CHECK (
        status IN ('accepted', 'running', 'successful', 'failed', 'dismissed')
    ),
    attempt integer NOT NULL DEFAULT 0,
    progress smallint CHECK (progress BETWEEN 0 AND 100),
    message jsonb,
    created timestamptz NOT NULL DEFAULT now(),
    started timestamptz,
    updated timestamptz NOT NULL DEFAULT now(),
    finished timestamptz,
    result bytea,
    media_type text
);

CREATE INDEX process_job_by_caller ON library.process_job (caller, number DESC);
CREATE INDEX process_job_unfinished ON library.process_job (updated)
WHERE status IN ('accepted', 'running');

ALTER TABLE library.process_job ENABLE ROW LEVEL SECURITY;

-- A job is put into the queue by the row that describes it: both are there or neither. Who may
-- only add rows of its class cannot touch the queue by any other way.
CREATE FUNCTION library.queue_process_job() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = procrastinate, pg_temp AS $$
BEGIN
    INSERT INTO procrastinate.procrastinate_jobs (queue_name, task_name, args)
    VALUES ('process', 'process.run', jsonb_build_object('job_id', NEW.id));
    RETURN NULL;
END $$;

CREATE TRIGGER process_job_is_queued AFTER INSERT ON library.process_job
FOR EACH ROW EXECUTE FUNCTION library.queue_process_job();

-- Serving processes say that a job shall end; nothing else of a job can they change.
CREATE FUNCTION library.dismiss_process_job(job uuid) RETURNS text
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    UPDATE library.process_job AS j
    SET
        status = 'dismissed',
        result = NULL,
        media_type = NULL,
        progress = NULL,
        updated = now(),
        finished = coalesce(j.finished, now())
    WHERE j.id = job
    RETURNING j.status
$$;
