-- An import has asked GEOS about every geometry before it loads it, so its rows need not be asked
-- again one by one (half the time of the load). NOT VALID says just that: what comes any other way,
-- by an edit or by hand, is checked as before; the rows of one import, loaded before its table gets
-- the check (layers.contents.load_stream), are not.

DO $$
DECLARE
    parent text;
    found text;
BEGIN
    FOREACH parent IN ARRAY ARRAY['library', 'library_internal', 'library_restricted'] LOOP
        SELECT c.conname INTO STRICT found
        FROM pg_constraint AS c
        WHERE
            c.conrelid = format('%I.feature', parent)::regclass
            AND c.contype = 'c'
            AND pg_get_constraintdef(c.oid) ILIKE '%st_isvalid(geom)%';
        EXECUTE format('ALTER TABLE %I.feature DROP CONSTRAINT %I', parent, found);
        EXECUTE format(
            'ALTER TABLE %I.feature ADD CONSTRAINT feature_is_valid'
            ' CHECK (ST_IsValid(geom)) NOT VALID',
            parent
        );
    END LOOP;
END $$;
