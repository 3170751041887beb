/* SPDX-License-Identifier: Apache-2.0 */
#include "web/perf_script.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/parse.h"
#include "base/utf8.h"
#include "web/profile_type.h"
#include "web/utf8_mend.h"

enum {
	TEXT_SIZE_MAX = 65535, /* what a batch takes */
	WORD_SIZE_MAX = 128,   /* of an event, or of a program's name */
	SNIFF_LINE_COUNT = 40,
	PERIOD_NS_DEFAULT = 10 * 1000 * 1000, /* of a clock event that does not say it */
};

/* A sample's line, in parts. */
struct head {
	struct str comm, pid, tid, event;
	uint64_t time_ns, period;
	bool has_period;
	struct str place; /* what follows the event: without call chains, the only frame */
};

struct input {
	const struct pprof_origin *origin;
	struct batch *batch;
	struct pprof_summary summary;
	char *reason; /* PPROF_ERROR_SIZE */
	uint64_t line_number;
	uint32_t labels;
	struct head head; /* of the sample whose frames are read */
	bool has_head;
	uint32_t frames[PPROF_STACK_DEPTH_MAX];
	uint32_t depth;
	bool is_cut;
	uint64_t first_ns, last_ns;
	struct buf texts; /* a type's id, a binary's name */
	struct buf mended;
};

/* ---- lines ------------------------------------------------------------------------------------
 */

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static struct str trim(struct str text)
{
	while (text.size > 0 && is_blank(text.text[0]))
		text = (struct str){ text.text + 1, text.size - 1 };
	while (text.size > 0 && is_blank(text.text[text.size - 1]))
		text.size--;
	return text;
}

static bool take_word(struct str *rest, struct str *ret)
{
	size_t size = 0;

	*rest = trim(*rest);
	while (size < rest->size && !is_blank(rest->text[size]))
		size++;
	*ret = (struct str){ rest->text, size };
	*rest = trim((struct str){ rest->text + size, rest->size - size });
	return size > 0;
}

static bool is_number(struct str word)
{
	for (size_t i = 0; i < word.size; i++)
		if (!isdigit((unsigned char)word.text[i]))
			return false;
	return word.size > 0;
}

static bool read_ids(struct str word, struct head *head)
{
	struct str rest = word;

	(void)parse_next(&rest, '/', &head->pid);
	head->tid = rest.text && rest.size ? rest : head->pid;
	return is_number(head->pid) && is_number(head->tid);
}

/* "5123.456789:", in seconds. */
static bool read_time(struct str word, uint64_t *ret_ns)
{
	struct str whole = { 0 };
	uint64_t seconds = 0;
	uint64_t ns = 0;
	uint64_t unit = (uint64_t)CLOCK_NS_PER_S;

	if (word.size < 4 || word.text[word.size - 1] != ':')
		return false;
	word.size--;
	if (!parse_next(&word, '.', &whole) || parse_u64(whole, &seconds) || !is_number(word) ||
	    word.size > 9 || seconds > INT64_MAX / CLOCK_NS_PER_S - 1)
		return false;
	for (size_t i = 0; i < word.size; i++)
		ns += (uint64_t)(word.text[i] - '0') * (unit /= 10);
	*ret_ns = seconds * (uint64_t)CLOCK_NS_PER_S + ns;
	return true;
}

/* "cycles:ppp:" is one event; what perf appends to its name tells how precise it is. */
static bool read_event(struct str word, struct head *head)
{
	size_t size = 0;

	if (word.size < 2 || word.text[word.size - 1] != ':')
		return false;
	word.size--;
	while (size < word.size && word.text[size] != ':')
		size++;
	/* Of a tracepoint, "sched:sched_switch", both words count. */
	head->event = (struct str){ word.text, size };
	for (size_t i = size + 1; i < word.size; i++)
		if (!strchr("pPuUkKhHGD", word.text[i]))
			head->event.size = word.size;
	return head->event.size > 0 && head->event.size <= WORD_SIZE_MAX;
}

/*
 * Names of programs have blanks, and digits: the last word before a time that is a number, or two
 * with a slash, is the process.
 */
static bool read_head(struct str line, struct head *ret)
{
	struct str rest = line;
	struct str word;
	struct head head = { 0 };
	bool has_time = false;

	while (!has_time && take_word(&rest, &word)) {
		struct head other;

		has_time = read_time(word, &head.time_ns);
		if (has_time || word.text[0] == '[')
			continue;
		other = head;
		if (word.text > line.text && read_ids(word, &other)) {
			head.pid = other.pid;
			head.tid = other.tid;
			head.comm =
				trim((struct str){ line.text, (size_t)(word.text - line.text) });
		}
	}
	if (!has_time || head.pid.size == 0 || !take_word(&rest, &word))
		return false;
	head.has_period = parse_u64(word, &head.period) == 0;
	if (head.has_period && !take_word(&rest, &word))
		return false;
	head.place = rest;
	if (!read_event(word, &head))
		return false;
	*ret = head;
	return true;
}

