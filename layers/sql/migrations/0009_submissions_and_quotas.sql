-- Submissions of projects as they were received and decided on, and the ledger of quotas that an
-- approval draws on. Everything here is appended to: a decision or an entry is never edited, its
-- correction is another one.

CREATE FUNCTION library.refuse_change_of_record() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is appended to, never changed', TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END $$;

CREATE TABLE library.submission (
    id text PRIMARY KEY,
    created timestamptz NOT NULL DEFAULT clock_timestamp(),
    name text,
    -- The class of its report: the highest of the layers that were read.
    access_class text NOT NULL DEFAULT 'restricted'
    CHECK (access_class IN ('open', 'internal', 'restricted')),
    -- What came: format, media_type, file_name, bytes, sha256 of the bytes.
    received jsonb NOT NULL,
    -- What was asked with it: as_of, source_crs, layer.
    request jsonb NOT NULL DEFAULT '{}',
    -- What was judged: SHA-256 of geometry and attributes after normalising.
    normalised_sha256 text NOT NULL CHECK (normalised_sha256 ~ '^[0-9a-f]{64}$'),
    source_crs text NOT NULL,
    area_m2 numeric(16, 2) NOT NULL,
    repairs jsonb NOT NULL DEFAULT '[]',
    notes jsonb NOT NULL DEFAULT '[]',
    report_id text NOT NULL UNIQUE REFERENCES library.report (id),
    outcome text NOT NULL,
    -- Digests of the sender's Idempotency-Key and of what came with it; the answer it was given.
    key_sha256 text UNIQUE CHECK (key_sha256 ~ '^[0-9a-f]{64}$'),
    request_sha256 text,
    answer bytea,
    CHECK (key_sha256 IS NULL OR (request_sha256 IS NOT NULL AND answer IS NOT NULL))
);

CREATE INDEX submission_created ON library.submission (created DESC, id DESC);

CREATE TABLE library.submission_original (
    submission_id text PRIMARY KEY REFERENCES library.submission (id),
    content bytea NOT NULL
);

-- A request with a key that is at work now. No record: who finishes or fails takes it away, who
-- dies leaves it until it expires.
CREATE TABLE library.submission_claim (
    key_sha256 text PRIMARY KEY,
    request_sha256 text NOT NULL,
    token text NOT NULL,
    expires timestamptz NOT NULL
);

CREATE TABLE library.submission_event (
    submission_id text NOT NULL REFERENCES library.submission (id),
    number integer NOT NULL CHECK (number > 0),
    state text NOT NULL CHECK (
        state IN ('received', 'checked', 'approved', 'rejected', 'booked', 'expired')
    ),
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor text NOT NULL CHECK (actor <> ''),
    reason text,
    -- Why it was approved although the report says violation or undetermined.
    override_reason text CHECK (override_reason <> ''),
    -- The last day of an approval; without its use the reservation lapses after it.
    valid_until date,
    PRIMARY KEY (submission_id, number),
    CHECK (state = 'approved' OR (override_reason IS NULL AND valid_until IS NULL))
);

CREATE INDEX submission_event_expiry ON library.submission_event (valid_until)
WHERE valid_until IS NOT NULL;

-- One event follows another; two officers who decide at once meet at the primary key.
CREATE FUNCTION library.guard_submission_event() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    last library.submission_event;
BEGIN
    SELECT * INTO last FROM library.submission_event AS e
    WHERE e.submission_id = NEW.submission_id ORDER BY e.number DESC LIMIT 1;
    IF NEW.number <> coalesce(last.number, 0) + 1 OR (CASE NEW.state
        WHEN 'received' THEN last.state IS NULL
        WHEN 'checked' THEN last.state = 'received'
        WHEN 'approved' THEN last.state = 'checked'
        WHEN 'rejected' THEN last.state IN ('checked', 'approved')
        ELSE last.state = 'approved'
    END) IS NOT TRUE THEN
        RAISE EXCEPTION 'submission % cannot go from % to %',
            NEW.submission_id, last.state, NEW.state
            USING ERRCODE = 'unique_violation';
    END IF;
    IF NEW.state = 'approved' AND NEW.override_reason IS NULL AND EXISTS (
        SELECT FROM library.submission AS s
        WHERE s.id = NEW.submission_id AND s.outcome IN ('violation', 'undetermined')
    ) THEN
        RAISE EXCEPTION 'submission % is approved against its report without a reason',
            NEW.submission_id USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER submission_event_follows BEFORE INSERT ON library.submission_event
FOR EACH ROW EXECUTE FUNCTION library.guard_submission_event();

-- Quotas: administrative unit x period x land class of a ledger, in square metres. The sums are
-- those of the entries; the trigger of the entries keeps them, nobody else can.
CREATE TABLE library.quota (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    ledger text NOT NULL CHECK (ledger ~ '^[a-z][a-z0-9_]*$'),
    admin_code text NOT NULL CHECK (admin_code ~ '^[0-9]{6,12}$'),
    period text NOT NULL CHECK (period <> ''),
    first_day date NOT NULL,
    last_day date NOT NULL,
    land_class text NOT NULL DEFAULT '*' CHECK (land_class ~ '^(\*|[0-9A-Za-z]+)$'),
    granted_m2 numeric(16, 2) NOT NULL DEFAULT 0,
    reserved_m2 numeric(16, 2) NOT NULL DEFAULT 0,
    booked_m2 numeric(16, 2) NOT NULL DEFAULT 0,
    entries integer NOT NULL DEFAULT 0,
    CHECK (last_day >= first_day),
    CHECK (granted_m2 >= 0 AND reserved_m2 >= 0 AND booked_m2 >= 0),
    CONSTRAINT quota_one_period_at_a_time EXCLUDE USING gist (
        ledger WITH =, admin_code WITH =, land_class WITH =,
        daterange(first_day, last_day, '[]') WITH &&
    )
);

