/* SPDX-License-Identifier: Apache-2.0 */
#include "commands/doctor.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/log.h"
#include "base/parse.h"
#include "collector/collect.h"
#include "commands/command.h"
#include "symbols/cell_lock.h"
#include "symbols/dwarf_lines.h"
#include "web/ask.h"
#include "web/json.h"
#include "web/json_writer.h"
#include "web/metrics.h"
#include "web/port_owner.h"

enum {
	TEXT_SIZE = 320,
	LINE_SIZE = 256,
	PATH_SIZE = SETTING_TEXT_SIZE + 32,
	ANSWER_SIZE_MAX = 1 << 20,
	FREE_PERCENT_LOW = 5,		/* below it a store begins to give data up */
	LOST_PERCENT_HIGH = 1,		/* of the samples */
	INITIAL_PID_SPACE = 0xeffffffc, /* inode of the first pid namespace, PROC_PID_INIT_INO */
};

enum finding_level { LEVEL_OK = 0, LEVEL_WARN = 1, LEVEL_FAIL = 2 };

struct finding {
	enum finding_level level;
	char text[TEXT_SIZE];
	char advice[TEXT_SIZE]; /* "" when there is nothing to do */
};

struct doctor {
	struct settings settings;
	bool as_json;
	struct json_value *status; /* of the server that runs, or NULL */
	int ask_error;
};

/* ---- findings -------------------------------------------------------------------------------- */

static void __attribute__((format(printf, 3, 4)))
find(struct finding *finding, enum finding_level level, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	vsnprintf(finding->text, sizeof(finding->text), format, list);
	va_end(list);
	finding->level = level;
}

static void __attribute__((format(printf, 2, 3)))
advise(struct finding *finding, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	vsnprintf(finding->advice, sizeof(finding->advice), format, list);
	va_end(list);
}

/* The first line of a file, without its end. */
static int read_line(const char *path, char line[static LINE_SIZE])
{
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t size = fd < 0 ? -1 : read(fd, line, LINE_SIZE - 1);

	if (size < 0)
		return -errno;
	line[size] = '\0';
	line[strcspn(line, "\n")] = '\0';
	return 0;
}

static int read_number(const char *path, int64_t *ret)
{
	char line[LINE_SIZE];
	int err = read_line(path, line);

	return err ? err : parse_i64(str_from(line), ret);
}

/* How hearth is started here: by the units of a package, where they are installed. */
static void advise_start(struct finding *finding, const char *unit, const char *commands)
{
	if (!access("/usr/lib/systemd/system/hearth.service", F_OK) ||
	    !access("/lib/systemd/system/hearth.service", F_OK))
		advise(finding,
		       "start it: sudo systemctl start %s; journalctl -u %s tells why it "
		       "ended",
		       unit, unit);
	else
		advise(finding, "start it: %s", commands);
}

/* ---- the kernel ------------------------------------------------------------------------------ */

static void check_kernel(const struct doctor *doctor, struct finding *ret)
{
	struct utsname name;

	(void)doctor;
	if (uname(&name)) {
		find(ret, LEVEL_WARN, "uname: %s", strerror(errno));
		return;
	}
	find(ret, LEVEL_OK, "Linux %s, %s", name.release, name.machine);
	if (strcmp(name.machine, "aarch64") == 0) {
		find(ret, LEVEL_WARN,
		     "Linux %s, aarch64: unwind information is not used on this machine, so that "
		     "stacks end where a program keeps no frame pointers",
		     name.release);
		advise(ret, "build what matters with -fno-omit-frame-pointer, as most "
			    "distributions do for arm64");
	} else if (strcmp(name.machine, "x86_64") != 0) {
		find(ret, LEVEL_FAIL, "Linux %s on %s", name.release, name.machine);
		advise(ret, "hosts of x86_64 can be profiled; here only profiles of others are "
			    "kept and shown");
	}
}

