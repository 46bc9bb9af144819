-- name: list_jobs
SELECT
    j.id,
    j.task_name AS task,
    j.queue_name AS queue,
    j.status::text AS status,
    j.args,
    j.attempts,
    j.scheduled_at,
    j.abort_requested,
    (SELECT min(e.at) FROM procrastinate.procrastinate_events AS e WHERE e.job_id = j.id) AS created
FROM procrastinate.procrastinate_jobs AS j
WHERE
    (%(status)s::text IS NULL OR j.status::text = %(status)s::text)
    AND (%(status)s::text IS NOT NULL OR j.queue_name <> 'upkeep')
ORDER BY j.id DESC
LIMIT %(limit)s

-- name: job
SELECT
    j.id,
    j.task_name AS task,
    j.queue_name AS queue,
    j.status::text AS status,
    j.args,
    j.attempts,
    j.scheduled_at,
    j.abort_requested,
    j.lock,
    j.worker_id
FROM procrastinate.procrastinate_jobs AS j
WHERE j.id = %(job_id)s

-- name: events
SELECT e.type::text AS type, e.at
FROM procrastinate.procrastinate_events AS e
WHERE e.job_id = %(job_id)s
ORDER BY e.id

-- name: unfinished
SELECT EXISTS (
    SELECT FROM procrastinate.procrastinate_jobs AS j
    WHERE j.lock = %(lock)s AND j.status IN ('todo', 'doing')
) AS unfinished
