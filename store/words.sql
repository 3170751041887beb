-- SPDX-License-Identifier: Apache-2.0
--
-- What every file of the store begins with: what it is, and its words.
--
-- Times are milliseconds since the epoch, UTC. Numbers (id) are given by the program: 1, 2, 3 …
-- without holes; number 0 of a dictionary is never written and means "none" or "empty". A "frame" is
-- a zstd frame with checksum and content size; its plain bytes are a version, the sizes of its
-- columns, and the columns (store/columns.h).

-- 'from', 'until': which times belong here; 'late': 1 when it takes what is older than another span,
-- 2 when it was begun long after its time.
-- 'identity': a random number, the same in the compact file that takes this one's place.
-- 'clean': up to which deletion (store/deletions.h) nothing that was deleted is in it; none: 0.
-- 'chronicle': 1 when it holds roll-ups (store/chronicle.sql), not samples.
-- 'joined': 1 when it was written anew with one tree for each service, and nothing else changed
-- (store/join.h).
-- 'compact': 1 when it was written anew (store/compact.h); 'fold': nodes of fewer samples were folded,
-- 'folded': so many samples lost frames by it; 'finished': when the file in whose place it is was sealed.
-- 'nodes', 'nodes_max': of trees that segments share, how many in all and of the largest; files of older
-- versions do not say.
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

-- Of compact spans, in place of rows of both: words of a kind (0 texts, 1 label sets), some thousand
-- in a frame (store/word_frames.h)
CREATE TABLE word_frame (
	id INTEGER PRIMARY KEY,
	kind INTEGER NOT NULL,
	words BLOB NOT NULL
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
-- by its file, and may say of lines before it what else they are (store/named_place.h)
CREATE TABLE name (
	id INTEGER PRIMARY KEY,
	lines BLOB NOT NULL
);