static void check_sampling(const struct doctor *doctor, struct finding *ret)
{
	char reason[COLLECT_ERROR_SIZE];

	(void)doctor;
	if (!collect_probe(reason)) {
		find(ret, LEVEL_OK, "the sampling program loads and attaches");
		return;
	}
	find(ret, LEVEL_FAIL, "%s", reason);
	advise(ret, geteuid() ? "ask again as root: sudo hearth doctor"
			      : "the reasons are among the lines below");
}

static void check_rights(const struct doctor *doctor, struct finding *ret)
{
	static const struct {
		unsigned capability;
		const char *name, *loss;
	} wanted[] = {
		{ CAP_BPF, "CAP_BPF", "no sampling" },
		{ CAP_PERFMON, "CAP_PERFMON", "no sampling" },
		{ CAP_SYS_PTRACE, "CAP_SYS_PTRACE", "no names in others' processes" },
		{ CAP_DAC_READ_SEARCH, "CAP_DAC_READ_SEARCH", "no names in others' files" },
		{ CAP_SYSLOG, "CAP_SYSLOG", "no names in the kernel" },
		{ CAP_CHECKPOINT_RESTORE, "CAP_CHECKPOINT_RESTORE",
		  "no names in deleted programs" },
	};
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { 0 };
	char missing[TEXT_SIZE - 64] = "";
	size_t size = 0;

	(void)doctor;
	if (syscall(SYS_capget, &header, data)) {
		find(ret, LEVEL_WARN, "capget: %s", strerror(errno));
		return;
	}

	uint64_t held = (uint64_t)data[1].effective << 32 | data[0].effective;

	ret->level = LEVEL_OK;
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		if (held >> wanted[i].capability & 1)
			continue;
		if (size < sizeof(missing))
			size += (size_t)snprintf(missing + size, sizeof(missing) - size,
						 "%s%s (%s)", size ? ", " : "", wanted[i].name,
						 wanted[i].loss);
		if (i < 2)
			ret->level = LEVEL_FAIL;
		else if (ret->level == LEVEL_OK)
			ret->level = LEVEL_WARN;
	}
	if (ret->level == LEVEL_OK) {
		find(ret, LEVEL_OK, "all six capabilities of a collector");
		return;
	}
	find(ret, ret->level, "you lack %s", missing);
	advise(ret, "start it as root; in a container, add these capabilities");
}

static void check_lockdown(const struct doctor *doctor, struct finding *ret)
{
	char line[LINE_SIZE];

	(void)doctor;
	if (read_line("/sys/kernel/security/lockdown", line))
		find(ret, LEVEL_OK, "not in this kernel, or not to be seen");
	else if (strstr(line, "[confidentiality]")) {
		find(ret, LEVEL_FAIL, "confidentiality: BPF programs may read no memory");
		advise(ret, "boot with lockdown=integrity, or turn secure boot's lockdown off");
	} else
		find(ret, LEVEL_OK, "%s", line);
}

static void check_kernel_names(const struct doctor *doctor, struct finding *ret)
{
	int64_t restriction = 0;

	(void)doctor;
	if (read_number("/proc/sys/kernel/kptr_restrict", &restriction))
		find(ret, LEVEL_WARN, "kernel.kptr_restrict can't be read");
	else if (restriction >= 2) {
		find(ret, LEVEL_WARN,
		     "kernel.kptr_restrict is %" PRId64 ": the kernel's functions have no names",
		     restriction);
		advise(ret, "sysctl kernel.kptr_restrict=1");
	} else
		find(ret, LEVEL_OK, "kernel.kptr_restrict is %" PRId64, restriction);
}

/* Who reads strangers' files shall not be able to do anything else. */
static void check_readers(const struct doctor *doctor, struct finding *ret)
{
	int err = cell_lock_probe();

	(void)doctor;
	if (!err) {
		find(ret, LEVEL_OK, "files are read behind a filter of calls (seccomp)");
		return;
	}
	find(ret, LEVEL_WARN,
	     "no filter of calls (seccomp) can be had: %s; files are read without capabilities, "
	     "files and network",
	     strerror(-err));
	advise(ret, "a kernel with CONFIG_SECCOMP_FILTER, or a container that may use it");
}

