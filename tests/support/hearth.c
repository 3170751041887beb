/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/hearth.h"
#include "base/folder.h"
#include "tests/support/tier.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/parse.h"
#include "collector/collect.h"

enum { BODY_SIZE_MAX = 64 << 20 };

const char *build_path(const char *name, char *path, size_t size)
{
	const char *build = getenv("BUILD");

	snprintf(path, size, "%s/%s", build ? build : "build", name);
	return path;
}

double now_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

void sleep_seconds(double seconds)
{
	struct timespec time = { .tv_sec = (time_t)seconds,
				 .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9) };

	while (nanosleep(&time, &time) && errno == EINTR)
		;
}

void child_start(struct child *child, const char *const *arguments, uid_t uid)
{
	int pipe_fds[2];

	memset(child, 0, sizeof(*child));
	assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
	child->pid = fork();
	assert_true(child->pid >= 0);
	if (child->pid == 0) {
		/* Nothing that a test starts outlives it. */
		if (uid && (setgroups(0, NULL) || setgid(uid) || setuid(uid)))
			_exit(126);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(pipe_fds[1], STDERR_FILENO);
		dup2(pipe_fds[1], STDOUT_FILENO);
		execv(arguments[0], (char *const *)(uintptr_t)arguments);
		_exit(127);
	}
	close(pipe_fds[1]);
	child->errors = pipe_fds[0];
}

bool child_says(struct child *child, const char *text, double seconds)
{
	double end = now_seconds() + seconds;

	while (!strstr(child->said, text)) {
		struct pollfd wait = { .fd = child->errors, .events = POLLIN };
		double left = end - now_seconds();

		if (left <= 0 || child->said_size + 1 >= sizeof(child->said))
			return false;
		if (poll(&wait, 1, (int)(left * 1000) + 1) <= 0)
			continue;

		ssize_t size = read(child->errors, child->said + child->said_size,
				    sizeof(child->said) - 1 - child->said_size);

		if (size <= 0)
			return false;
		child->said_size += (size_t)size;
		child->said[child->said_size] = '\0';
	}
	return true;
}

