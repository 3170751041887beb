/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OpenTelemetry's eBPF profiler tells a file by the hash of its head, tail and length alone, and
 * sends addresses without names. Our own collector has seen the file: so its profiles have names.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "tests/support/hearth.h"
#include "tests/support/own_file.h"
#include "tests/support/pprof_maker.h"

#define FUNCTION "spend_for_the_hash"
#define CPU	 "process_cpu:cpu:nanoseconds:cpu:nanoseconds"

enum {
	REQUEST_SIZE_MAX = 1 << 16,
	HASH_DIGIT_COUNT = 32, /* half of SHA-256 */
	INTO_FUNCTION = 4,     /* bytes: a place in it that is not its start */
	PERIOD_NS = 123456789, /* what the one sample is worth */
};

__attribute__((noinline)) void spend_for_the_hash(void);

void spend_for_the_hash(void)
{
	for (volatile uint64_t i = 0;; i++)
		continue;
}

static void put(struct buf *to, unsigned field, const struct buf *message)
{
	assert_int_equal(message->error, 0);
	pprof_sized(to, field, (struct str){ (const char *)message->bytes, message->size });
}

/* By other means than the program's: its first and last 4096 bytes, and its length in eight. */
static void hash_own_file(char hash[static HASH_DIGIT_COUNT + 1])
{
	char output[256], length[8 * 4 + 1];
	struct stat file;

	assert_int_equal(stat("/proc/self/exe", &file), 0);
	for (int i = 0; i < 8; i++)
		snprintf(length + (size_t)4 * i, 5, "\\%03o",
			 (unsigned)(file.st_size >> (56 - 8 * i) & 0xff));
	assert_int_equal(shell_output(output, sizeof(output),
				      "f=/proc/%d/exe; { head -c 4096 $f; tail -c 4096 $f; "
				      "printf '%s'; } | sha256sum",
				      (int)getpid(), length),
			 0);
	if (strspn(output, "0123456789abcdef") != (size_t)2 * HASH_DIGIT_COUNT)
		fail_msg("%s", output);
	memcpy(hash, output, HASH_DIGIT_COUNT);
	hash[HASH_DIGIT_COUNT] = '\0';
}

/* texts are the string table, each by its number. */
enum {
	TEXT_NONE,
	TEXT_HASH_KEY,
	TEXT_FRAME_KEY,
	TEXT_SAMPLES,
	TEXT_COUNTED,
	TEXT_CPU,
	TEXT_NS,
	TEXT_COUNT,
};

static const char *const texts[TEXT_COUNT] = {
	[TEXT_NONE] = "",
	[TEXT_HASH_KEY] = "process.executable.build_id.htlhash",
	[TEXT_FRAME_KEY] = "profile.frame.type",
	[TEXT_SAMPLES] = "samples",
	[TEXT_COUNTED] = "count",
	[TEXT_CPU] = "cpu",
	[TEXT_NS] = "nanoseconds",
};

static void put_attribute(struct buf *tables, uint64_t key, const char *value)
{
	autoclean(buf) struct buf any = BUF(REQUEST_SIZE_MAX);
	autoclean(buf) struct buf attribute = BUF(REQUEST_SIZE_MAX);

	pprof_sized(&any, 1, str_from(value));
	pprof_number(&attribute, 1, key);
	put(&attribute, 2, &any);
	put(tables, 6, &attribute);
}

/* One mapping, of which nothing but the hash is known, and one place in it; entries 0 are nothing.
 */
static void put_tables(const char *hash, uint64_t offset, struct buf *request)
{
	static const uint64_t attributes[] = { 1, 2 }, place = 1;
	autoclean(buf) struct buf mapping = BUF(REQUEST_SIZE_MAX);
	autoclean(buf) struct buf location = BUF(REQUEST_SIZE_MAX);
	autoclean(buf) struct buf stack = BUF(REQUEST_SIZE_MAX);
	autoclean(buf) struct buf tables = BUF(REQUEST_SIZE_MAX);

	for (unsigned table = 1; table <= 7; table++)
		if (table != 5)
			pprof_sized(&tables, table, STR(""));
	for (int i = 0; i < TEXT_COUNT; i++)
		pprof_sized(&tables, 5, str_from(texts[i]));
	put_attribute(&tables, TEXT_HASH_KEY, hash);
	put_attribute(&tables, TEXT_FRAME_KEY, "native");
	pprof_list(&mapping, 5, &attributes[0], 1);
	put(&tables, 1, &mapping);
	pprof_number(&location, 1, 1);
	pprof_number(&location, 2, offset);
	pprof_list(&location, 4, &attributes[1], 1);
	put(&tables, 2, &location);
	pprof_list(&stack, 1, &place, 1);
	put(&tables, 7, &stack);
	put(request, 2, &tables);
}

