-- SPDX-License-Identifier: Apache-2.0
--
-- A chronicle: sums over whole segments and whole spans, in numbers of nodes that stay the same for a
-- month, so that a long time is a sum of lists. store/README.md says how exact they are;
-- store/words.sql has the tables that the file begins with.

-- What was added up: segments (level 0) or a span (level 1).
-- identity: the span's; segment: its number, or 0 for all of the span
-- pairs, runs: frames, which series had how many samples when, in slices of ten minutes, what lies
-- just on an edge of these apart (store/activity.h). Of the samples' own labels the names are there,
-- with empty values.
CREATE TABLE piece (
	id INTEGER PRIMARY KEY,
	level INTEGER NOT NULL,
	identity INTEGER NOT NULL,
	segment INTEGER NOT NULL,
	first_ms INTEGER NOT NULL, -- the least and the greatest start of what was recorded
	last_ms INTEGER NOT NULL,
	end_ms INTEGER NOT NULL,   -- the greatest end
	samples INTEGER NOT NULL,
	nodes INTEGER NOT NULL,    -- of the host's tree, once the piece is in it
	pairs BLOB,
	runs BLOB
);

-- Names of labels that samples had of their own: what is asked about these is not known here.
CREATE TABLE sample_label (
	name BLOB PRIMARY KEY
) WITHOUT ROWID;

-- The trees grow: what a piece brought that was not there. scope: a service (text), or -1 for the tree
-- of the whole host, which has a root for each service
-- locations, nodes: frames, numbered on from what the scope has
CREATE TABLE growth (
	id INTEGER PRIMARY KEY,
	scope INTEGER NOT NULL,
	piece INTEGER NOT NULL,
	node_count INTEGER NOT NULL,
	locations BLOB NOT NULL,
	nodes BLOB NOT NULL
);
CREATE INDEX growth_scope ON growth (scope, id);

-- What a scope has of one type in a piece. type: text
-- entries: frame, nodes of the scope's tree with counts, and values where valued is 1
CREATE TABLE list (
	id INTEGER PRIMARY KEY,
	piece INTEGER NOT NULL,
	scope INTEGER NOT NULL,
	type INTEGER NOT NULL,
	period INTEGER NOT NULL,
	valued INTEGER NOT NULL,
	entry_count INTEGER NOT NULL,
	entries BLOB NOT NULL
);
CREATE INDEX list_piece ON list (piece, scope);
