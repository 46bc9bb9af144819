-- Keys of callers: who may write, and how often somebody may ask. The secret is not here, only its
-- SHA-256; it is 128 random bits, so there is nothing to guess and nothing to salt.
CREATE TABLE library.access_key (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL CHECK (name <> ''),
    role text NOT NULL CHECK (role IN ('reader', 'editor', 'officer', 'admin')),
    digest bytea NOT NULL UNIQUE CHECK (length(digest) = 32),
    per_minute integer CHECK (per_minute > 0), -- requests; NULL = no limit
    hosts text [] NOT NULL DEFAULT '{}', -- pages that may use it; empty = all
    created timestamptz NOT NULL DEFAULT now(),
    revoked timestamptz
);

-- A serving process asks for the one key it was shown and cannot read the table.
CREATE FUNCTION library.access_key_of(asked bytea)
RETURNS TABLE (id integer, name text, role text, per_minute integer, hosts text [])
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
    SELECT k.id, k.name, k.role, k.per_minute, k.hosts
    FROM library.access_key AS k
    WHERE k.digest = asked AND k.revoked IS NULL
$$;
