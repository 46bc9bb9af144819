-- name: add
INSERT INTO library.process_job (process_id, access_class, caller, request, subscriber)
VALUES (%(process_id)s, %(access_class)s, %(caller)s, %(request)s, %(subscriber)s)
RETURNING id, created

-- name: job
SELECT
    j.id, j.number, j.process_id, j.access_class, j.caller, j.request, j.subscriber, j.status,
    j.progress, j.message, j.created, j.started, j.updated, j.finished
FROM library.process_job AS j
WHERE j.id = %(job_id)s

-- name: result
SELECT j.process_id, j.status, j.result, j.request, j.message
FROM library.process_job AS j
WHERE j.id = %(job_id)s

-- name: list
-- Newest first; what a caller may see: own jobs, for anybody those of shared processes, for the
-- administrator all.
SELECT
    j.id, j.number, j.process_id, j.access_class, j.caller, j.status, j.progress, j.message,
    j.created, j.started, j.updated, j.finished
FROM library.process_job AS j
WHERE
    j.number < %(before)s
    AND (
        %(everything)s
        OR j.caller = %(caller)s
        OR (j.caller IS NULL AND j.process_id = ANY(%(shared)s::text []))
    )
    AND (%(process_ids)s::text [] IS NULL OR j.process_id = ANY(%(process_ids)s::text []))
    AND (%(statuses)s::text [] IS NULL OR j.status = ANY(%(statuses)s::text []))
    AND (%(since)s::timestamptz IS NULL OR j.created >= %(since)s::timestamptz)
    AND (%(until)s::timestamptz IS NULL OR j.created <= %(until)s::timestamptz)
    AND (
        (%(shortest_s)s::double precision IS NULL AND %(longest_s)s::double precision IS NULL)
        OR extract(EPOCH FROM coalesce(j.finished, now()) - j.started)
        BETWEEN coalesce(%(shortest_s)s::double precision, 0)
        AND coalesce(%(longest_s)s::double precision, 'Infinity')
    )
ORDER BY j.number DESC
LIMIT %(limit)s
OFFSET %(offset)s

-- name: dismiss
SELECT library.dismiss_process_job(%(job_id)s) AS status

-- name: start
-- An attempt number shuts out a late finisher; a dismissed job is not begun.
UPDATE library.process_job AS j
SET
    status = 'running',
    attempt = j.attempt + 1,
    started = coalesce(j.started, now()),
    updated = now(),
    progress = 0
WHERE j.id = %(job_id)s AND j.status IN ('accepted', 'running')
RETURNING j.attempt, j.process_id, j.access_class, j.request

-- name: progress
UPDATE library.process_job AS j
SET progress = %(progress)s, updated = now()
WHERE j.id = %(job_id)s AND j.status = 'running' AND j.attempt = %(attempt)s

-- name: is_wanted
SELECT
    EXISTS (
        SELECT FROM library.process_job AS j
        WHERE j.id = %(job_id)s AND j.status = 'running' AND j.attempt = %(attempt)s
    ) AS wanted

-- name: finish
UPDATE library.process_job AS j
SET
    status = %(status)s,
    result = %(result)s,
    media_type = 'application/json',
    message = %(message)s,
    progress = CASE WHEN %(status)s::text = 'successful' THEN 100 END,
    updated = now(),
    finished = now()
WHERE j.id = %(job_id)s AND j.status = 'running' AND j.attempt = %(attempt)s
RETURNING j.subscriber

-- name: fail_lost
-- Jobs that the queue has given up: their workers died under them too often.
UPDATE library.process_job AS j
SET status = 'failed', message = %(message)s, updated = now(), finished = now(), progress = NULL
WHERE
    j.status IN ('accepted', 'running')
    AND j.updated < now() - interval '1 minute'
    AND NOT EXISTS (
        SELECT FROM procrastinate.procrastinate_jobs AS q
        WHERE
            q.task_name = 'process.run'
            AND q.status IN ('todo', 'doing')
            AND q.args ->> 'job_id' = j.id::text
    )
RETURNING j.id

-- name: remove_old
DELETE FROM library.process_job AS j
WHERE j.finished < now() - make_interval(days => %(days)s)
