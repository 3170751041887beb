-- SPDX-License-Identifier: Apache-2.0
--
-- A span file: some hours of profiles, complete in itself. store/README.md says how it is written.
--
-- Times are milliseconds since the epoch, UTC. Numbers (id) are given by the program: 1, 2, 3 …
-- without holes; number 0 of a dictionary is never written and means "none" or "empty". A "frame" is
-- a zstd frame with checksum and content size; its plain bytes are a version, the sizes of its
-- columns, and the columns (store/columns.h).

-- 'from', 'until': which times belong here; 'late': 1 when it takes what is older than another span.
-- 'identity': a random number, the same in the compact file that takes this one's place.
-- 'compact': 1 when it was written anew (store/compact.h); 'fold': nodes of fewer samples were folded,
-- 'folded': so many samples lost frames by it; 'finished': when the file in whose place it is was sealed.
CREATE TABLE meta (
	key TEXT PRIMARY KEY,
	value
) WITHOUT ROWID;

-- ---- dictionaries ----

CREATE TABLE text (
	id INTEGER PRIMARY KEY,
	text BLOB NOT NULL
);

-- pairs: varints, a text for each name and each value, ascending by name
CREATE TABLE label_set (
	id INTEGER PRIMARY KEY,
	pairs BLOB NOT NULL
);

-- type: text of five parts; period: of one sample, in the type's unit
CREATE TABLE series (
	id INTEGER PRIMARY KEY,
	label_set INTEGER NOT NULL,
	type INTEGER NOT NULL,
	period INTEGER NOT NULL
);

-- kind: enum build_kind; identity_kind: enum identity_kind; path: text
CREATE TABLE build (
	id INTEGER PRIMARY KEY,
	kind INTEGER NOT NULL,
	identity_kind INTEGER NOT NULL,
	identity BLOB NOT NULL,
	path INTEGER NOT NULL
);

-- Locations that brought their names. lines: varints, function, file (texts) and line for each
-- function that was inlined there, innermost first; a last one without a function names the binary
-- by its file
CREATE TABLE name (
	id INTEGER PRIMARY KEY,
	lines BLOB NOT NULL
);

-- ---- samples ----

-- One row a commit. Node and location numbers count within the segment.
-- runs: frame, which series and sample labels had how many samples when
-- entries: frame, nodes and their counts for each run
-- nodes, locations: frames, those that are new in this row
-- cells: frame, a byte a sample, in the order of the entries: when within its window, in 20 ms; or NULL
CREATE TABLE window (
	id INTEGER PRIMARY KEY,
	segment INTEGER NOT NULL,
	first_ms INTEGER NOT NULL, -- the least and the greatest start of what was recorded
	last_ms INTEGER NOT NULL,
	end_ms INTEGER NOT NULL,   -- the greatest end
	samples INTEGER NOT NULL,
	runs BLOB NOT NULL,
	entries BLOB NOT NULL,
	nodes BLOB NOT NULL,
	locations BLOB NOT NULL,
	cells BLOB
);

-- Finished segments: a time of at most ten minutes, with numbers of its own for what its blocks have.
-- pairs: frame, which series occurred with which sample labels
-- runs: frame, which of these had how many samples when (store/activity.h)
-- minutes: of compact spans, whose runs and details know series only: frame, the same by the minute with
-- the process
-- They are NULL as long as the segment is not settled: its windows, first_window to last_window, are
-- there then, and it has neither trees nor blocks. This is so after a crash, for a moment.
CREATE TABLE segment (
	id INTEGER PRIMARY KEY,
	first_window INTEGER NOT NULL,
	last_window INTEGER NOT NULL,
	first_ms INTEGER NOT NULL,
	last_ms INTEGER NOT NULL,
	end_ms INTEGER NOT NULL,
	samples INTEGER NOT NULL,
	pairs BLOB,
	runs BLOB,
	minutes BLOB
);

-- The stacks of a service in a segment, or in all of a compact span (segment 0). service: text; nodes: frame, locations by build and address,
-- nodes in preorder (store/shape.h)
CREATE TABLE tree (
	id INTEGER PRIMARY KEY,
	segment INTEGER NOT NULL,
	service INTEGER NOT NULL,
	node_count INTEGER NOT NULL,
	nodes BLOB NOT NULL
);
CREATE INDEX tree_segment ON tree (segment, service);

-- What a service has of one type in a segment. service, type: texts
-- entries: frame, nodes of its tree with counts, and values where valued is 1 (else a value is
-- count × period)
-- detail: frame, for each entry when it occurred and with which pair (store/detail.h)
-- cells: frame, for each of these, in their order, when within its slice the samples were taken, in
-- 20 ms; NULL when nobody said
CREATE TABLE block (
	id INTEGER PRIMARY KEY,
	segment INTEGER NOT NULL,
	service INTEGER NOT NULL,
	type INTEGER NOT NULL,
	period INTEGER NOT NULL,
	valued INTEGER NOT NULL,
	samples INTEGER NOT NULL,
	entry_count INTEGER NOT NULL,
	entries BLOB NOT NULL,
	detail BLOB NOT NULL,
	cells BLOB
);
CREATE INDEX block_segment ON block (segment, service);

-- ---- side-band ----

-- What a sender's batches were numbered up to when the row was written.
CREATE TABLE source (
	source INTEGER PRIMARY KEY,
	sequence INTEGER NOT NULL
);

-- Times in which nothing was recorded. reason: enum gap_reason
CREATE TABLE gap (
	id INTEGER PRIMARY KEY,
	from_ms INTEGER NOT NULL,
	to_ms INTEGER NOT NULL,
	reason INTEGER NOT NULL
);