int child_wait(struct child *child, double seconds)
{
	double end = now_seconds() + seconds;
	int status;

	/* To the end of its output, so that it is never held up by a full pipe. */
	(void)child_says(child, "\001", seconds);
	while (waitpid(child->pid, &status, WNOHANG) == 0) {
		if (now_seconds() > end) {
			kill(child->pid, SIGKILL);
			waitpid(child->pid, &status, 0);
			fail_msg("it did not end within %g s; it said: %s", seconds, child->said);
		}
		sleep_seconds(0.01);
	}
	close(child->errors);
	child->pid = 0;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

int child_stop(struct child *child, double seconds)
{
	kill(child->pid, SIGTERM);
	return child_wait(child, seconds);
}

int shell_output(char *output, size_t size, const char *format, ...)
{
	char command[2048];
	va_list list;

	va_start(list, format);
	assert_true((size_t)vsnprintf(command, sizeof(command), format, list) < sizeof(command));
	va_end(list);

	FILE *pipe = popen(command, "r");

	assert_non_null(pipe);
	output[fread(output, 1, size - 1, pipe)] = '\0';

	int status = pclose(pipe);

	return WIFEXITED(status) ? WEXITSTATUS(status) : 256;
}

void skip_without(const char *what, const char *output)
{
	const char *required = getenv("HEARTH_REQUIRE_CLIENTS");

	if (required && !strcmp(required, "1"))
		fail_msg("%s: %s", what, output);
	print_message("skipped: %s\n", what);
	skip();
}

void find_built(const struct built *built, char *program, size_t size)
{
	static char output[1 << 16];
	const char *known = getenv(built->variable);
	const char *required = getenv("HEARTH_REQUIRE_CLIENTS");
	char below[128], folder[256], why[256];

	snprintf(below, sizeof(below), "tests/clients/%s", built->folder);
	(void)build_path(below, folder, sizeof(folder));
	if (known)
		snprintf(program, size, "%s", known);
	else
		snprintf(program, size, "%s/%s", folder, built->program);
	if (access(program, X_OK) == 0)
		return;
	snprintf(why, sizeof(why), "%s is built by the long tests", built->what);
	if (!tier_is_long() && !(required && !strcmp(required, "1")))
		skip_without(why, "");
	if (shell_output(output, sizeof(output), "go version 2>&1"))
		skip_without("there is no Go on this machine (golang-go)", output);
	snprintf(why, sizeof(why), "%s could not be built: modules are missing, or Go is old",
		 built->what);
	if (shell_output(output, sizeof(output), "set -- '%s'; { %s; } 2>&1", folder,
			 built->command))
		skip_without(why, output);
}

void hearth_start(struct hearth *hearth, const char *command, const char *const *options)
{
	memset(hearth, 0, sizeof(*hearth));
	snprintf(hearth->folder, sizeof(hearth->folder), "/tmp/hearth-test-XXXXXX");
	assert_non_null(mkdtemp(hearth->folder));
	hearth_start_again(hearth, command, options);
}

void hearth_start_again(struct hearth *hearth, const char *command, const char *const *options)
{
	char program[256];
	const char *arguments[32] = { build_path("hearth", program, sizeof(program)),
				      command,
				      "--data",
				      hearth->folder,
				      "--http",
				      "127.0.0.1:0",
				      "--otlp-grpc",
				      "off",
				      "--otlp-http",
				      "off" };
	size_t count = 10;

	for (; options && *options; options++)
		arguments[count++] = *options;
	assert_true(count < 32);
	child_start(&hearth->child, arguments, 0);
	/* "ready at http://127.0.0.1:PORT/", or https. */
	if (!child_says(&hearth->child, "ready at http", 20) ||
	    !child_says(&hearth->child, "://127.0.0.1:", 20))
		fail_msg("hearth is not ready; it said: %s", hearth->child.said);

	const char *at = strstr(hearth->child.said, "://127.0.0.1:");
	struct str digits = str_from(at + strlen("://127.0.0.1:"));
	uint64_t port;

	digits.size = strspn(digits.text, "0123456789");
	assert_int_equal(parse_u64(digits, &port), 0);
	hearth->port = (unsigned)port;
}

int hearth_stop(struct hearth *hearth)
{
	int code = hearth->child.pid ? child_stop(&hearth->child, 20) : 0;

	folder_remove(hearth->folder);
	return code;
}

struct hearth shared_hearth;

int shared_hearth_start(void **state)
{
	static const char *const options[] = { "--frequency", "499", "--window", "1s", NULL };

	(void)state;
	hearth_start(&shared_hearth, "run", options);
	return 0;
}

int shared_hearth_stop(void **state)
{
	(void)state;
	return hearth_stop(&shared_hearth) == 0 ? 0 : -1;
}

pid_t hearth_program(const struct hearth *hearth, const char *name)
{
	DIR *folder = opendir("/proc");
	struct dirent *entry;
	pid_t found = 0;

	assert_non_null(folder);
	while (!found && (entry = readdir(folder))) {
		char path[300], line[512] = "";
		uint64_t pid, parent;

		if (parse_u64(str_from(entry->d_name), &pid))
			continue;
		snprintf(path, sizeof(path), "/proc/%s/stat", entry->d_name);

		FILE *file = fopen(path, "re");

		if (!file)
			continue;
		if (fgets(line, sizeof(line), file)) {
			char *comm_end = strrchr(line, ')');
			char *comm = strchr(line, '(');

			if (comm && comm_end && comm_end > comm) {
				*comm_end = '\0';

				struct str rest = str_from(comm_end + 4);
				struct str word;

				if (!strcmp(comm + 1, name) && parse_next(&rest, ' ', &word) &&
				    parse_u64(word, &parent) == 0 &&
				    (pid_t)parent == hearth->child.pid)
					found = (pid_t)pid;
			}
		}
		(void)fclose(file);
	}
	closedir(folder);
	return found;
}

int http_ask(unsigned port, const char *path, const char *body, char **ret_body)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_port = htons((uint16_t)port),
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	autoclose int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	autoclean(buf) struct buf text = BUF(BODY_SIZE_MAX);
	uint64_t status = 0;

	assert_true(fd >= 0);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)))
		return -errno;
	buf_printf(&text, "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n",
		   body ? "POST" : "GET", path);
	if (body)
		buf_printf(&text, "Content-Type: application/json\r\nContent-Length: %zu\r\n",
			   strlen(body));
	buf_printf(&text, "\r\n%s", body ? body : "");
	if (send(fd, text.bytes, text.size, MSG_NOSIGNAL) != (ssize_t)text.size)
		return -EPIPE;
	buf_clear(&text);
	for (ssize_t size = 1; size > 0;) {
		char piece[65536];

		size = recv(fd, piece, sizeof(piece), 0);
		if (size > 0)
			buf_add(&text, piece, (size_t)size);
	}
	buf_add_u8(&text, 0);
	if (text.error || text.size < 16)
		return -EPIPE;
	(void)parse_u64((struct str){ (char *)text.bytes + 9, 3 }, &status);
	if (ret_body) {
		const char *start = strstr((char *)text.bytes, "\r\n\r\n");

		*ret_body = strdup(start ? start + 4 : "");
	}
	return (int)status;
}

