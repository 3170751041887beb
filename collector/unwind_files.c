/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/unwind_files.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/table.h"
#include "base/unwind_table.h"

enum {
	BUCKET_COUNT = 4096, /* of files by identity; a power of two */
	NO_NUMBER = WALK_FILE_NONE,
	DELAY_SHIFT_MAX = 9, /* ROOM_NS times 512: eight minutes */
	COPY_SHIFT_MAX = 5,
};

/* A table that could not be had is asked for again after this long. */
#define RETRY_NS (UINT64_C(30) * (uint64_t)CLOCK_NS_PER_S)
/* One that found no room: what was evicted for it can be taken by then. Doubled each time that it
 * finds none or is evicted soon: more tables than there is room for would else be asked for all the
 * time. */
#define ROOM_NS ((uint64_t)CLOCK_NS_PER_S)
/* No file is asked for twice within this time, whatever happened to the answer: a table is
 * megabytes. */
#define ASK_NS ((uint64_t)CLOCK_NS_PER_S)
/* One that stayed so long may come back at once. */
#define STAY_NS (UINT64_C(60) * (uint64_t)CLOCK_NS_PER_S)
/* Copies are looked at no more often; doubled with each that was asked about, up to half a minute:
 * an answer is a whole table. */
#define COPY_NS ((uint64_t)CLOCK_NS_PER_S)
/* The server has hundreds of files to read when it is new. */
#define ANSWER_NS (UINT64_C(60) * (uint64_t)CLOCK_NS_PER_S)
/* What was used so lately is not evicted: it would be asked for again at once. */
#define HOT_NS (UINT64_C(2) * (uint64_t)CLOCK_NS_PER_S)

struct unwind_file {
	struct identity identity;
	uint32_t users;
	uint32_t next; /* of its bucket */
	uint64_t last_used_ns;
	uint64_t asked_ns; /* 0: not waiting for an answer */
	uint64_t last_asked_ns;
	uint64_t retry_ns; /* 0: never, or no need */
	uint64_t put_ns;
	/* By which the walk knows it by itself, the one learnt last at the front; 0: none. */
	uint64_t known_hashes[UNWIND_FILES_COPY_COUNT_MAX];
	uint64_t asked_hash;   /* of what was asked about, which may be another file; 0: none */
	uint64_t next_copy_ns; /* no copy is looked at before */
	uint32_t copy_shift;   /* how many copies were asked about, up to COPY_SHIFT_MAX */
	uint32_t delay_shift;  /* how often in a row there was no room for it */
	/* Of one whose table is here. */
	uint32_t words, words_line_count;
	uint64_t line_count;	     /* all of it */
	uint16_t *block_line_counts; /* of each page */
};

struct unwind_files {
	struct lines *lines;
	struct walk_file *shown; /* to the walk */
	struct walk_known_bucket *known;
	uint64_t *rules;
	uint32_t rule_count;
	struct table rule_table;
	struct unwind_file *files; /* number 0 is nobody */
	uint32_t file_count;	   /* highest number ever used + 1 */
	uint32_t buckets[BUCKET_COUNT];
	uint64_t now_ns;
	uint64_t change_count;
	struct unwind_files_stats stats;
};

static uint32_t bucket_of(const struct identity *identity)
{
	return (uint32_t)table_hash_bytes(identity->bytes, identity->size, identity->kind) %
	       BUCKET_COUNT;
}

static bool rule_is(const void *context, uint32_t number, const void *key)
{
	return ((const struct unwind_files *)context)->rules[number] == *(const uint64_t *)key;
}

/* The number under which the walk finds this word. */
static uint32_t number_rule(struct unwind_files *f, uint64_t word)
{
	uint64_t hash = table_hash_bytes(&word, sizeof(word), 0);
	uint32_t number = table_find(&f->rule_table, hash, &word, rule_is, f);

	if (number != TABLE_NONE)
		return number;
	number = f->rule_table.count;
	/* The last is kept for those that find no place: better no step than a wrong one. */
	if (number >= UNWIND_RULE_COUNT_MAX - 1 || table_add(&f->rule_table, hash)) {
		f->stats.rule_table_full++;
		return UNWIND_RULE_COUNT_MAX - 1;
	}
	f->rules[number] = word;
	return number;
}

