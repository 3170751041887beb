/* SPDX-License-Identifier: Apache-2.0 */
#include "commands/top.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sysexits.h>
#include <termios.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/utf8.h"
#include "commands/command.h"
#include "web/ask.h"
#include "web/json.h"

enum {
	REFRESH_MS = 2000,
	RANGE_MS_DEFAULT = 30 * CLOCK_MS_PER_S,
	RANGE_MS_MAX = 24 * 3600 * CLOCK_MS_PER_S,
	ANSWER_SIZE_MAX = 4 << 20,
	SCREEN_SIZE_MAX = 1 << 20,
	PATH_SIZE = 256,
	ROWS_ONCE = 40, /* of each table, where there is no screen to fit in */
	ROW_COUNT_MAX = 200,
	ROWS_MIN = 3,
	COLUMNS_MIN = 40,
	PROCESS_COLUMNS = 15,
	NAME_COLUMNS_MAX = 80, /* of a C++ function the page shows the rest */
	LINES_BESIDE = 6,      /* head, blank lines, the heads of both tables, the last */
};

struct top {
	struct settings settings;
	bool once, by_service;
	int64_t range_ms;
	uint32_t rows; /* of each table */
	uint32_t columns;
	struct json_value *status, *processes, *functions;
};

static volatile sig_atomic_t stop_asked;

static void ask_to_stop(int signal_number)
{
	(void)signal_number;
	stop_asked = 1;
}

/* ---- asking ---------------------------------------------------------------------------------- */

static int ask(const struct top *top, const char *path, struct json_value **ret)
{
	autoclean(buf) struct buf body = BUF(ANSWER_SIZE_MAX);
	char reason[JSON_ERROR_SIZE];
	int err = ask_server(top->settings.http, "GET", path, &body);

	*ret = json_value_free(*ret);
	return err ? err
		   : json_value_parse((struct str){ (char *)body.bytes, body.size }, ret, reason);
}

static int ask_all(struct top *top)
{
	int64_t to_ms = clock_unix_ms(), from_ms = to_ms - top->range_ms;
	char path[PATH_SIZE];
	int err = ask(top, "/api/v1/status", &top->status);

	if (err)
		return err;
	snprintf(path, sizeof(path),
		 "/api/v1/processes?from=%" PRId64 "&to=%" PRId64 "&points=0&limit=%u&by=%s",
		 from_ms, to_ms, top->rows, top->by_service ? "service" : "process");
	err = ask(top, path, &top->processes);
	if (err)
		return err;
	snprintf(path, sizeof(path), "/api/v1/functions?from=%" PRId64 "&to=%" PRId64 "&limit=%u",
		 from_ms, to_ms, top->rows);
	return ask(top, path, &top->functions);
}

/* ---- the screen ------------------------------------------------------------------------------ */

/*
 * A text in so many columns, padded, or at most so many. Names are
 * strangers' bytes: what a terminal would act on, or could not show, becomes '?'.
 */
static void put_text(struct buf *screen, struct str text, uint32_t columns, bool is_padded)
{
	uint32_t used = 0;

	while (text.size > 0 && used < columns) {
		size_t size = utf8_size((const uint8_t *)text.text, text.size);
		unsigned char first = (unsigned char)text.text[0];
		/* U+0080…U+009F are control characters, too. */
		bool is_control =
			first < 0x20 || first == 0x7f ||
			(first == 0xc2 && size == 2 && (unsigned char)text.text[1] < 0xa0);

		if (size == 0 || is_control)
			buf_printf(screen, "?");
		else
			buf_add(screen, text.text, size);
		text.text += size ? size : 1;
		text.size -= size ? size : 1;
		used++;
	}
	if (is_padded)
		buf_printf(screen, "%*s", (int)(columns - used), "");
}