static void check_debug_files(const struct doctor *doctor, struct finding *ret)
{
	(void)doctor;
	if (dwarf_lines_unpack_zstd()) {
		find(ret, LEVEL_OK, "DWARF 2 to 5, also packed by zlib or zstd");
		return;
	}
	find(ret, LEVEL_OK,
	     "DWARF 2 to 5, also packed by zlib; the installed elfutils has no zstd");
}

static void check_pid_space(const struct doctor *doctor, struct finding *ret)
{
	struct stat stat_now;

	(void)doctor;
	if (stat("/proc/self/ns/pid", &stat_now))
		find(ret, LEVEL_WARN, "/proc/self/ns/pid: %s; is /proc mounted?", strerror(errno));
	else if (stat_now.st_ino != (ino_t)(unsigned)INITIAL_PID_SPACE) {
		find(ret, LEVEL_WARN,
		     "this is a container's view: processes outside it are not "
		     "seen");
		advise(ret, "give the container the host's processes: --pid=host");
	} else
		find(ret, LEVEL_OK, "all processes of the host");
}

static void check_cgroups(const struct doctor *doctor, struct finding *ret)
{
	bool is_unified = !access("/sys/fs/cgroup/cgroup.controllers", F_OK);
	bool is_hybrid = !access("/sys/fs/cgroup/unified/cgroup.procs", F_OK);

	(void)doctor;
	find(ret, LEVEL_OK, "%s",
	     is_unified	 ? "version 2"
	     : is_hybrid ? "version 1 with version 2 beside it"
			 : "version 1, or none");
}

/* ---- the place ------------------------------------------------------------------------------- */

static void check_data(const struct doctor *doctor, struct finding *ret)
{
	const char *folder = doctor->settings.data;
	char path[PATH_SIZE];
	struct statvfs space;

	snprintf(path, sizeof(path), "%s", folder);
	/* Where the first start will make it. */
	while (statvfs(path, &space)) {
		char *slash = strrchr(path, '/');

		if (errno != ENOENT || !slash || slash == path) {
			find(ret, LEVEL_FAIL, "'%s': %s", path, strerror(errno));
			advise(ret, "say where profiles may be kept: --data DIR");
			return;
		}
		*slash = '\0';
	}

	bool is_there = !access(folder, F_OK);
	double free_gib = (double)space.f_bavail * (double)space.f_frsize / (1 << 30);
	double free_percent =
		space.f_blocks ? 100.0 * (double)space.f_bavail / (double)space.f_blocks : 0;

	if (access(path, W_OK) && !doctor->status) {
		find(ret, LEVEL_FAIL, "you may not write to '%s'", path);
		advise(ret, "start as root, or say where profiles may be kept: --data DIR");
	} else if (free_percent < FREE_PERCENT_LOW) {
		find(ret, LEVEL_WARN, "'%s': only %.1f GiB free, %.1f %% of the file system",
		     folder, free_gib, free_percent);
		advise(ret, "make room, or move the data folder with --data DIR");
	} else
		find(ret, LEVEL_OK, "'%s'%s, %.1f GiB free", folder,
		     is_there ? "" : " (not made yet)", free_gib);
}