int unwind_files_new(struct lines *lines, struct walk_file *shown, uint64_t *rules,
		     struct walk_known_bucket *known, struct unwind_files **ret)
{
	autoclean(unwind_files) struct unwind_files *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	f->lines = lines;
	f->shown = shown;
	f->rules = rules;
	f->known = known;
	f->files = calloc(WALK_FILE_COUNT_MAX, sizeof(f->files[0]));
	f->file_count = 1;
	table_init(&f->rule_table, UNWIND_RULE_COUNT_MAX);
	if (!f->files)
		return -ENOMEM;
	rules[UNWIND_RULE_COUNT_MAX - 1] =
		unwind_rule(UNWIND_CFA_UNSUPPORTED, 0, 0, 0, 0, UNWIND_UNSUPPORTED_OFFSET);
	shown[WALK_FILE_UNKNOWN].state = WALK_FILE_EXPECTED;
	if (number_rule(f, 0) != UNWIND_RULE_NONE)
		return -ENOMEM;
	*ret = TAKE(f);
	return 0;
}

struct unwind_files *unwind_files_free(struct unwind_files *f)
{
	if (!f)
		return NULL;

	for (uint32_t i = 1; f->files && i < f->file_count; i++)
		free(f->files[i].block_line_counts);
	table_done(&f->rule_table);
	free(f->files);
	free(f);
	return NULL;
}

/* ---- files that walks know by themselves --------------------------------------------------------
 */

/* Where the word stands among the known of its hash, or NULL. */
static __u64 *find_known(struct unwind_files *f, uint64_t hash, uint64_t word)
{
	struct walk_known_bucket *bucket = &f->known[walk_known_place(hash)];

	for (int i = 0; i < WALK_KNOWN_BUCKET_SIZE; i++)
		if (bucket->files[i] == word)
			return &bucket->files[i];
	return NULL;
}

/* Walks find its table, and processes run it. */
static bool is_of_use(const struct unwind_files *f, uint32_t number)
{
	return f->shown[number].state == WALK_FILE_PRESENT && f->files[number].users > 0;
}

/* Whether the walk knows the file by this hash. */
static bool has_hash(const struct unwind_file *file, uint64_t hash)
{
	for (unsigned i = 0; i < UNWIND_FILES_COPY_COUNT_MAX; i++)
		if (file->known_hashes[i] == hash)
			return true;
	return false;
}

/*
 * The place for a newcomer with this hash: a free one, or that of a file that is of no use just
 * now, the coldest of several. The same file by two identities, as an image that was loaded anew
 * has them: the first one's, else nobody's, so that no hash is there twice. NULL: there is none.
 */
static __u64 *find_place(struct unwind_files *f, uint64_t hash)
{
	struct walk_known_bucket *bucket = &f->known[walk_known_place(hash)];
	uint32_t same = walk_known_find(bucket, hash);
	__u64 *coldest = NULL;

	if (same != WALK_FILE_UNKNOWN)
		return is_of_use(f, same) ? NULL : find_known(f, hash, walk_known_word(hash, same));
	for (int i = 0; i < WALK_KNOWN_BUCKET_SIZE; i++) {
		uint32_t number = walk_known_number(bucket->files[i]);

		if (number == NO_NUMBER)
			return &bucket->files[i];
		if (!is_of_use(f, number) &&
		    (!coldest || f->files[number].last_used_ns <
					 f->files[walk_known_number(*coldest)].last_used_ns))
			coldest = &bucket->files[i];
	}
	return coldest;
}

/* The walk no longer finds the file by its hash in this place of the list. */
static void forget_hash(struct unwind_files *f, uint32_t number, unsigned place)
{
	uint64_t *hashes = f->files[number].known_hashes;
	uint64_t hash = hashes[place];
	__u64 *known = hash ? find_known(f, hash, walk_known_word(hash, number)) : NULL;

	memmove(&hashes[place], &hashes[place + 1],
		(UNWIND_FILES_COPY_COUNT_MAX - 1 - place) * sizeof(hashes[0]));
	hashes[UNWIND_FILES_COPY_COUNT_MAX - 1] = 0;
	if (known)
		__atomic_store_n(known, 0, __ATOMIC_RELEASE);
}