/* "55d0c0ffee10 main+0x20 (/usr/bin/firefox)" */
static bool read_frame(struct str line, struct str *ret_symbol, struct str *ret_file)
{
	struct str rest = line;
	struct str address;
	size_t open;

	if (!take_word(&rest, &address))
		return false;
	for (size_t i = 0; i < address.size; i++)
		if (!isxdigit((unsigned char)address.text[i]))
			return false;
	*ret_file = (struct str){ 0 };
	if (rest.size > 0 && rest.text[rest.size - 1] == ')') {
		for (open = rest.size - 1; open > 0; open--)
			if (rest.text[open] == '(' && is_blank(rest.text[open - 1]))
				break;
		if (rest.text[open] == '(') {
			*ret_file = (struct str){ rest.text + open + 1, rest.size - open - 2 };
			rest = trim((struct str){ rest.text, open });
		}
	}
	/* How far into it. */
	for (size_t i = rest.size; i > 2; i--)
		if (rest.text[i - 3] == '+' && rest.text[i - 2] == '0' && rest.text[i - 1] == 'x') {
			rest.size = i - 3;
			break;
		}
	*ret_symbol = rest;
	return true;
}

bool perf_script_begins(struct str text)
{
	struct str line;
	bool has_head = false;

	for (int i = 0; i < SNIFF_LINE_COUNT && parse_next(&text, '\n', &line); i++) {
		struct head head;
		struct str symbol, file;

		if (trim(line).size == 0 || line.text[0] == '#')
			continue;
		if (has_head && is_blank(line.text[0]) && read_frame(line, &symbol, &file))
			return true;
		if (!read_head(line, &head))
			return false;
		has_head = true;
	}
	return has_head;
}

/* ---- samples ----------------------------------------------------------------------------------
 */

static int mend(struct input *input, struct str *text)
{
	if (text->size <= TEXT_SIZE_MAX && utf8_is_valid(*text))
		return 0;
	buf_clear(&input->mended);
	utf8_mend(utf8_end(*text, TEXT_SIZE_MAX), &input->mended);
	if (input->mended.error)
		return input->mended.error;
	*text = utf8_end((struct str){ (const char *)input->mended.bytes, input->mended.size },
			 TEXT_SIZE_MAX);
	input->summary.repairs[PPROF_REPAIRED_TEXT]++;
	return 0;
}

/* "[kernel.kallsyms]_text" is the kernel, "[ext4]" a module of it, "[unknown]" nothing. */
static struct str binary_of(struct input *input, struct str file)
{
	struct str inside;

	if (file.size == 0 || file.size > WINDOW_TEXT_SIZE_MAX || !utf8_is_valid(file) ||
	    str_equal(file, STR("[unknown]")) || str_equal(file, STR("inlined")))
		return (struct str){ 0 };
	if (str_starts_with(file, STR("[kernel.")) || str_starts_with(file, STR("[guest.kernel.")))
		return STR("kernel");
	if (file.text[0] != '[' || file.text[file.size - 1] != ']' ||
	    str_equal(file, STR("[vdso]")))
		return file;
	inside = (struct str){ file.text + 1, file.size - 2 };
	buf_clear(&input->texts);
	buf_printf(&input->texts, "kernel/%.*s", STR_PRINT(inside));
	return (struct str){ (const char *)input->texts.bytes, input->texts.size };
}

static int add_frame(struct input *input, struct str symbol, struct str file)
{
	struct named_line lines[2] = { 0 };
	int64_t number;
	int err;

	if (input->depth == PPROF_STACK_DEPTH_MAX) {
		input->is_cut = true;
		return 0;
	}
	lines[0].function = symbol.size > 0 ? symbol : STR("[unknown]");
	lines[1].file = binary_of(input, file);
	err = input->texts.error ? input->texts.error : mend(input, &lines[0].function);
	if (err)
		return err;
	number = batch_add_named_location(input->batch, lines, lines[1].file.size > 0 ? 2 : 1);
	if (number < 0)
		return (int)number;
	input->frames[input->depth++] = (uint32_t)number;
	return 0;
}

static bool is_clock(struct str event)
{
	return str_equal(event, STR("cpu-clock")) || str_equal(event, STR("task-clock"));
}

static int64_t add_series(struct input *input, struct str event)
{
	if (is_clock(event))
		return batch_add_series(input->batch, input->labels, PROFILE_TYPE_CPU,
					input->head.has_period && input->head.period
						? input->head.period
						: PERIOD_NS_DEFAULT);
	buf_clear(&input->texts);
	buf_printf(&input->texts, "perf:");
	for (int part = 0; part < 2; part++) {
		for (size_t i = 0; i < event.size; i++)
			buf_add_u8(&input->texts,
				   event.text[i] == ':' ? '_' : (uint8_t)event.text[i]);
		buf_printf(&input->texts, part ? ":count" : ":count:");
	}
	if (input->texts.error)
		return input->texts.error;

	struct str id = { (const char *)input->texts.bytes, input->texts.size };

	if (!utf8_is_valid(id))
		id = STR("perf:events:count:events:count");
	return batch_add_series(input->batch, input->labels, id, 1);
}