static void put_profile(struct buf *request)
{
	static const uint64_t value = 1;
	autoclean(buf) struct buf any = BUF(REQUEST_SIZE_MAX);
	autoclean(buf) struct buf service = BUF(REQUEST_SIZE_MAX);
	autoclean(buf) struct buf resource = BUF(REQUEST_SIZE_MAX);
	autoclean(buf) struct buf type = BUF(REQUEST_SIZE_MAX);
	autoclean(buf) struct buf period = BUF(REQUEST_SIZE_MAX);
	autoclean(buf) struct buf sample = BUF(REQUEST_SIZE_MAX);
	autoclean(buf) struct buf profile = BUF(REQUEST_SIZE_MAX);
	autoclean(buf) struct buf scope = BUF(REQUEST_SIZE_MAX);
	autoclean(buf) struct buf all = BUF(REQUEST_SIZE_MAX);

	pprof_sized(&any, 1, STR("hashed"));
	pprof_sized(&service, 1, STR("service.name"));
	put(&service, 2, &any);
	put(&resource, 1, &service);
	pprof_number(&type, 1, TEXT_SAMPLES);
	pprof_number(&type, 2, TEXT_COUNTED);
	pprof_number(&period, 1, TEXT_CPU);
	pprof_number(&period, 2, TEXT_NS);
	pprof_number(&sample, 1, 1);
	pprof_list(&sample, 4, &value, 1);
	put(&profile, 1, &type);
	put(&profile, 2, &sample);
	buf_add_u8(&profile, 3 << 3 | 1);
	buf_add_u64(&profile, (uint64_t)clock_unix_ns() - CLOCK_NS_PER_S);
	pprof_number(&profile, 4, CLOCK_NS_PER_S);
	put(&profile, 5, &period);
	pprof_number(&profile, 6, PERIOD_NS);
	put(&scope, 2, &profile);
	put(&all, 1, &resource);
	put(&all, 2, &scope);
	put(request, 1, &all);
}

static void send(const struct buf *request)
{
	char path[128], output[4096];
	FILE *file;

	snprintf(path, sizeof(path), "%s/request.bin", shared_hearth.folder);
	file = fopen(path, "wb");
	assert_non_null(file);
	assert_int_equal(fwrite(request->bytes, 1, request->size, file), request->size);
	assert_int_equal(fclose(file), 0);
	if (shell_output(output, sizeof(output),
			 "curl -sS -f --max-time 30 -H 'Content-Type: application/x-protobuf' "
			 "--data-binary @'%s' http://127.0.0.1:%u/v1development/profiles 2>&1",
			 path, shared_hearth.port))
		fail_msg("%s", output);
	assert_int_equal(unlink(path), 0);
}

/* Of the function in a picture of these series, when it has at least so much. */
static double wait_for_function(const char *selector, double enough)
{
	double end = now_seconds() + 60;
	double found = 0;

	while (found < enough && now_seconds() < end) {
		json_t *flame = hearth_get(
			&shared_hearth,
			"/api/v1/flame?from=now-5m&nodes=50000&type=" CPU "&query=%s", selector);

		found = flame_total(flame, FUNCTION);
		json_decref(flame);
		sleep_seconds(0.5);
	}
	return found;
}

static uint64_t offset_of_function(void)
{
	autoclean(elf_file) struct elf_file *elf = NULL;
	autoclose int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(elf_file_open(fd, &elf), 0);
	return own_file_offset(elf, (void *)spend_for_the_hash);
}

static void a_file_told_by_its_hash_has_names(void **state)
{
	autoclean(buf) struct buf request = BUF(REQUEST_SIZE_MAX);
	char hash[HASH_DIGIT_COUNT + 1], own[64];
	pid_t child;

	(void)state;
	need_bpf();
	hash_own_file(hash);
	child = fork();
	assert_true(child >= 0);
	if (child == 0)
		spend_for_the_hash();
	/* The collector's samples have names: the file was read. */
	snprintf(own, sizeof(own), "%%7Bpid%%3D%%22%d%%22%%7D", (int)child);

	double sampled = wait_for_function(own, 1e8);

	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitpid(child, NULL, 0), child);
	assert_true(sampled >= 1e8);

	put_profile(&request);
	put_tables(hash, offset_of_function() + INTO_FUNCTION, &request);
	assert_int_equal(request.error, 0);
	send(&request);
	assert_true(wait_for_function("%7Bservice_name%3D%22hashed%22%7D", PERIOD_NS) == PERIOD_NS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file_told_by_its_hash_has_names),
	};

	return cmocka_run_group_tests(tests, shared_hearth_start, shared_hearth_stop);
}
