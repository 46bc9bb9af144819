-- name: begin_schedule
-- A row comes back for an entry that is new or has a new schedule.
INSERT INTO harvest.source AS s (id, schedule, last_due)
VALUES (%(source_id)s, %(schedule)s, %(moment)s)
ON CONFLICT (id) DO UPDATE
SET schedule = excluded.schedule, last_due = excluded.last_due
WHERE s.schedule <> excluded.schedule
RETURNING s.id

-- name: take_due
UPDATE harvest.source
SET last_due = %(moment)s
WHERE id = %(source_id)s AND last_due < %(moment)s
RETURNING id
