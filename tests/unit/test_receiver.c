/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/link.h"
#include "base/log.h"
#include "base/unwind_table.h"
#include "collector/shipper.h"
#include "store/store.h"
#include "tests/support/descriptors.h"
#include "tests/support/generator.h"
#include "tests/support/small_server.h"
#include "web/ingest.h"
#include "web/receiver.h"

enum { COLLECTOR = 3, SAMPLES = 100, PATIENCE_MS = 20000 };

/* Both ends of the link in one process, and the store behind it. */
struct scene {
	unsigned descriptors;
	struct small_server small;
	char path[96], recording[96];
	struct receiver *receiver;
	struct ingest *ingest;
	struct generator *generator;
	struct shipper *shipper;
	unsigned opened;
	/* What the collector was answered. */
	uint64_t table_number, no_table_number;
	uint32_t row_count;
	int no_table_err;
};

static void committed(void *context, uint64_t collector, uint64_t sequence)
{
	receiver_committed(context, collector, sequence);
}

static void wish(void *context, const struct identity *identity)
{
	receiver_wish(context, identity);
}

static void start_server(struct scene *scene, const struct receiver_options *options)
{
	assert_int_equal(receiver_new(options, &scene->receiver), 0);

	struct ingest_options ingest = { .server = &scene->small.server,
					 .committed = committed,
					 .wish = wish,
					 .context = scene->receiver };

	assert_int_equal(ingest_start(&ingest, &scene->ingest), 0);
	assert_int_equal(receiver_start(scene->receiver, scene->ingest), 0);
}

static struct receiver_options listening(struct scene *scene)
{
	return (struct receiver_options){ .socket_path = scene->path,
					  .server = &scene->small.server };
}

/* As serve does it: no more windows, then what is there is committed. */
static void stop_server(struct scene *scene)
{
	if (scene->receiver)
		receiver_stop(scene->receiver);
	scene->ingest = ingest_stop(scene->ingest);
	scene->receiver = receiver_free(scene->receiver);
}

static int open_nothing(void *context, const struct identity *identity, int *ret_fd)
{
	struct scene *scene = context;

	(void)identity;
	(void)ret_fd;
	scene->opened++;
	return -ENOENT;
}

static struct generator *busy_host(void)
{
	struct generator_options options = { .seed = COLLECTOR,
					     .service_count = 3,
					     .process_count = 6,
					     .samples_per_window = SAMPLES,
					     .cpu_count = 2,
					     .frequency_hz = 100,
					     .start_unix_ns =
						     INT64_C(1767225600) * CLOCK_NS_PER_S };
	struct generator *generator = NULL;

	assert_int_equal(generator_new(&options, &generator), 0);
	return generator;
}

static void take_table(void *context, uint64_t number, const void *bytes, size_t size)
{
	struct scene *scene = context;
	struct unwind_table table;

	assert_int_equal(unwind_table_check(bytes, size, &table), 0);
	scene->table_number = number;
	scene->row_count = table.header->row_count;
}

static void take_no_table(void *context, uint64_t number, const struct identity *identity, int err)
{
	struct scene *scene = context;

	(void)identity;
	scene->no_table_number = number;
	scene->no_table_err = err;
}

static void start_shipper(struct scene *scene)
{
	struct shipper_options options = { .socket_path = scene->path,
					   .collector = COLLECTOR,
					   .backlog_size_max = 16 << 20,
					   .open_file = open_nothing,
					   .table = take_table,
					   .no_table = take_no_table,
					   .context = scene };

	assert_int_equal(shipper_new(&options, &scene->shipper), 0);
}

static int set_up(void **state)
{
	struct scene *scene = calloc(1, sizeof(*scene));

	assert_non_null(scene);
	log_set_level(LOG_LEVEL_ERROR);
	scene->descriptors = open_descriptors();
	small_server_open(&scene->small);
	snprintf(scene->path, sizeof(scene->path), "%s/collector.sock", scene->small.folder);
	snprintf(scene->recording, sizeof(scene->recording), "%s/recording", scene->small.folder);
	scene->generator = busy_host();
	start_shipper(scene);

	struct receiver_options options = listening(scene);

	start_server(scene, &options);
	*state = scene;
	return 0;
}

