/* SPDX-License-Identifier: Apache-2.0 */
/* Many heavy questions at once, and some whose asker goes away, over real HTTP: memory stays within
 * its limit, and nobody works for nobody. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/limits.h"
#include "tests/support/generator.h"
#include "tests/support/hearth.h"
#include "store/batch.h"
#include "store/store.h"

enum {
	SECONDS = 300,
	SAMPLES = 400, /* a second */
	ASKERS = 8,
	ROUNDS = 3,
	MEBIBYTE = 1 << 20,
	/* What the process has beside questions: its own 40 MB, answers, and what malloc keeps. */
	OTHER_MEMORY = 160 << 20,
};

/* A data folder with five minutes of a busy host, whose stacks hardly repeat. */
static void make_store(const char *folder)
{
	struct generator_options options = { .seed = 5,
					     .service_count = 12,
					     .process_count = 60,
					     .samples_per_window = SAMPLES,
					     .cpu_count = 4,
					     .frequency_hz = 99,
					     .start_unix_ns =
						     clock_unix_ns() - SECONDS * CLOCK_NS_PER_S };
	struct store_options store_options = { .folder = folder,
					       .span_ms = INT64_C(6) * 3600 * 1000 };
	struct generator *generator = NULL;
	struct store *store = NULL;
	struct batch *batch = NULL;

	assert_int_equal(generator_new(&options, &generator), 0);
	assert_int_equal(store_open(&store_options, &store), 0);
	assert_int_equal(batch_new(256 << 20, &batch), 0);
	for (int i = 0; i < SECONDS; i++) {
		batch_clear(batch);
		assert_non_null(generator_next(generator));
		assert_int_equal(generator_fill(generator, true, batch), 0);
		assert_int_equal(store_append(store, batch), 0);
		if (i % 5 == 4)
			assert_int_equal(store_commit(store), 0);
	}
	assert_int_equal(store_commit(store), 0);
	batch_free(batch);
	store_close(store);
	generator_free(generator);
}

static int set_up(void **state)
{
	struct hearth *hearth = calloc(1, sizeof(*hearth));

	assert_non_null(hearth);
	snprintf(hearth->folder, sizeof(hearth->folder), "/tmp/hearth-test-XXXXXX");
	assert_non_null(mkdtemp(hearth->folder));
	make_store(hearth->folder);
	hearth_start_again(hearth, "serve", (const char *[]){ NULL });
	*state = hearth;
	return 0;
}

static int tear_down(void **state)
{
	assert_int_equal(hearth_stop(*state), 0);
	free(*state);
	return 0;
}

static uint64_t metric(const struct hearth *hearth, const char *name)
{
	char *text = NULL;
	char line[128];
	const char *found;
	double value = 0;

	assert_int_equal(http_ask(hearth->port, "/metrics", NULL, &text), 200);
	snprintf(line, sizeof(line), "\n%s ", name);
	found = strstr(text, line);
	assert_non_null(found);
	value = strtod(found + strlen(line), NULL);
	free(text);
	return (uint64_t)value;
}

static uint64_t peak_bytes(const struct hearth *hearth)
{
	char path[64], line[128];
	unsigned long long kib = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", hearth->child.pid);
	file = fopen(path, "re");
	assert_non_null(file);
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "VmHWM: %llu", &kib) == 1)
			break;
	fclose(file);
	assert_true(kib > 0);
	return kib << 10;
}

struct asker {
	pthread_t thread;
	unsigned port;
	int number;
	int answered, told_to_wait;
	double total;
};

/* Exact ones, which keep every stack there is. */
static void *ask(void *context)
{
	struct asker *asker = context;

	for (int i = 0; i < ROUNDS; i++) {
		char *body = NULL;
		int status = http_ask(
			asker->port,
			(asker->number + i) % 2
				? "/api/v1/flame?from=now-1h&nodes=100000&rows=&view=bottom_up"
				: "/api/v1/functions?from=now-1h&limit=100",
			NULL, &body);
		const char *total = body ? strstr(body, "\"total\":") : NULL;

		asker->answered += status == 200;
		asker->told_to_wait += status == 503;
		if (status == 200 && total)
			asker->total = strtod(total + strlen("\"total\":"), NULL);
		free(body);
	}
	return NULL;
}

