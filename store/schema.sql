-- SPDX-License-Identifier: Apache-2.0
--
-- A span file: some hours of profiles, complete in itself. store/README.md says how it is written;
-- store/words.sql has the tables that it begins with.

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

-- The stacks of a service in a segment; of a joined or compact span: from a segment on, up to that of
-- the service's next tree, of which the first is segment 0's. service: text; nodes: frame, locations by
-- build and address, nodes in preorder (store/shape.h)
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