static int tear_down(void **state)
{
	struct scene *scene = *state;

	stop_server(scene);
	shipper_free(scene->shipper);
	generator_free(scene->generator);
	small_server_close(&scene->small);
	assert_int_equal(open_descriptors(), scene->descriptors);
	free(scene);
	return 0;
}

/* Lets the shipper do what there is to do until so many windows are acknowledged. */
static void ship_until(struct scene *scene, uint64_t acknowledged)
{
	uint64_t end_ns = clock_monotonic_ns() + (uint64_t)PATIENCE_MS * CLOCK_NS_PER_MS;
	struct shipper_stats stats;

	do {
		struct pollfd ready = { .fd = shipper_fd(scene->shipper), .events = POLLIN };

		assert_int_equal(shipper_handle(scene->shipper, clock_monotonic_ns()), 0);
		shipper_stats(scene->shipper, &stats);
		if (stats.acknowledged >= acknowledged)
			return;
		(void)poll(&ready, 1, 50);
	} while (clock_monotonic_ns() < end_ns);
	fail_msg("%llu acknowledged", (unsigned long long)stats.acknowledged);
}

static void push_windows(struct scene *scene, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		assert_int_equal(shipper_push(scene->shipper, generator_next(scene->generator)), 0);
}

static uint64_t stored_samples(struct scene *scene)
{
	struct store_status status;

	store_status(scene->small.server.store, &status);
	return status.samples;
}

/* ---- a collector by hand -------------------------------------------------------------------- */

static int connect_by_hand(struct scene *scene)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct timeval patience = { .tv_sec = PATIENCE_MS / 1000 };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	memcpy(address.sun_path, scene->path, strlen(scene->path) + 1);
	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

/* The next message, or why there is none. */
static int receive(int fd, struct link_message *message)
{
	struct pollfd ready = { .fd = fd, .events = POLLIN };

	assert_int_equal(poll(&ready, 1, PATIENCE_MS), 1);
	return link_receive(fd, message);
}

static void assert_hung_up(int fd)
{
	struct link_message message;
	int err = receive(fd, &message);

	/* Reset when we had sent more than was read. */
	assert_true(err == -EPIPE || err == -ECONNRESET);
	close(fd);
}

static uint64_t greet(int fd)
{
	autoclean(buf) struct buf payload = BUF(256);
	struct link_message message;

	link_encode_hello(
		&(struct link_hello){ .collector = COLLECTOR, .kernel_release = STR("6.1.0") },
		&payload);
	assert_int_equal(link_send(fd, &(struct link_message){ .type = LINK_HELLO,
							       .payload = payload.bytes,
							       .size = payload.size }),
			 0);
	assert_int_equal(receive(fd, &message), 0);
	assert_int_equal(message.type, LINK_WELCOME);

	uint64_t sequence = message.sequence;

	link_message_done(&message);
	return sequence;
}

static void send_window(int fd, const struct window *window, uint64_t sequence)
{
	autoclean(buf) struct buf payload = BUF(WINDOW_SIZE_MAX);

	window_encode(window, &payload);
	assert_int_equal(link_send(fd, &(struct link_message){ .type = LINK_WINDOW,
							       .sequence = sequence,
							       .payload = payload.bytes,
							       .size = payload.size }),
			 0);
}

/* Reads wishes until the acknowledgement of this window comes. */
static void await_acknowledgement(int fd, uint64_t sequence)
{
	uint64_t acknowledged = 0;

	while (acknowledged < sequence) {
		struct link_message message;

		assert_int_equal(receive(fd, &message), 0);
		if (message.type == LINK_ACK)
			acknowledged = message.sequence;
		link_message_done(&message);
	}
	assert_int_equal(acknowledged, sequence);
}

