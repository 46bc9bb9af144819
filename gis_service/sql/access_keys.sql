-- name: create
INSERT INTO library.access_key (name, role, digest, per_minute, hosts)
VALUES (%(name)s, %(role)s, %(digest)s, %(per_minute)s, %(hosts)s)
RETURNING id, created

-- name: list
SELECT k.id, k.name, k.role, k.per_minute, k.hosts, k.created, k.revoked
FROM library.access_key AS k
ORDER BY k.id

-- name: revoke
-- A second revocation changes nothing and still finds the key.
UPDATE library.access_key AS k
SET revoked = coalesce(k.revoked, now())
WHERE k.id = %(id)s
RETURNING k.name, k.revoked

-- name: find
SELECT k.id, k.name, k.role, k.per_minute, k.hosts
FROM library.access_key_of(%(digest)s) AS k