static void put_head(const struct top *top, struct buf *screen)
{
	const struct json_value *host = json_value_member(top->status, "host");
	const struct json_value *collector = json_value_member(top->status, "collector");
	struct str state = json_member_text(collector, "state");

	put_text(screen, json_member_text(host, "name"), NAME_COLUMNS_MAX, false);
	buf_printf(screen, "  %.2f of %.0f cores busy, %.2f in the kernel; last ",
		   json_member_number(top->processes, "cores"), json_member_number(host, "cpus"),
		   json_member_number(top->processes, "kernel_cores"));
	if (top->range_ms % 60000 == 0)
		buf_printf(screen, "%" PRId64 " min", top->range_ms / 60000);
	else
		buf_printf(screen, "%" PRId64 " s", top->range_ms / CLOCK_MS_PER_S);
	if (!str_equal(state, STR("sampling"))) {
		buf_printf(screen, "; not sampling: ");
		put_text(screen, state, NAME_COLUMNS_MAX, false);
	}
	buf_printf(screen, "\n\n");
}

static void put_processes(const struct top *top, struct buf *screen)
{
	const struct json_value *rows = json_value_member(top->processes, "rows");
	uint32_t count = (uint32_t)json_value_count(rows);

	buf_printf(screen, top->by_service ? "  cores  kernel  procs  service\n"
					   : "  cores  kernel    pid  process          service\n");
	for (uint32_t i = 0; i < count && i < top->rows; i++) {
		const struct json_value *row = json_value_item(rows, i);

		buf_printf(screen, "%7.2f %7.2f %6.0f  ", json_member_number(row, "cores"),
			   json_member_number(row, "kernel_cores"),
			   json_member_number(row, top->by_service ? "processes" : "pid"));
		if (!top->by_service)
			put_text(screen, json_member_text(row, "process_name"), PROCESS_COLUMNS,
				 true);
		if (!top->by_service)
			buf_printf(screen, "  ");
		put_text(screen, json_member_text(row, "service_name"), NAME_COLUMNS_MAX, false);
		buf_printf(screen, "\n");
	}
}

static void put_functions(const struct top *top, struct buf *screen)
{
	const struct json_value *rows = json_value_member(top->functions, "rows");
	uint32_t count = (uint32_t)json_value_count(rows);
	double total = json_member_number(top->functions, "total");

	buf_printf(screen, "\n   self   total  function\n");
	for (uint32_t i = 0; i < count && i < top->rows; i++) {
		const struct json_value *row = json_value_item(rows, i);
		double share = total > 0 ? 100 / total : 0;

		buf_printf(screen, "%6.1f%% %6.1f%%  ", json_member_number(row, "self") * share,
			   json_member_number(row, "total") * share);
		put_text(screen, json_member_text(row, "name"), NAME_COLUMNS_MAX, false);
		buf_printf(screen, "  ");
		put_text(screen, json_member_text(row, "module"), NAME_COLUMNS_MAX, false);
		buf_printf(screen, "\n");
	}
}

static void measure(struct top *top)
{
	struct winsize size;

	top->rows = ROWS_ONCE;
	if (top->once || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) || size.ws_row == 0)
		return;
	top->columns = size.ws_col > COLUMNS_MIN ? size.ws_col : COLUMNS_MIN;
	top->rows = size.ws_row > LINES_BESIDE + 2 * ROWS_MIN
			    ? ((uint32_t)size.ws_row - LINES_BESIDE) / 2
			    : ROWS_MIN;
	if (top->rows > ROW_COUNT_MAX)
		top->rows = ROW_COUNT_MAX;
}

static int write_whole(const struct buf *screen)
{
	size_t done = 0;

	while (done < screen->size) {
		ssize_t size = write(STDOUT_FILENO, screen->bytes + done, screen->size - done);

		if (size < 0 && errno == EINTR)
			continue;
		if (size <= 0)
			return size < 0 ? -errno : -EIO;
		done += (size_t)size;
	}
	return 0;
}

/* One picture. A terminal's is drawn over the last one, so that nothing flickers. */
static int show(struct top *top)
{
	autoclean(buf) struct buf screen = BUF(SCREEN_SIZE_MAX), lines = BUF(SCREEN_SIZE_MAX);

	measure(top);

	int err = ask_all(top);

	if (err)
		return err;
	put_head(top, &lines);
	put_processes(top, &lines);
	put_functions(top, &lines);
	if (top->once)
		return lines.error ? lines.error : write_whole(&lines);

	buf_printf(&screen, "\033[H");
	buf_printf(&lines, "\nq quits, s shows %s, + and - change the time",
		   top->by_service ? "processes" : "services");
	if (lines.error)
		return lines.error;
	for (struct str rest = { (char *)lines.bytes, lines.size }, line;
	     parse_next(&rest, '\n', &line);) {
		put_text(&screen, line, top->columns, true);
		if (rest.size > 0)
			buf_printf(&screen, "\n");
	}
	buf_printf(&screen, "\033[J");
	return screen.error ? screen.error : write_whole(&screen);
}