/* ---- tests ---------------------------------------------------------------------------------- */

static void acknowledges_what_is_committed(void **state)
{
	struct scene *scene = *state;
	const struct server_counters *counters = &scene->small.server.counters;

	push_windows(scene, 10);
	/* The tenth is of the running second, and committed by itself after a while. */
	ship_until(scene, 9);
	assert_int_equal(counters->collector_state, COLLECTOR_SAMPLING);
	assert_int_equal(counters->frequency_hz, 100);
	assert_int_equal(counters->cpu_count, 2);
	assert_int_equal(counters->windows_received, 10);
	assert_int_equal(counters->samples_received, 10 * SAMPLES);
	assert_int_equal(counters->windows_refused, 0);
	assert_true(store_committed_sequence(scene->small.server.store, COLLECTOR) >= 9);
	stop_server(scene);
	assert_int_equal(stored_samples(scene), 10 * SAMPLES);
}

static void commits_the_last_window_of_a_silent_collector(void **state)
{
	struct scene *scene = *state;

	push_windows(scene, 1);
	ship_until(scene, 1);
	assert_int_equal(stored_samples(scene), SAMPLES);
}

static void passes_wishes_on(void **state)
{
	struct scene *scene = *state;
	uint64_t end_ns = clock_monotonic_ns() + (uint64_t)PATIENCE_MS * CLOCK_NS_PER_MS;

	push_windows(scene, 1);
	/* The server counts it when it is sent, and that may be after it has come. */
	while ((scene->opened == 0 || scene->small.server.counters.wishes_sent == 0) &&
	       clock_monotonic_ns() < end_ns) {
		struct pollfd ready = { .fd = shipper_fd(scene->shipper), .events = POLLIN };

		assert_int_equal(shipper_handle(scene->shipper, clock_monotonic_ns()), 0);
		(void)poll(&ready, 1, 50);
	}
	assert_true(scene->opened > 0);
	assert_true(scene->small.server.counters.wishes_sent > 0);
}

static void counts_once_what_is_sent_twice(void **state)
{
	struct scene *scene = *state;
	int fd = connect_by_hand(scene);

	assert_int_equal(greet(fd), 0);
	for (unsigned i = 1; i <= 3; i++) {
		const struct window *window = generator_next(scene->generator);

		send_window(fd, window, i);
		send_window(fd, window, i);
	}
	await_acknowledgement(fd, 2);
	close(fd);
	stop_server(scene);
	assert_int_equal(stored_samples(scene), 3 * SAMPLES);

	/* A new server knows; a collector that does not listen sends all again. */
	struct receiver_options options = listening(scene);
	struct generator *again = busy_host();

	start_server(scene, &options);
	fd = connect_by_hand(scene);
	assert_int_equal(greet(fd), 3);
	for (unsigned i = 1; i <= 4; i++)
		send_window(fd, generator_next(again), i);
	await_acknowledgement(fd, 3);
	close(fd);
	generator_free(again);
	stop_server(scene);
	assert_int_equal(stored_samples(scene), 4 * SAMPLES);
}

static void survives_the_death_of_either_end(void **state)
{
	struct scene *scene = *state;

	for (unsigned round = 0; round < 3; round++) {
		struct receiver_options options = listening(scene);

		push_windows(scene, 5);
		ship_until(scene, round * 5 + 2);
		/* The server goes while windows are on the way… */
		stop_server(scene);
		start_server(scene, &options);
	}
	/* … and then all that it has not is sent again. */
	push_windows(scene, 1);
	ship_until(scene, 15);
	stop_server(scene);
	assert_int_equal(stored_samples(scene), 16 * SAMPLES);

	/* Another collector, another count; half-sent windows of the first don't matter. */
	struct receiver_options options = listening(scene);

	start_server(scene, &options);
	shipper_free(scene->shipper);
	start_shipper(scene);
	push_windows(scene, 2);
	ship_until(scene, 1);
	stop_server(scene);
	assert_int_equal(stored_samples(scene), 18 * SAMPLES);
}

