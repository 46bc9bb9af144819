-- Coverage by place: a layer of a million features has some ten thousand coverage pieces, of which
-- a check needs those under its site. Runs once, in one transaction; never edited after release.

CREATE INDEX coverage_piece_geom ON library.coverage_piece USING gist (geom);
CREATE INDEX coverage_piece_geom ON library_internal.coverage_piece USING gist (geom);
CREATE INDEX coverage_piece_geom ON library_restricted.coverage_piece USING gist (geom);