/* ---- the command ----------------------------------------------------------------------------- */

/* false: enough. */
static bool handle_key(struct top *top, char key)
{
	if (key == 's')
		top->by_service = !top->by_service;
	else if (key == '+' && top->range_ms * 2 <= RANGE_MS_MAX)
		top->range_ms *= 2;
	else if (key == '-' && top->range_ms / 2 >= CLOCK_MS_PER_S)
		top->range_ms = top->range_ms / 2 / CLOCK_MS_PER_S * CLOCK_MS_PER_S;
	return key != 'q' && key != 3 && key != 4;
}

static int watch(struct top *top)
{
	struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };
	int err = 0;

	while (!err && !stop_asked) {
		char key;

		err = show(top);
		if (err || poll(&input, 1, REFRESH_MS) <= 0)
			continue;
		if (read(STDIN_FILENO, &key, 1) != 1 || !handle_key(top, key))
			break;
	}
	return err;
}

static int watch_in_terminal(struct top *top)
{
	struct sigaction action = { .sa_handler = ask_to_stop };
	struct termios before, raw;
	bool is_terminal = !tcgetattr(STDIN_FILENO, &before);

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	if (is_terminal) {
		raw = before;
		raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
		tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	}
	/* The other screen, without a cursor, and back. */
	printf("\033[?1049h\033[?25l");
	(void)fflush(stdout);

	int err = watch(top);

	printf("\033[?25h\033[?1049l");
	(void)fflush(stdout);
	if (is_terminal)
		tcsetattr(STDIN_FILENO, TCSANOW, &before);
	return err;
}

/* Takes our own words out; what is left is settings_load()'s. -EINVAL after words. */
static int read_arguments(struct top *top, int argument_count, const char *const *arguments,
			  const char **options, int *ret_option_count)
{
	int count = 0;

	for (int i = 0; i < argument_count; i++) {
		uint64_t range_ns;

		if (!strcmp(arguments[i], "--once"))
			top->once = true;
		else if (!strcmp(arguments[i], "--services"))
			top->by_service = true;
		else if (strcmp(arguments[i], "--range") != 0)
			options[count++] = arguments[i];
		else if (++i == argument_count ||
			 parse_duration_ns(str_from(arguments[i]), &range_ns) ||
			 range_ns < (uint64_t)CLOCK_NS_PER_S ||
			 range_ns > (uint64_t)RANGE_MS_MAX * CLOCK_NS_PER_MS) {
			log_error("--range takes a time from 1s to 24h, like 30s or 5m");
			return -EINVAL;
		} else
			top->range_ms = (int64_t)(range_ns / CLOCK_NS_PER_MS);
	}
	*ret_option_count = count;
	return 0;
}

int top_main(int argument_count, const char *const *arguments)
{
	struct top top = { .range_ms = RANGE_MS_DEFAULT };
	autofree const char **options = calloc((size_t)argument_count + 1, sizeof(options[0]));
	int option_count, err;

	if (!options)
		return EX_OSERR;
	if (command_asks_for_help(argument_count, arguments)) {
		command_help("top [--once] [--services] [--range 30s] [OPTIONS]", TOP_HELP,
			     SETTING_OF_SERVE);
		return 0;
	}
	if (read_arguments(&top, argument_count, arguments, options, &option_count))
		return EX_USAGE;

	int code = command_settings(SETTING_OF_SERVE, option_count, options, &top.settings);

	if (code)
		return code;
	if (!isatty(STDOUT_FILENO))
		top.once = true;
	err = top.once ? show(&top) : watch_in_terminal(&top);
	if (err)
		log_error_errno(err,
				"no server answers at %s; start one with 'sudo hearth run', or say "
				"where it listens with --http ADDR:PORT",
				top.settings.http);
	json_value_free(top.status);
	json_value_free(top.processes);
	json_value_free(top.functions);
	return err ? EX_UNAVAILABLE : 0;
}