static int64_t add_labels(struct input *input, const struct head *head)
{
	const struct label labels[] = { { STR("pid"), head->pid },
					{ STR("tid"), head->tid },
					{ STR("thread_name"), head->comm } };
	bool has_name = head->comm.size > 0 && head->comm.size <= WORD_SIZE_MAX &&
			utf8_is_valid(head->comm);

	return batch_add_labels(input->batch, labels, has_name ? 3 : 2);
}

static int end_sample(struct input *input)
{
	const struct head *head = &input->head;
	uint64_t value = head->has_period && head->period ? head->period
			 : is_clock(head->event)	  ? PERIOD_NS_DEFAULT
							  : 1;
	struct str symbol, file;
	int64_t series, labels, stack;
	int err = 0;

	if (!input->has_head)
		return 0;
	input->has_head = false;
	if (input->depth == 0 && head->place.size > 0 && read_frame(head->place, &symbol, &file))
		err = add_frame(input, symbol, file);
	if (err)
		return err;
	if (input->summary.samples == IMPORT_VALUE_COUNT_MAX || value > INT64_MAX)
		return -E2BIG;
	series = add_series(input, head->event);
	labels = series < 0 ? series : add_labels(input, head);
	stack = labels < 0 ? labels
			   : batch_add_stack(input->batch, input->frames, input->depth,
					     input->is_cut ? STACK_TRUNCATED : 0);
	if (stack < 0)
		return (int)stack;
	input->summary.repairs[PPROF_REPAIRED_DEPTH] += input->is_cut;
	input->summary.samples++;
	return batch_add_entry(input->batch,
			       &(struct batch_entry){ .series = (uint32_t)series,
						      .sample_labels = (uint32_t)labels,
						      .stack = (uint32_t)stack,
						      .count = 1,
						      .value = value });
}

static int begin_sample(struct input *input, struct str line)
{
	int err = end_sample(input);

	if (err)
		return err;
	if (!read_head(line, &input->head)) {
		snprintf(input->reason, PPROF_ERROR_SIZE,
			 "line %" PRIu64 ": this is no sample of perf script: name, process, time "
			 "and event are expected",
			 input->line_number);
		return -EBADMSG;
	}
	input->has_head = true;
	input->depth = 0;
	input->is_cut = false;
	if (input->summary.samples == 0 || input->head.time_ns < input->first_ns)
		input->first_ns = input->head.time_ns;
	if (input->head.time_ns > input->last_ns)
		input->last_ns = input->head.time_ns;
	return 0;
}

static int read_line(struct input *input, struct str line)
{
	struct str symbol, file;

	if (trim(line).size == 0)
		return end_sample(input);
	if (line.text[0] == '#')
		return 0;
	if (input->has_head && is_blank(line.text[0]) && read_frame(line, &symbol, &file))
		return add_frame(input, symbol, file);
	return begin_sample(input, line);
}

static void set_time(struct input *input)
{
	static const uint64_t year_ms = UINT64_C(365) * 24 * 3600 * CLOCK_MS_PER_S;
	uint64_t duration_ms = (input->last_ns - input->first_ns) / (uint64_t)CLOCK_NS_PER_MS;

	input->summary.time.start_unix_ms = input->origin->time_unix_ms;
	input->summary.time.end_unix_ms =
		input->origin->time_unix_ms +
		(int64_t)(duration_ms > 0 && duration_ms < year_ms ? duration_ms : 1);
	input->summary.sample_types = 1;
	batch_set_time(input->batch, input->summary.time);
}

static int read_all(struct input *input, struct str text)
{
	int64_t labels =
		batch_add_labels(input->batch, input->origin->labels, input->origin->label_count);
	struct str line;
	int err = labels < 0 ? (int)labels : 0;

	input->labels = err ? 0 : (uint32_t)labels;
	while (!err && parse_next(&text, '\n', &line)) {
		input->line_number++;
		err = read_line(input, line);
	}
	if (!err)
		err = end_sample(input);
	if (err == -E2BIG || err == -EFBIG) {
		err = -E2BIG;
		snprintf(input->reason, PPROF_ERROR_SIZE,
			 "it is too large for one import; at line %" PRIu64, input->line_number);
	}
	if (!err)
		set_time(input);
	return err;
}

int perf_script_read(struct str text, const struct pprof_origin *origin, struct batch *batch,
		     struct pprof_summary *ret, char reterr[static PPROF_ERROR_SIZE])
{
	autofree struct input *input = calloc(1, sizeof(*input));
	int err;

	reterr[0] = '\0';
	if (!input)
		return -ENOMEM;
	*input = (struct input){ .origin = origin,
				 .batch = batch,
				 .reason = reterr,
				 .texts = BUF((size_t)2 * WINDOW_TEXT_SIZE_MAX),
				 .mended = BUF((size_t)3 * TEXT_SIZE_MAX) };
	err = read_all(input, text);
	buf_done(&input->texts);
	buf_done(&input->mended);
	if (!err)
		*ret = input->summary;
	return err;
}