static void forget(struct unwind_files *f, uint32_t number)
{
	while (f->files[number].known_hashes[0])
		forget_hash(f, number, 0);
}

/* Whoever is there gives way. */
static void clear_place(struct unwind_files *f, const __u64 *known)
{
	uint32_t number = walk_known_number(*known);
	const uint64_t *hashes = f->files[number].known_hashes;
	unsigned place = 0;

	while (place < UNWIND_FILES_COPY_COUNT_MAX &&
	       walk_known_word(hashes[place], number) != *known)
		place++;
	assert(place < UNWIND_FILES_COPY_COUNT_MAX);
	forget_hash(f, number, place);
}

/* The kernel shows the file by this hash. */
static void know(struct unwind_files *f, uint32_t number, uint64_t hash)
{
	uint64_t *hashes = f->files[number].known_hashes;

	if (hash == 0 || has_hash(&f->files[number], hash))
		return;
	forget_hash(f, number, UNWIND_FILES_COPY_COUNT_MAX - 1);

	__u64 *known = find_place(f, hash);

	if (!known)
		return;
	if (*known)
		clear_place(f, known);
	memmove(&hashes[1], &hashes[0], (UNWIND_FILES_COPY_COUNT_MAX - 1) * sizeof(hashes[0]));
	hashes[0] = hash;
	__atomic_store_n(known, walk_known_word(hash, number), __ATOMIC_RELEASE);
}

/* ---- tables in memory ---------------------------------------------------------------------------
 */

static void show(struct unwind_files *f, uint32_t number, enum walk_file_state state)
{
	f->change_count += f->shown[number].state != state;
	__atomic_store_n(&f->shown[number].state, state, __ATOMIC_RELEASE);
}

/* Gives its lines back. The walk has been told before. */
static void drop_lines(struct unwind_files *f, struct unwind_file *file, uint32_t page_count)
{
	const uint32_t *words = file->words ? lines_at(f->lines, file->words) : NULL;

	for (uint32_t i = 0; words && i < page_count; i++)
		if (file->block_line_counts[i])
			lines_give(f->lines, words[i] >> UNWIND_PAGE_LINE_SHIFT,
				   file->block_line_counts[i]);
	if (file->words)
		lines_give(f->lines, file->words, file->words_line_count);
	free(TAKE(file->block_line_counts));
	file->words = 0;
	f->stats.rows_size -= file->line_count * UNWIND_LINE_SIZE;
	file->line_count = 0;
}

static void put_off(struct unwind_files *f, uint32_t number, uint64_t delay_ns)
{
	f->files[number].retry_ns = f->now_ns + delay_ns;
	show(f, number, WALK_FILE_WITHOUT_TABLE);
}

static void put_off_doubling(struct unwind_files *f, uint32_t number)
{
	struct unwind_file *file = &f->files[number];

	put_off(f, number, ROOM_NS << file->delay_shift);
	if (file->delay_shift < DELAY_SHIFT_MAX)
		file->delay_shift++;
}

static void evict(struct unwind_files *f, uint32_t number)
{
	struct unwind_file *file = &f->files[number];
	uint32_t page_count = f->shown[number].page_count;

	if (f->now_ns - file->put_ns >= STAY_NS) {
		/* A walk that comes upon it asks for it again. */
		show(f, number, WALK_FILE_EXPECTED);
		file->retry_ns = 0;
		file->delay_shift = 0;
	} else {
		put_off_doubling(f, number);
	}
	drop_lines(f, file, page_count);
	f->stats.tables--;
	f->stats.evicted++;
}

/* The table that was used longest ago, or NO_NUMBER when all were used just now. */
static uint32_t find_coldest(const struct unwind_files *f)
{
	uint32_t coldest = NO_NUMBER;

	for (uint32_t i = 1; i < f->file_count; i++)
		if (f->files[i].words &&
		    (coldest == NO_NUMBER ||
		     f->files[i].last_used_ns < f->files[coldest].last_used_ns))
			coldest = i;
	if (coldest != NO_NUMBER && f->now_ns - f->files[coldest].last_used_ns < HOT_NS)
		return NO_NUMBER;
	return coldest;
}

