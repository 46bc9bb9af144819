-- What a draft's layer was made against: the content in force when it was imported or opened. A
-- later import may move the draft to another day, and an edition may be withdrawn meanwhile; then
-- the publish would bring back rows of what is gone, or skip a comparison. NULL = made against
-- nothing (restored, built by a program). Runs once, in one transaction; never edited after release.

-- 'changed': holds the rows of the basis and changes some. 'compared': a whole file, held against
-- the basis (shift, shrinking). No foreign key: a basis is published, or it went with its draft and
-- then counts as gone.
ALTER TABLE library.edition_layer
ADD COLUMN basis text CHECK (basis IN ('changed', 'compared')),
ADD COLUMN basis_id integer,
ADD CHECK (basis IS NOT NULL OR basis_id IS NULL);
