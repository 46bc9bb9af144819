-- Rule sets as they were used, by the SHA-256 of their canonical text: a report is replayed with
-- the rules of its day. A used rule set cannot be changed or removed.

CREATE TABLE library.rule_set (
    sha256 text PRIMARY KEY CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    id text NOT NULL,
    version text NOT NULL,
    canonical_text text NOT NULL,
    first_used timestamptz NOT NULL DEFAULT now(),
    CHECK (encode(sha256(convert_to(canonical_text, 'UTF8')), 'hex') = sha256)
);

CREATE FUNCTION library.refuse_change_of_used_rules() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'rule set % was used and cannot change', OLD.sha256
        USING ERRCODE = 'restrict_violation';
END $$;

CREATE TRIGGER rule_set_is_immutable BEFORE UPDATE OR DELETE ON library.rule_set
FOR EACH ROW EXECUTE FUNCTION library.refuse_change_of_used_rules();

CREATE TRIGGER rule_set_stays BEFORE TRUNCATE ON library.rule_set
FOR EACH STATEMENT EXECUTE FUNCTION library.refuse_change_of_used_rules();