/* A walk may be in what was evicted, so that it can't be taken at once: some room is made ahead. */
static void make_room_ahead(struct unwind_files *f)
{
	struct lines_stats memory;

	lines_stats(f->lines, &memory);
	if (memory.used < memory.size_max - memory.size_max / 8)
		return;
	for (uint64_t evicted = 0; evicted < memory.size_max / 16 / UNWIND_LINE_SIZE;) {
		uint32_t coldest = find_coldest(f);

		if (coldest == NO_NUMBER)
			return;
		evicted += f->files[coldest].line_count;
		evict(f, coldest);
	}
}

int unwind_files_take_lines(struct unwind_files *f, uint32_t count, uint32_t *ret_line)
{
	int err = lines_take(f->lines, count, ret_line);

	if (err == -ENOSPC)
		make_room_ahead(f);
	return err;
}

/* Copies a page's block, with the numbers that the walk knows rules by. */
static int put_block(struct unwind_files *f, const struct unwind_table *table, uint32_t page,
		     const uint16_t *numbers, struct unwind_file *file, uint32_t *ret_word)
{
	uint32_t word = table->pages[page];
	uint32_t count = unwind_table_block_line_count(table, page);
	uint32_t line;

	*ret_word = 0;
	if (count == 0)
		return 0;

	int err = unwind_files_take_lines(f, count, &line);

	if (err)
		return err;

	const uint8_t *from =
		table->lines + (size_t)(word >> UNWIND_PAGE_LINE_SHIFT) * UNWIND_LINE_SIZE;
	uint8_t *to = lines_at(f->lines, line);
	uint32_t index = word & UNWIND_PAGE_HAS_INDEX ? UNWIND_INDEX_LINE_COUNT : 0;
	const struct unwind_row *rows = (const void *)(from + (size_t)index * UNWIND_LINE_SIZE);
	struct unwind_row *copy = (void *)(to + (size_t)index * UNWIND_LINE_SIZE);

	memcpy(to, from, (size_t)index * UNWIND_LINE_SIZE);
	for (uint32_t i = 0; i < (count - index) * UNWIND_LINE_ROW_COUNT; i++)
		copy[i] = (struct unwind_row){ rows[i].low, numbers[rows[i].rule] };
	file->block_line_counts[page] = (uint16_t)count;
	file->line_count += count;
	*ret_word = line << UNWIND_PAGE_LINE_SHIFT | (word & ((1U << UNWIND_PAGE_LINE_SHIFT) - 1));
	return 0;
}

static int put_pages(struct unwind_files *f, const struct unwind_table *table,
		     struct unwind_file *file)
{
	uint32_t page_count = table->header->page_count;
	uint32_t words_line_count =
		(page_count * (uint32_t)sizeof(uint32_t) + UNWIND_LINE_SIZE - 1) / UNWIND_LINE_SIZE;
	autofree uint16_t *numbers = calloc(table->header->rule_count + 1, sizeof(numbers[0]));
	int err;

	file->block_line_counts = calloc(page_count, sizeof(file->block_line_counts[0]));
	if (!numbers || !file->block_line_counts)
		return -ENOMEM;
	err = unwind_files_take_lines(f, words_line_count, &file->words);
	if (err)
		return err;
	file->words_line_count = words_line_count;
	file->line_count = words_line_count;
	for (uint32_t i = 0; i < table->header->rule_count; i++)
		numbers[i] = (uint16_t)number_rule(f, table->rules[i]);

	uint32_t *words = lines_at(f->lines, file->words);

	memset(words, 0, page_count * sizeof(words[0]));
	for (uint32_t i = 0; i < page_count && !err; i++)
		err = put_block(f, table, i, numbers, file, &words[i]);
	f->stats.rows_size += file->line_count * UNWIND_LINE_SIZE;
	return err;
}

/* Half of the memory for one file, and all others would go. */
static bool is_too_large(const struct unwind_files *f, size_t size)
{
	struct lines_stats memory;

	lines_stats(f->lines, &memory);
	return size > memory.size_max / 2;
}