CREATE TABLE library.quota_entry (
    quota_id integer NOT NULL REFERENCES library.quota (id),
    number integer NOT NULL,
    kind text NOT NULL CHECK (kind IN ('grant', 'reserve', 'release', 'book')),
    area_m2 numeric(16, 2) NOT NULL,
    submission_id text REFERENCES library.submission (id),
    at timestamptz NOT NULL,
    actor text NOT NULL CHECK (actor <> ''),
    reason text,
    -- An officer decided to exceed the quota, and why stands with the approval.
    exceeds boolean NOT NULL DEFAULT false,
    PRIMARY KEY (quota_id, number),
    CHECK (area_m2 <> 0 AND (kind = 'grant' OR area_m2 > 0)),
    CHECK ((kind = 'grant') = (submission_id IS NULL)),
    CHECK (NOT exceeds OR kind = 'reserve')
);

CREATE UNIQUE INDEX quota_entry_one_reservation ON library.quota_entry (quota_id, submission_id)
WHERE kind = 'reserve';
CREATE UNIQUE INDEX quota_entry_one_end ON library.quota_entry (quota_id, submission_id)
WHERE kind IN ('release', 'book');
CREATE INDEX quota_entry_submission ON library.quota_entry (submission_id)
WHERE submission_id IS NOT NULL;

-- The UPDATE takes the lock of the quota's row: of two reservations that together exceed it, the
-- second one sees the first, whatever both had read before.
CREATE FUNCTION library.post_quota_entry() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    sums library.quota;
BEGIN
    UPDATE library.quota AS q SET
        granted_m2 = q.granted_m2 + CASE NEW.kind WHEN 'grant' THEN NEW.area_m2 ELSE 0 END,
        reserved_m2 = q.reserved_m2 + CASE NEW.kind
            WHEN 'reserve' THEN NEW.area_m2
            WHEN 'grant' THEN 0
            ELSE -NEW.area_m2
        END,
        booked_m2 = q.booked_m2 + CASE NEW.kind WHEN 'book' THEN NEW.area_m2 ELSE 0 END,
        entries = q.entries + 1
    WHERE q.id = NEW.quota_id
    RETURNING q.* INTO sums;
    NEW.number := sums.entries;
    NEW.at := clock_timestamp();
    IF NEW.kind IN ('release', 'book') AND NOT EXISTS (
        SELECT FROM library.quota_entry AS e
        WHERE
            e.quota_id = NEW.quota_id AND e.submission_id = NEW.submission_id
            AND e.kind = 'reserve' AND e.area_m2 = NEW.area_m2
    ) THEN
        RAISE EXCEPTION 'no reservation of this area to %', NEW.kind
            USING ERRCODE = 'check_violation', CONSTRAINT = 'quota_entry_of_a_reservation';
    END IF;
    IF
        NOT NEW.exceeds AND (NEW.kind = 'reserve' OR (NEW.kind = 'grant' AND NEW.area_m2 < 0))
        AND sums.reserved_m2 + sums.booked_m2 > sums.granted_m2
    THEN
        RAISE EXCEPTION 'quota % has not enough left', NEW.quota_id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'quota_has_enough_left';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER quota_entry_posts BEFORE INSERT ON library.quota_entry
FOR EACH ROW EXECUTE FUNCTION library.post_quota_entry();

CREATE FUNCTION library.guard_quota() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        NEW.granted_m2 := 0;
        NEW.reserved_m2 := 0;
        NEW.booked_m2 := 0;
        NEW.entries := 0;
        RETURN NEW;
    END IF;
    IF TG_OP <> 'UPDATE' OR pg_trigger_depth() < 2 THEN
        RAISE EXCEPTION 'the sums of a quota are those of its entries'
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER quota_follows_its_entries BEFORE INSERT OR UPDATE OR DELETE ON library.quota
FOR EACH ROW EXECUTE FUNCTION library.guard_quota();

CREATE TRIGGER quota_stays BEFORE TRUNCATE ON library.quota
FOR EACH STATEMENT EXECUTE FUNCTION library.refuse_change_of_record();

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY[
        'submission', 'submission_original', 'submission_event', 'quota_entry'
    ] LOOP
        EXECUTE format(
            'CREATE TRIGGER %I BEFORE UPDATE OR DELETE ON library.%I'
            ' FOR EACH ROW EXECUTE FUNCTION library.refuse_change_of_record()',
            name || '_is_appended_to', name
        );
        EXECUTE format(
            'CREATE TRIGGER %I BEFORE TRUNCATE ON library.%I'
            ' FOR EACH STATEMENT EXECUTE FUNCTION library.refuse_change_of_record()',
            name || '_stays', name
        );
    END LOOP;
END $$;

-- The functions post as the owner; nobody calls them but their triggers.
REVOKE ALL ON FUNCTION library.post_quota_entry() FROM PUBLIC;
REVOKE ALL ON FUNCTION library.guard_submission_event() FROM PUBLIC;

ALTER TABLE library.submission ENABLE ROW LEVEL SECURITY;
ALTER TABLE library.submission_original ENABLE ROW LEVEL SECURITY;
ALTER TABLE library.submission_event ENABLE ROW LEVEL SECURITY;