static void takes_one_collector_at_a_time(void **state)
{
	struct scene *scene = *state;
	int first = connect_by_hand(scene);

	assert_int_equal(greet(first), 0);

	int second = connect_by_hand(scene);

	assert_int_equal(greet(second), 0);
	assert_hung_up(first);
	send_window(second, generator_next(scene->generator), 1);
	await_acknowledgement(second, 1);
	close(second);
}

static void assert_refused(int fd, uint64_t sequence)
{
	struct link_message message;

	assert_int_equal(receive(fd, &message), 0);
	assert_int_equal(message.type, LINK_REFUSE_WINDOW);
	assert_int_equal(message.sequence, sequence);
	link_message_done(&message);
}

static void refuses_windows_that_are_no_good(void **state)
{
	struct scene *scene = *state;
	const struct server_counters *counters = &scene->small.server.counters;
	const struct window *window = generator_next(scene->generator);
	struct window *other = window_copy(window);
	int fd = connect_by_hand(scene);

	/* One that is none, one of another number, one of another collector; then a good one. */
	greet(fd);
	assert_int_equal(link_send(fd, &(struct link_message){ .type = LINK_WINDOW,
							       .sequence = 7,
							       .payload = "junk",
							       .size = 4 }),
			 0);
	assert_refused(fd, 7);
	send_window(fd, window, 2);
	assert_refused(fd, 2);
	other->collector++;
	send_window(fd, other, 1);
	assert_refused(fd, 1);
	window_free(other);
	assert_int_equal(counters->windows_refused, 3);
	assert_int_equal(counters->windows_received, 0);
	send_window(fd, window, 1);
	await_acknowledgement(fd, 1);
	assert_int_equal(counters->windows_received, 1);
	close(fd);
	stop_server(scene);
	assert_int_equal(stored_samples(scene), SAMPLES);
}

/* It is not sent again, what stands around it arrives, and its samples are known to be lost. */
static void a_refused_window_holds_nothing_up(void **state)
{
	struct scene *scene = *state;
	const struct server_counters *counters = &scene->small.server.counters;
	struct shipper_stats stats;
	struct window *other;

	push_windows(scene, 2);
	other = window_copy(generator_next(scene->generator));
	other->collector++;
	assert_int_equal(shipper_push(scene->shipper, other), 0);
	window_free(other);
	push_windows(scene, 10);
	/* A commit speaks for five seconds. */
	ship_until(scene, 7);
	shipper_stats(scene->shipper, &stats);
	assert_int_equal(stats.refused, 1);
	assert_int_equal(stats.given_up, 1);
	assert_int_equal(stats.given_up_samples, SAMPLES);
	assert_true(stats.connected);
	stop_server(scene);
	assert_int_equal(counters->windows_refused, 1);
	assert_int_equal(counters->windows_received, 12);
	assert_int_equal(stored_samples(scene), 12 * SAMPLES);
}

static void ask_for_table(int fd, uint64_t number, const struct identity *identity, int file)
{
	autoclean(buf) struct buf payload = BUF(256);

	link_encode_file(&(struct link_file){ .identity = *identity }, &payload);
	assert_int_equal(link_send(fd, &(struct link_message){ .type = LINK_TABLE_WISH,
							       .sequence = number,
							       .payload = payload.bytes,
							       .size = payload.size,
							       .fds = { file, -1 },
							       .fd_count = 1 }),
			 0);
}