static void eight_at_once_stay_within_memory(void **state)
{
	struct hearth *hearth = *state;
	struct asker askers[ASKERS];
	uint64_t before = metric(hearth, "hearth_questions_total");
	int answered = 0;

	for (int i = 0; i < ASKERS; i++) {
		askers[i] = (struct asker){ .port = hearth->port, .number = i };
		assert_int_equal(pthread_create(&askers[i].thread, NULL, ask, &askers[i]), 0);
	}
	for (int i = 0; i < ASKERS; i++) {
		assert_int_equal(pthread_join(askers[i].thread, NULL), 0);
		/* Each answer is whole, or a polite refusal. */
		assert_int_equal(askers[i].answered + askers[i].told_to_wait, ROUNDS);
		assert_true(askers[i].answered == 0 || askers[i].total == askers[0].total);
		answered += askers[i].answered;
	}
	assert_true(askers[0].total > 0);
	assert_true(answered >= ASKERS);
	assert_int_equal(metric(hearth, "hearth_questions_total") - before, answered);
	assert_true(metric(hearth, "hearth_question_memory_peak_bytes") > MEBIBYTE);
	assert_true(metric(hearth, "hearth_question_memory_peak_bytes") <= QUESTION_MEMORY_MAX);
	assert_int_equal(metric(hearth, "hearth_question_memory_bytes"), 0);
	printf("# %llu MiB resident at the most\n",
	       (unsigned long long)(peak_bytes(hearth) / MEBIBYTE));
	assert_true(peak_bytes(hearth) < QUESTION_MEMORY_MAX + OTHER_MEMORY);
}

static int connect_to(const struct hearth *hearth)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_port = htons((uint16_t)hearth->port),
				       .sin_addr = { htonl(INADDR_LOOPBACK) } };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

/* What a question cost stands beside the answer. */
static void an_answer_says_what_it_cost(void **state)
{
	static const char request[] = "GET /api/v1/processes?from=now-1h HTTP/1.1\r\n"
				      "Host: localhost\r\nConnection: close\r\n\r\n";
	struct hearth *hearth = *state;
	unsigned long long spans = 0, pieces = 0, bytes = 0, ms = 0;
	char answer[8192];
	size_t size = 0;
	ssize_t got;
	int fd = connect_to(hearth);
	const char *found;

	assert_int_equal(send(fd, request, sizeof(request) - 1, 0), sizeof(request) - 1);
	while (size < sizeof(answer) - 1 &&
	       (got = recv(fd, answer + size, sizeof(answer) - 1 - size, 0)) > 0)
		size += (size_t)got;
	close(fd);
	answer[size] = '\0';
	found = strstr(answer, "\r\nX-Hearth-Query: ");
	assert_non_null(found);
	assert_int_equal(sscanf(found,
				"\r\nX-Hearth-Query: spans=%llu; pieces=%llu; bytes=%llu; ms=%llu",
				&spans, &pieces, &bytes, &ms),
			 4);
	assert_true(spans == 1 || spans == 2);
	assert_true(pieces > 0 && bytes > 1000);
	assert_true(metric(hearth, "hearth_question_pieces_total") >= pieces);
}

/* The same question again and again, each time by somebody who does not wait. */
static void nobody_is_answered_who_went_away(void **state)
{
	static const char request[] = "GET /api/v1/export?from=now-1h&format=folded HTTP/1.1\r\n"
				      "Host: localhost\r\n\r\n";
	struct hearth *hearth = *state;
	double end = now_seconds() + 60;

	while (metric(hearth, "hearth_questions_cancelled_total") < 2 && now_seconds() < end) {
		int fd = connect_to(hearth);

		assert_int_equal(send(fd, request, sizeof(request) - 1, 0), sizeof(request) - 1);
		sleep_seconds(0.02);
		close(fd);
		sleep_seconds(0.1);
	}
	assert_true(metric(hearth, "hearth_questions_cancelled_total") >= 2);

	/* Who waits gets it. */
	char *body = NULL;

	assert_int_equal(
		http_ask(hearth->port, "/api/v1/export?from=now-1h&format=folded", NULL, &body),
		200);
	free(body);
}

#define SCENE_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCENE_TEST(eight_at_once_stay_within_memory),
		SCENE_TEST(an_answer_says_what_it_cost),
		SCENE_TEST(nobody_is_answered_who_went_away),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