int unwind_files_put(struct unwind_files *f, uint32_t number, const void *bytes, size_t size)
{
	struct unwind_table table;
	struct unwind_file *file = &f->files[number];
	uint64_t hash = file->asked_hash;

	if (number == NO_NUMBER || number >= f->file_count)
		return -EBADMSG;

	int err = unwind_table_check(bytes, size, &table);

	if (!err && !identity_equal(&table.header->identity, &file->identity))
		err = -EBADMSG;
	file->asked_ns = 0;
	file->asked_hash = 0;
	/* Asked for twice, and refused the first time: the second answer is what counts. */
	file->retry_ns = 0;
	if (err)
		f->stats.malformed++;
	if (file->words) {
		show(f, number, WALK_FILE_PRESENT);
		if (!err)
			know(f, number, hash);
		return err ? err : -EALREADY;
	}
	if (err) {
		put_off(f, number, RETRY_NS);
		return err;
	}
	if (table.header->page_count == 0) {
		unwind_files_refuse(f, number, &file->identity, -ENODATA);
		return 0;
	}
	if (is_too_large(f, size)) {
		f->stats.no_room++;
		file->delay_shift = DELAY_SHIFT_MAX;
		put_off_doubling(f, number);
		return -ENOSPC;
	}
	file->last_used_ns = f->now_ns;
	err = put_pages(f, &table, file);
	if (err) {
		drop_lines(f, file, table.header->page_count);
		f->stats.no_room++;
		put_off_doubling(f, number);
		return err;
	}
	file->put_ns = f->now_ns;
	f->shown[number].words = file->words;
	f->shown[number].page_first = table.header->page_first;
	f->shown[number].page_count = table.header->page_count;
	show(f, number, WALK_FILE_PRESENT);
	know(f, number, hash);
	f->stats.tables++;
	f->stats.put++;
	return 0;
}

/* ---- files --------------------------------------------------------------------------------------
 */

static uint32_t find(const struct unwind_files *f, const struct identity *identity)
{
	uint32_t number = f->buckets[bucket_of(identity)];

	while (number != NO_NUMBER && !identity_equal(&f->files[number].identity, identity))
		number = f->files[number].next;
	return number;
}

static void unlink_file(struct unwind_files *f, uint32_t number)
{
	uint32_t *link = &f->buckets[bucket_of(&f->files[number].identity)];

	while (*link != number)
		link = &f->files[*link].next;
	*link = f->files[number].next;
}

bool unwind_files_knows(const struct unwind_files *f, const struct identity *identity)
{
	uint32_t number = find(f, identity);

	return number != NO_NUMBER && f->files[number].known_hashes[0] &&
	       f->shown[number].state == WALK_FILE_PRESENT;
}

uint32_t unwind_files_wants_copy(const struct unwind_files *f, const struct identity *identity)
{
	uint32_t number = find(f, identity);

	if (number == NO_NUMBER || f->shown[number].state != WALK_FILE_PRESENT ||
	    f->now_ns < f->files[number].next_copy_ns)
		return NO_NUMBER;
	return number;
}

bool unwind_files_saw_copy(struct unwind_files *f, uint32_t number, uint64_t hash)
{
	struct unwind_file *file = &f->files[number];

	file->next_copy_ns = f->now_ns + (COPY_NS << file->copy_shift);
	return hash && !has_hash(file, hash);
}

/* The number of a file that nobody maps any more, its table first let go of. */
static uint32_t reuse_number(struct unwind_files *f)
{
	uint32_t oldest = NO_NUMBER;

	for (uint32_t i = 1; i < f->file_count; i++)
		if (f->files[i].users == 0 &&
		    (oldest == NO_NUMBER ||
		     f->files[i].last_used_ns < f->files[oldest].last_used_ns))
			oldest = i;
	if (oldest == NO_NUMBER)
		return NO_NUMBER;
	if (f->files[oldest].words)
		evict(f, oldest);
	forget(f, oldest);
	unlink_file(f, oldest);
	f->stats.files--;
	return oldest;
}