json_t *hearth_get(const struct hearth *hearth, const char *format, ...)
{
	char path[1024];
	autofree char *body = NULL;
	json_error_t error;
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(path, sizeof(path), format, arguments);
	va_end(arguments);

	int status = http_ask(hearth->port, path, NULL, &body);

	if (status != 200)
		fail_msg("GET %s: %d %s; hearth said: %s", path, status, body ? body : "",
			 hearth->child.said);

	json_t *answer = json_loads(body, 0, &error);

	if (!answer)
		fail_msg("GET %s: no JSON: %s", path, error.text);
	return answer;
}

json_t *find_process(json_t *answer, long pid, const char *name)
{
	json_t *rows = json_object_get(answer, "rows");

	for (size_t i = 0; i < json_array_size(rows); i++) {
		json_t *row = json_array_get(rows, i);
		const char *row_name = json_string_value(json_object_get(row, "process_name"));

		if ((pid == 0 || json_integer_value(json_object_get(row, "pid")) == pid) &&
		    row_name && !strcmp(row_name, name))
			return row;
	}
	return NULL;
}

struct flame_columns {
	json_t *names, *parent, *name, *kind, *total;
};

static struct flame_columns columns_of(json_t *flame)
{
	json_t *nodes = json_object_get(flame, "nodes");
	struct flame_columns columns = { json_object_get(flame, "names"),
					 json_object_get(nodes, "parent"),
					 json_object_get(nodes, "name"),
					 json_object_get(nodes, "kind"),
					 json_object_get(nodes, "total") };

	assert_true(columns.names && columns.parent && columns.name && columns.kind &&
		    columns.total);
	return columns;
}

static long at(json_t *column, size_t index)
{
	return (long)json_integer_value(json_array_get(column, index));
}

static const char *name_at(const struct flame_columns *columns, size_t index)
{
	const char *name =
		json_string_value(json_array_get(columns->names, (size_t)at(columns->name, index)));

	return name ? name : "";
}

static bool is_one_of(const char *const *names, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (!strcmp(names[i], name))
			return true;
	return false;
}

static bool lies_below(const struct flame_columns *columns, size_t index, const char *const *names,
		       size_t count)
{
	while (index > 0) {
		index = (size_t)at(columns->parent, index);
		if (is_one_of(names, count, name_at(columns, index)))
			return true;
	}
	return false;
}

double flame_total_of_any(json_t *flame, const char *const *functions, size_t count)
{
	struct flame_columns columns = columns_of(flame);
	double total = 0;

	for (size_t i = 0; i < json_array_size(columns.name); i++)
		if (is_one_of(functions, count, name_at(&columns, i)) &&
		    !lies_below(&columns, i, functions, count))
			total += json_number_value(json_array_get(columns.total, i));
	return total;
}

double flame_total(json_t *flame, const char *function)
{
	return flame_total_of_any(flame, &function, 1);
}

bool flame_has_below(json_t *flame, const char *function, int kind, const char *below)
{
	struct flame_columns columns = columns_of(flame);

	for (size_t i = 0; i < json_array_size(columns.name); i++)
		if (!strcmp(name_at(&columns, i), function) &&
		    (kind < 0 || at(columns.kind, i) == kind) && lies_below(&columns, i, &below, 1))
			return true;
	return false;
}

double cpu_seconds_of(pid_t pid)
{
	char path[64], line[1024] = "";
	struct str rest, word;
	double seconds = 0;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);

	FILE *file = fopen(path, "re");

	assert_non_null(file);
	assert_non_null(fgets(line, sizeof(line), file));
	(void)fclose(file);
	rest = str_from(strrchr(line, ')') + 2);
	for (int i = 3; i <= 15 && parse_next(&rest, ' ', &word); i++) {
		uint64_t ticks;

		if (i >= 14 && parse_u64(word, &ticks) == 0)
			seconds += (double)ticks / (double)sysconf(_SC_CLK_TCK);
	}
	return seconds;
}

void need_bpf(void)
{
	const char *required = getenv("HEARTH_REQUIRE_BPF");
	char reason[COLLECT_ERROR_SIZE] = "";

	if (collect_probe(reason) == 0)
		return;
	if (required && !strcmp(required, "1"))
		fail_msg("no BPF here, but HEARTH_REQUIRE_BPF=1: %s", reason);
	print_message("# SKIP without the rights for BPF: %s\n", reason);
	skip();
}