static void check_server(const struct doctor *doctor, struct finding *ret)
{
	const char *address = doctor->settings.http, *colon = strrchr(address, ':');
	char owner[PORT_OWNER_TEXT_SIZE];
	struct str version = STR("?");
	uint64_t port = 0;

	if (doctor->status) {
		(void)json_value_text(json_value_member(doctor->status, "version"), &version);
		find(ret, LEVEL_OK, "hearth %.*s answers at http://%s", STR_PRINT(version),
		     address);
		return;
	}
	if (colon)
		(void)parse_u64(str_from(colon + 1), &port);
	if (doctor->ask_error == -ECONNREFUSED) {
		find(ret, LEVEL_WARN, "nobody listens at %s: hearth does not run there", address);
		advise_start(ret, "hearth", "sudo hearth run");
	} else if (port <= UINT16_MAX && !port_owner_describe((uint16_t)port, owner)) {
		find(ret, LEVEL_FAIL, "port %" PRIu64 " belongs to %s", port, owner);
		advise(ret, "choose another one: --http 127.0.0.1:PORT");
	} else {
		find(ret, LEVEL_WARN, "no sense in what answers at %s: %s", address,
		     strerror(-doctor->ask_error));
		advise(ret, "say where hearth listens: --http ADDR:PORT");
	}
}

/* ---- the server that runs -------------------------------------------------------------------- */

static void check_collector(const struct doctor *doctor, struct finding *ret)
{
	const struct json_value *collector = json_value_member(doctor->status, "collector");
	const struct json_value *lost = json_value_member(collector, "lost");
	struct str state = json_member_text(collector, "state"),
		   reason = json_member_text(collector, "reason");
	int64_t samples = json_member_integer(collector, "samples"), lost_count = 0;

	for (size_t i = 0; i < LOSS_KIND_COUNT; i++)
		lost_count += json_member_integer(lost, metrics_loss_name((enum loss_kind)i));
	if (!str_equal(state, STR("sampling"))) {
		find(ret, str_equal(state, STR("replay")) ? LEVEL_OK : LEVEL_FAIL, "%.*s%s%.*s",
		     STR_PRINT(state), reason.size ? ": " : "", STR_PRINT(reason));
		if (ret->level == LEVEL_FAIL)
			advise_start(ret, "hearth-collector",
				     "sudo hearth run, or sudo hearth collect");
	} else if (lost_count * 100 > samples * LOST_PERCENT_HIGH) {
		find(ret, LEVEL_WARN, "%" PRId64 " of %" PRId64 " samples were lost", lost_count,
		     samples + lost_count);
		advise(ret, "sample less often: --frequency 49");
	} else
		find(ret, LEVEL_OK,
		     "samples %" PRId64 " times a second; %" PRId64 " samples, %" PRId64 " lost",
		     json_member_integer(collector, "frequency_hz"), samples, lost_count);
}

static void check_store(const struct doctor *doctor, struct finding *ret)
{
	const struct json_value *store = json_value_member(doctor->status, "store");
	struct str state = json_member_text(store, "state"),
		   reason = json_member_text(store, "reason");
	int64_t damaged = json_member_integer(store, "damaged");

	if (str_equal(state, STR("read-only")))
		find(ret, LEVEL_FAIL, "read-only: %.*s", STR_PRINT(reason));
	else if (!str_equal(state, STR("ok")))
		find(ret, LEVEL_WARN, "%.*s: %.*s", STR_PRINT(state), STR_PRINT(reason));
	else if (damaged) {
		find(ret, LEVEL_WARN, "%" PRId64 " damaged files were set aside", damaged);
		advise(ret, "look at them: hearth store verify");
	} else if (json_member_integer(store, "failing")) {
		find(ret, LEVEL_WARN,
		     "questions fail on %" PRId64 " files that are not damaged; they are left out",
		     json_member_integer(store, "failing"));
		advise(ret, "report this, with hearth --version; a later version finds them again");
	} else
		find(ret, LEVEL_OK, "%" PRId64 " samples in %" PRId64 " files, %.1f MiB",
		     json_member_integer(store, "samples"), json_member_integer(store, "spans"),
		     (double)json_member_integer(store, "bytes") / (1 << 20));
}

static void check_addresses(const struct doctor *doctor, struct finding *ret)
{
	struct str missing = json_member_text(doctor->status, "address_missing");

	if (!missing.size) {
		find(ret, LEVEL_OK, "all are served, %s among them", doctor->settings.http);
		return;
	}
	find(ret, LEVEL_WARN, "%.*s", STR_PRINT(missing));
	advise(ret, "the others are served; start hearth again when it is free");
}

