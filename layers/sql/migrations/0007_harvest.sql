-- Registered sources of other departments: when each was last due, and every harvest of it.
-- What is registered stands in config/sources.yml; here is what happened.

CREATE SCHEMA harvest;

CREATE TABLE harvest.source (
    id text PRIMARY KEY,
    -- The schedule that last_due was reckoned by; a changed one begins anew and fires nothing.
    schedule text NOT NULL,
    last_due timestamptz NOT NULL
);

-- One row for each occasion on which a source was to be harvested. A second finisher of an
-- occasion changes nothing: the row is written with the draft, in one transaction.
CREATE TABLE harvest.run (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source_id text NOT NULL,
    occasion text NOT NULL,
    attempt integer NOT NULL DEFAULT 1,
    outcome text NOT NULL DEFAULT 'running' CHECK (
        outcome IN (
            'running', 'unchanged', 'draft', 'published', 'refused', 'conflict', 'failed', 'stopped'
        )
    ),
    started timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished timestamptz,
    plan_id text NOT NULL,
    layer_id text NOT NULL,
    -- What decides how a file becomes a content: the source's entry and the layer's definition.
    definition_sha256 text NOT NULL,
    fetched_sha256 text,
    -- Without foreign keys: the history outlives a draft that was thrown away.
    edition_id integer,
    content_id integer,
    content_sha256 text,
    validators jsonb NOT NULL DEFAULT '[]',
    report jsonb NOT NULL DEFAULT '{}',
    UNIQUE (source_id, occasion)
);

CREATE INDEX run_of_source ON harvest.run (source_id, id DESC);
CREATE INDEX run_of_content ON harvest.run (content_id) WHERE content_id IS NOT NULL;