uint32_t unwind_files_take(struct unwind_files *f, const struct identity *identity)
{
	uint32_t number = find(f, identity);

	if (number != NO_NUMBER) {
		f->files[number].users++;
		return number;
	}
	number = f->file_count < WALK_FILE_UNKNOWN ? f->file_count++ : reuse_number(f);
	if (number == NO_NUMBER) {
		f->stats.file_table_full++;
		return NO_NUMBER;
	}

	uint32_t *bucket = &f->buckets[bucket_of(identity)];

	f->files[number] = (struct unwind_file){
		.identity = *identity, .users = 1, .next = *bucket, .last_used_ns = f->now_ns
	};
	*bucket = number;
	f->stats.files++;
	show(f, number, WALK_FILE_EXPECTED);
	return number;
}

void unwind_files_release(struct unwind_files *f, uint32_t number)
{
	if (number == NO_NUMBER)
		return;
	assert(f->files[number].users > 0);
	f->files[number].users--;
}

const struct identity *unwind_files_identity(const struct unwind_files *f, uint32_t number)
{
	assert(number != NO_NUMBER && number < f->file_count);
	return &f->files[number].identity;
}

bool unwind_files_wants(const struct unwind_files *f, uint32_t number)
{
	if (number == NO_NUMBER || number >= f->file_count)
		return false;

	const struct unwind_file *file = &f->files[number];

	return f->shown[number].state == WALK_FILE_EXPECTED && file->asked_ns == 0 &&
	       (file->last_asked_ns == 0 || f->now_ns - file->last_asked_ns >= ASK_NS);
}

void unwind_files_asked(struct unwind_files *f, uint32_t number, uint64_t hash)
{
	struct unwind_file *file = &f->files[number];

	if (file->words) { /* about a copy: nothing waits for the answer */
		file->copy_shift += file->copy_shift < COPY_SHIFT_MAX;
	} else {
		file->asked_ns = f->now_ns ? f->now_ns : 1;
		file->last_asked_ns = file->asked_ns;
	}
	/* Nobody answered yet what was asked about another file: the answer would be to either. */
	file->asked_hash = file->asked_hash && file->asked_hash != hash ? 0 : hash;
	f->stats.asked++;
}

void unwind_files_forget_questions(struct unwind_files *f)
{
	for (uint32_t i = 1; i < f->file_count; i++)
		f->files[i].asked_ns = f->files[i].last_asked_ns = f->files[i].asked_hash = 0;
}

void unwind_files_refuse(struct unwind_files *f, uint32_t number, const struct identity *identity,
			 int err)
{
	if (number == NO_NUMBER || number >= f->file_count ||
	    !identity_equal(&f->files[number].identity, identity))
		return;
	f->files[number].asked_ns = 0;
	f->files[number].asked_hash = 0;
	if (f->files[number].words)
		return;
	f->stats.refused++;
	put_off(f, number, RETRY_NS);
	if (err == -ENODATA)
		f->files[number].retry_ns = 0;
}

void unwind_files_put_off(struct unwind_files *f, uint32_t number)
{
	if (number == NO_NUMBER || number >= f->file_count || f->files[number].words)
		return;
	f->files[number].asked_ns = 0;
	f->files[number].asked_hash = 0;
	f->stats.refused++;
	put_off_doubling(f, number);
}

uint64_t unwind_files_changes(const struct unwind_files *f)
{
	return f->change_count;
}

void unwind_files_touch(struct unwind_files *f, const struct identity *identity)
{
	uint32_t number = find(f, identity);

	if (number != NO_NUMBER)
		f->files[number].last_used_ns = f->now_ns;
}

void unwind_files_tick(struct unwind_files *f, uint64_t now_ns)
{
	f->now_ns = now_ns;
	for (uint32_t i = 1; i < f->file_count; i++) {
		struct unwind_file *file = &f->files[i];

		if (file->asked_ns && now_ns - file->asked_ns > ANSWER_NS) {
			file->asked_ns = 0;
			put_off(f, i, RETRY_NS);
		}
		if (file->retry_ns && now_ns >= file->retry_ns) {
			file->retry_ns = 0;
			show(f, i, WALK_FILE_EXPECTED);
		}
	}
	make_room_ahead(f);
}

void unwind_files_stats(const struct unwind_files *f, struct unwind_files_stats *ret)
{
	*ret = f->stats;
	ret->rules = f->rule_table.count;
}