/* ---- the command ----------------------------------------------------------------------------- */

static const struct check {
	const char *name;
	bool of_server; /* only asked when one runs */
	void (*look)(const struct doctor *doctor, struct finding *ret);
} checks[] = {
	{ "kernel", false, check_kernel },
	{ "sampling", false, check_sampling },
	{ "rights", false, check_rights },
	{ "lockdown", false, check_lockdown },
	{ "kernel names", false, check_kernel_names },
	{ "readers", false, check_readers },
	{ "lines", false, check_debug_files },
	{ "processes", false, check_pid_space },
	{ "cgroups", false, check_cgroups },
	{ "data folder", false, check_data },
	{ "server", false, check_server },
	{ "addresses", true, check_addresses },
	{ "collector", true, check_collector },
	{ "store", true, check_store },
};

static const char *const level_words[] = { "ok", "warn", "FAIL" };

static void tell(const char *name, const struct finding *finding)
{
	printf("%-4s  %-14s%s\n", level_words[finding->level], name, finding->text);
	if (finding->advice[0])
		printf("%-20s→ %s\n", "", finding->advice);
}

static void tell_json(struct json_writer *json, const char *name, const struct finding *finding)
{
	static const char *const words[] = { "ok", "warn", "fail" };

	json_begin_object(json);
	json_key(json, "name");
	json_text(json, str_from(name));
	json_key(json, "level");
	json_text(json, str_from(words[finding->level]));
	json_key(json, "text");
	json_text(json, str_from(finding->text));
	json_key(json, "advice");
	json_text(json, str_from(finding->advice));
	json_end_object(json);
}

static int examine(const struct doctor *doctor)
{
	autoclean(buf) struct buf text = BUF(ANSWER_SIZE_MAX);
	struct json_writer json = JSON_WRITER(&text);
	enum finding_level worst = LEVEL_OK;

	json_begin_array(&json);
	for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
		struct finding finding = { 0 };

		if (checks[i].of_server && !doctor->status)
			continue;
		checks[i].look(doctor, &finding);
		assert(finding.text[0]);
		if (finding.level > worst)
			worst = finding.level;
		if (doctor->as_json)
			tell_json(&json, checks[i].name, &finding);
		else
			tell(checks[i].name, &finding);
	}
	json_end_array(&json);
	if (doctor->as_json)
		printf("%.*s\n", (int)text.size, (const char *)text.bytes);
	return (int)worst;
}

static void ask_status(struct doctor *doctor)
{
	autoclean(buf) struct buf body = BUF(ANSWER_SIZE_MAX);
	char reason[JSON_ERROR_SIZE];

	doctor->ask_error = ask_server(doctor->settings.http, "GET", "/api/v1/status", &body);
	if (!doctor->ask_error)
		doctor->ask_error = json_value_parse((struct str){ (char *)body.bytes, body.size },
						     &doctor->status, reason);
}

int doctor_main(int argument_count, const char *const *arguments)
{
	struct doctor doctor = { 0 };
	autofree const char **options = calloc((size_t)argument_count + 1, sizeof(options[0]));
	int option_count = 0;

	if (!options)
		return EX_OSERR;
	if (command_asks_for_help(argument_count, arguments)) {
		command_help("doctor [--json] [OPTIONS]", DOCTOR_HELP, SETTING_OF_RUN);
		return 0;
	}
	for (int i = 0; i < argument_count; i++)
		if (!strcmp(arguments[i], "--json"))
			doctor.as_json = true;
		else
			options[option_count++] = arguments[i];

	int code = command_settings(SETTING_OF_RUN, option_count, options, &doctor.settings);

	if (code)
		return code;
	ask_status(&doctor);
	code = examine(&doctor);
	doctor.status = json_value_free(doctor.status);
	return code;
}