static void sends_unwind_tables_to_who_asks(void **state)
{
	struct scene *scene = *state;
	struct identity identity = { .kind = IDENTITY_INODE, .size = 40, .bytes = { 9 } };
	autoclose int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	autoclose int text = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
	int fd = connect_by_hand(scene);
	uint64_t sum = 0;

	greet(fd);
	for (uint64_t i = 1; i <= UNWIND_TABLE_ASKED_COUNT_MAX; i++)
		ask_for_table(fd, i * 1000, &identity, i % 4 ? self : text);
	/* In any order; they fill the socket, so that the server must wait for its reader. */
	for (uint64_t i = 1; i <= UNWIND_TABLE_ASKED_COUNT_MAX; i++) {
		autoclean(link_message) struct link_message message = { .fds = { -1, -1 } };
		struct unwind_table table;
		struct link_file none;

		assert_int_equal(receive(fd, &message), 0);
		sum += message.sequence;
		if (message.sequence % 4000 == 0) {
			assert_int_equal(message.type, LINK_NO_TABLE);
			assert_int_equal(link_decode_file(&message, &none), 0);
			assert_int_equal(none.error, ENOEXEC);
			assert_true(identity_equal(&none.identity, &identity));
			continue;
		}
		assert_int_equal(message.type, LINK_TABLE);
		assert_int_equal(unwind_table_check(message.payload, message.size, &table), 0);
		assert_true(identity_equal(&table.header->identity, &identity));
		assert_true(table.header->row_count > 1000);
		assert_int_equal(table.header->function_count, 0);
	}
	assert_int_equal(sum, 1000 * UNWIND_TABLE_ASKED_COUNT_MAX *
				      (UNWIND_TABLE_ASKED_COUNT_MAX + 1) / 2);
	close(fd);
}

/* Both ends: what the collector asks is what it gets, also from a server that started anew. */
static void a_collector_gets_the_table_it_asks_for(void **state)
{
	struct scene *scene = *state;
	struct identity identity = { .kind = IDENTITY_INODE, .size = 40, .bytes = { 9 } };
	struct receiver_options options = listening(scene);
	autoclose int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	autoclose int text = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
	uint32_t row_count = 0;

	for (uint64_t round = 1; round <= 2; round++) {
		push_windows(scene, 1);
		ship_until(scene, round);
		assert_int_equal(shipper_ask_table(scene->shipper, 10 * round, &identity, self), 0);
		assert_int_equal(shipper_ask_table(scene->shipper, 10 * round + 1, &identity, text),
				 0);
		for (unsigned waited_ms = 0;
		     scene->table_number != 10 * round || scene->no_table_number != 10 * round + 1;
		     waited_ms++) {
			assert_true(waited_ms < PATIENCE_MS);
			(void)shipper_handle(scene->shipper, clock_monotonic_ns());
			usleep(1000);
		}
		assert_int_equal(abs(scene->no_table_err), ENOEXEC);
		assert_true(scene->row_count > 1000);
		assert_true(round == 1 || scene->row_count == row_count);
		row_count = scene->row_count;
		stop_server(scene);
		if (round == 1)
			start_server(scene, &options);
	}
}

static void hangs_up_on_what_makes_no_sense(void **state)
{
	struct scene *scene = *state;
	const struct window *window = generator_next(scene->generator);
	int fd = connect_by_hand(scene);

	/* No greeting. */
	send_window(fd, window, 1);
	assert_hung_up(fd);

	/* What only a server says; a kernel without its symbols; a file without a reason. */
	static const uint8_t types[] = { LINK_TABLE,	    LINK_NO_TABLE, LINK_TABLE_WISH,
					 LINK_WELCOME,	    LINK_ACK,	   LINK_WISH,
					 LINK_REFUSE,	    LINK_KERNEL,   LINK_FILE,
					 LINK_REFUSE_WINDOW };

	for (size_t i = 0; i < sizeof(types); i++) {
		fd = connect_by_hand(scene);
		greet(fd);
		assert_int_equal(link_send(fd, &(struct link_message){ .type = types[i] }), 0);
		assert_hung_up(fd);
	}
	stop_server(scene);
	assert_int_equal(stored_samples(scene), 0);
}

static void answers_another_version_with_its_own(void **state)
{
	struct scene *scene = *state;
	uint8_t packet[LINK_HEADER_SIZE] = "hrth";
	struct link_message message;
	int fd = connect_by_hand(scene);

	packet[4] = LINK_VERSION + 1;
	packet[6] = LINK_HELLO;
	log_set_level(0);
	assert_int_equal(send(fd, packet, sizeof(packet), 0), sizeof(packet));
	assert_int_equal(receive(fd, &message), 0);
	assert_int_equal(message.type, LINK_REFUSE);
	link_message_done(&message);
	assert_hung_up(fd);
}

static void takes_the_place_of_a_dead_server_only(void **state)
{
	struct scene *scene = *state;
	struct receiver_options options = listening(scene);
	struct receiver *second = NULL;
	struct stat status;

	assert_int_equal(receiver_new(&options, &second), -EADDRINUSE);
	assert_null(second);
	assert_int_equal(stat(scene->path, &status), 0);
	assert_int_equal(status.st_mode & 0777, 0666);
	stop_server(scene);
	assert_int_equal(stat(scene->path, &status), -1);

	/* One that was killed leaves its socket behind. */
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int dead = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	memcpy(address.sun_path, scene->path, strlen(scene->path) + 1);
	assert_int_equal(bind(dead, (struct sockaddr *)&address, sizeof(address)), 0);
	close(dead);
	start_server(scene, &options);
	push_windows(scene, 2);
	ship_until(scene, 1);

	char long_path[200];

	memset(long_path, 'x', sizeof(long_path));
	long_path[sizeof(long_path) - 1] = '\0';
	options.socket_path = long_path;
	assert_int_equal(receiver_new(&options, &second), -ENAMETOOLONG);
}

static void replays_what_it_recorded(void **state)
{
	struct scene *scene = *state;
	struct receiver_options options = listening(scene);
	const struct server_counters *counters = &scene->small.server.counters;

	stop_server(scene);
	options.record_path = scene->recording;
	start_server(scene, &options);
	push_windows(scene, 20);
	ship_until(scene, 19);
	stop_server(scene);
	assert_int_equal(stored_samples(scene), 20 * SAMPLES);

	int64_t newest_ms = store_newest_ms(scene->small.server.store);

	/* Into an empty store. */
	char recording[] = "/tmp/hearth-recording-XXXXXX";
	int fd = mkstemp(recording);

	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(rename(scene->recording, recording), 0);
	small_server_close(&scene->small);
	small_server_open(&scene->small);
	options = (struct receiver_options){ .replay_path = recording,
					     .server = &scene->small.server };
	start_server(scene, &options);

	uint64_t end_ns = clock_monotonic_ns() + (uint64_t)PATIENCE_MS * CLOCK_NS_PER_MS;

	/* One that was counted may still wait for room in the queue, and go with the stop. */
	while (stored_samples(scene) < 20 * SAMPLES && clock_monotonic_ns() < end_ns)
		(void)poll(NULL, 0, 10);
	assert_int_equal(counters->collector_state, COLLECTOR_REPLAY);
	stop_server(scene);
	assert_int_equal(counters->windows_received, 20);
	assert_int_equal(stored_samples(scene), 20 * SAMPLES);
	assert_int_equal(store_newest_ms(scene->small.server.store), newest_ms);
	assert_int_equal(unlink(recording), 0);
}

#define SCENE_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCENE_TEST(acknowledges_what_is_committed),
		SCENE_TEST(commits_the_last_window_of_a_silent_collector),
		SCENE_TEST(passes_wishes_on),
		SCENE_TEST(counts_once_what_is_sent_twice),
		SCENE_TEST(survives_the_death_of_either_end),
		SCENE_TEST(takes_one_collector_at_a_time),
		SCENE_TEST(refuses_windows_that_are_no_good),
		SCENE_TEST(a_refused_window_holds_nothing_up),
		SCENE_TEST(sends_unwind_tables_to_who_asks),
		SCENE_TEST(a_collector_gets_the_table_it_asks_for),
		SCENE_TEST(hangs_up_on_what_makes_no_sense),
		SCENE_TEST(answers_another_version_with_its_own),
		SCENE_TEST(takes_the_place_of_a_dead_server_only),
		SCENE_TEST(replays_what_it_recorded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
