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
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/link.h"
#include "collector/shipper.h"
#include "tests/support/descriptors.h"
#include "tests/support/generator.h"

enum { COLLECTOR = 4711, BACKLOG_SIZE_MAX = 1 << 20 };

/* A shipper, a clock that the test turns, and a server that does what the test says. */
struct scene {
	char folder[64];
	char path[96];
	struct shipper *shipper;
	struct generator *generator;
	uint64_t now_ns;
	int listener, server;
	unsigned descriptors;
	struct identity asked; /* for the last time */
};

/* An identity of one byte is known; its file holds that byte. */
static int open_file(void *context, const struct identity *identity, int *ret_fd)
{
	struct scene *scene = context;

	scene->asked = *identity;
	if (identity->size != 1)
		return -ENOENT;

	int fd = memfd_create("file", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, identity->bytes, 1), 1);
	*ret_fd = fd;
	return 0;
}

/* The same under another name. */
static int open_debug(void *context, const struct identity *identity, const struct identity *wanted,
		      struct str name, int *ret_fd)
{
	assert_int_equal(identity->bytes[0], 'k');
	return str_equal(name, STR("k.debug")) ? open_file(context, wanted, ret_fd) : -EXDEV;
}

static void listen_again(struct scene *scene)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	memcpy(address.sun_path, scene->path, strlen(scene->path) + 1);
	scene->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_true(scene->listener >= 0);
	assert_int_equal(bind(scene->listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(scene->listener, 4), 0);
}

static int set_up(void **state)
{
	struct scene *scene = calloc(1, sizeof(*scene));

	assert_non_null(scene);
	scene->descriptors = open_descriptors();
	scene->server = scene->listener = -1;
	scene->now_ns = 1000 * (uint64_t)CLOCK_NS_PER_S;
	snprintf(scene->folder, sizeof(scene->folder), "/tmp/hearth-shipper-XXXXXX");
	assert_non_null(mkdtemp(scene->folder));
	snprintf(scene->path, sizeof(scene->path), "%s/collector.sock", scene->folder);

	struct shipper_options options = { .socket_path = scene->path,
					   .collector = COLLECTOR,
					   .boot_id = { 1, 2, 3 },
					   .backlog_size_max = BACKLOG_SIZE_MAX,
					   .open_file = open_file,
					   .open_debug = open_debug,
					   .context = scene };
	struct generator_options load = { .seed = 1,
					  .service_count = 4,
					  .process_count = 8,
					  .samples_per_window = 200,
					  .cpu_count = 2,
					  .frequency_hz = 99 };

	assert_int_equal(shipper_new(&options, &scene->shipper), 0);
	assert_int_equal(generator_new(&load, &scene->generator), 0);
	*state = scene;
	return 0;
}

static void hang_up(struct scene *scene)
{
	if (scene->server >= 0)
		close(scene->server);
	scene->server = -1;
}

static void stop_listening(struct scene *scene)
{
	if (scene->listener >= 0) {
		close(scene->listener);
		assert_int_equal(unlink(scene->path), 0);
	}
	scene->listener = -1;
}

static int tear_down(void **state)
{
	struct scene *scene = *state;

	hang_up(scene);
	stop_listening(scene);
	shipper_free(scene->shipper);
	generator_free(scene->generator);
	assert_int_equal(rmdir(scene->folder), 0);
	assert_int_equal(open_descriptors(), scene->descriptors);
	free(scene);
	return 0;
}

static uint64_t push(struct scene *scene)
{
	const struct window *window = generator_next(scene->generator);

	assert_int_equal(shipper_push(scene->shipper, window), 0);
	return window->sequence;
}

static int handle(struct scene *scene)
{
	return shipper_handle(scene->shipper, scene->now_ns);
}

static void pass_a_second(struct scene *scene)
{
	scene->now_ns += (uint64_t)CLOCK_NS_PER_S;
	assert_int_equal(handle(scene), 0);
}

static struct shipper_stats stats_of(const struct scene *scene)
{
	struct shipper_stats stats;

	shipper_stats(scene->shipper, &stats);
	return stats;
}

static void server_sends(struct scene *scene, uint8_t type, uint64_t sequence)
{
	assert_int_equal(link_send(scene->server,
				   &(struct link_message){ .type = type, .sequence = sequence }),
			 0);
}

static void server_wishes(struct scene *scene, const struct identity *identity)
{
	autoclean(buf) struct buf payload = BUF(256);

	link_encode_wish(identity, &payload);
	assert_int_equal(link_send(scene->server, &(struct link_message){ .type = LINK_WISH,
									  .payload = payload.bytes,
									  .size = payload.size }),
			 0);
}

static void server_wishes_debug(struct scene *scene, const struct link_wish_debug *wish)
{
	autoclean(buf) struct buf payload = BUF(512);

	link_encode_wish_debug(wish, &payload);
	assert_int_equal(link_send(scene->server, &(struct link_message){ .type = LINK_WISH_DEBUG,
									  .payload = payload.bytes,
									  .size = payload.size }),
			 0);
}

static struct link_message server_receives(struct scene *scene, uint8_t type)
{
	struct link_message message = { .fds = { -1, -1 } };

	assert_int_equal(link_receive(scene->server, &message), 0);
	assert_int_equal(message.type, type);
	return message;
}

static void server_receives_nothing(struct scene *scene)
{
	struct link_message message;

	assert_int_equal(link_receive(scene->server, &message), -EAGAIN);
}

static void server_receives_window(struct scene *scene, uint64_t sequence)
{
	struct link_message message = server_receives(scene, LINK_WINDOW);
	autoclean(window) struct window *window = NULL;

	assert_int_equal(message.sequence, sequence);
	assert_int_equal(window_decode(message.payload, message.size, &window), 0);
	assert_int_equal(window->sequence, sequence);
	assert_int_equal(window->sample_count, 200);
	link_message_done(&message);
}

/* Takes the connection and reads the greeting. */
static void server_accepts(struct scene *scene)
{
	scene->server = accept4(scene->listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(scene->server >= 0);

	struct link_message message = server_receives(scene, LINK_HELLO);
	struct link_hello hello;

	assert_int_equal(link_decode_hello(&message, &hello), 0);
	assert_int_equal(hello.collector, COLLECTOR);
	assert_int_equal(hello.boot_id[2], 3);
	assert_true(hello.kernel_release.size > 0);
	link_message_done(&message);
	if (access("/proc/kallsyms", R_OK) == 0) {
		message = server_receives(scene, LINK_KERNEL);
		assert_in_range(message.fd_count, 1, 2);
		link_message_done(&message);
	}
}

static void connect_both(struct scene *scene, uint64_t committed)
{
	if (scene->listener < 0)
		listen_again(scene);
	pass_a_second(scene);
	server_accepts(scene);
	server_sends(scene, LINK_WELCOME, committed);
	assert_int_equal(handle(scene), 0);
	assert_true(stats_of(scene).connected);
}

static void sends_windows_after_the_welcome(void **state)
{
	struct scene *scene = *state;

	listen_again(scene);
	assert_int_equal(push(scene), 1);
	pass_a_second(scene);
	server_accepts(scene);
	server_receives_nothing(scene);
	server_sends(scene, LINK_WELCOME, 0);
	assert_int_equal(handle(scene), 0);
	server_receives_window(scene, 1);
	assert_int_equal(push(scene), 2);
	assert_int_equal(handle(scene), 0);
	server_receives_window(scene, 2);
	server_receives_nothing(scene);
}

static void keeps_windows_until_they_are_committed(void **state)
{
	struct scene *scene = *state;

	connect_both(scene, 0);
	for (unsigned i = 1; i <= 3; i++) {
		assert_int_equal(push(scene), i);
		assert_int_equal(handle(scene), 0);
		server_receives_window(scene, i);
	}
	assert_true(stats_of(scene).backlog_size > 0);
	server_sends(scene, LINK_ACK, 2);
	assert_int_equal(handle(scene), 0);
	assert_int_equal(stats_of(scene).acknowledged, 2);
	assert_true(stats_of(scene).backlog_size > 0);
	/* Again, and older: nothing changes. */
	server_sends(scene, LINK_ACK, 2);
	server_sends(scene, LINK_ACK, 1);
	server_sends(scene, LINK_ACK, 3);
	assert_int_equal(handle(scene), 0);
	assert_int_equal(stats_of(scene).acknowledged, 3);
	assert_int_equal(stats_of(scene).backlog_size, 0);
	assert_int_equal(stats_of(scene).given_up, 0);
}

static void tries_once_a_second_while_nobody_listens(void **state)
{
	struct scene *scene = *state;

	assert_int_equal(handle(scene), 0);
	assert_false(stats_of(scene).connected);
	listen_again(scene);
	/* Not yet. */
	scene->now_ns += (uint64_t)CLOCK_NS_PER_S - 1;
	assert_int_equal(handle(scene), 0);
	assert_int_equal(accept4(scene->listener, NULL, NULL, SOCK_CLOEXEC), -1);
	scene->now_ns += 1;
	assert_int_equal(handle(scene), 0);
	server_accepts(scene);
}

static void sends_again_what_a_new_server_has_not(void **state)
{
	struct scene *scene = *state;

	connect_both(scene, 0);
	for (unsigned i = 1; i <= 4; i++)
		assert_int_equal(push(scene), i);
	assert_int_equal(handle(scene), 0);
	server_receives_window(scene, 1);
	server_sends(scene, LINK_ACK, 1);
	assert_int_equal(handle(scene), 0);

	/* It dies with three windows on the way, and with the second committed. */
	hang_up(scene);
	stop_listening(scene);
	assert_int_equal(handle(scene), 0);
	assert_false(stats_of(scene).connected);
	assert_int_equal(push(scene), 5);
	pass_a_second(scene);
	connect_both(scene, 2);
	for (unsigned i = 3; i <= 5; i++)
		server_receives_window(scene, i);
	server_receives_nothing(scene);
	assert_int_equal(stats_of(scene).acknowledged, 2);
	server_sends(scene, LINK_ACK, 5);
	assert_int_equal(handle(scene), 0);
	assert_int_equal(stats_of(scene).acknowledged, 5);
	assert_int_equal(stats_of(scene).backlog_size, 0);
}

static void gives_the_oldest_up_when_full(void **state)
{
	struct scene *scene = *state;
	struct shipper_stats stats;
	uint64_t last;

	do {
		last = push(scene);
		stats = stats_of(scene);
		assert_true(stats.backlog_size <= BACKLOG_SIZE_MAX);
		assert_int_equal(stats.given_up_samples, 200 * stats.given_up);
		assert_true(last < 10000);
	} while (stats.given_up < 5);
	assert_int_equal(stats.pushed, last);

	connect_both(scene, 0);
	/* A socket holds only so much: both ends take turns. */
	for (uint64_t sequence = 6; sequence <= last; sequence++) {
		assert_int_equal(handle(scene), 0);
		server_receives_window(scene, sequence);
	}
	server_receives_nothing(scene);
}

static void never_waits_for_a_server_that_does_not_read(void **state)
{
	struct scene *scene = *state;
	uint64_t last = 0;

	connect_both(scene, 0);

	struct pollfd wakes = { .fd = shipper_fd(scene->shipper), .events = POLLIN };

	assert_int_equal(poll(&wakes, 1, 0), 0);
	while (stats_of(scene).backlog_size < BACKLOG_SIZE_MAX * 9 / 10) {
		last = push(scene);
		assert_int_equal(handle(scene), 0);
	}
	/* Full: there is nothing to be done until the server reads. */
	assert_int_equal(poll(&wakes, 1, 0), 0);
	for (uint64_t sequence = 1; sequence <= last; sequence++) {
		struct link_message message = { .fds = { -1, -1 } };
		int err = link_receive(scene->server, &message);

		if (err == -EAGAIN) {
			assert_int_equal(poll(&wakes, 1, 0), 1);
			assert_int_equal(handle(scene), 0);
			err = link_receive(scene->server, &message);
		}
		assert_int_equal(err, 0);
		assert_int_equal(message.sequence, sequence);
		link_message_done(&message);
	}
	assert_int_equal(handle(scene), 0);
	server_receives_nothing(scene);
	assert_int_equal(poll(&wakes, 1, 0), 0);
}

static void grants_wishes_for_debug_files(void **state)
{
	struct scene *scene = *state;
	struct link_wish_debug wish = {
		.identity = { .kind = IDENTITY_GNU_BUILD_ID, .size = 1, .bytes = { 'k' } },
		.wanted = { .kind = IDENTITY_GNU_BUILD_ID, .size = 1, .bytes = { 's' } },
		.name = STR("k.debug"),
	};
	struct link_file file;
	char byte = 0;

	connect_both(scene, 0);
	server_wishes_debug(scene, &wish);
	wish.name = STR("other.debug");
	server_wishes_debug(scene, &wish);
	assert_int_equal(handle(scene), 0);

	struct link_message message = server_receives(scene, LINK_DEBUG);

	assert_int_equal(link_decode_file(&message, &file), 0);
	assert_int_equal(file.error, 0);
	assert_memory_equal(&file.identity, &wish.wanted, sizeof(wish.wanted));
	assert_int_equal(pread(message.fds[0], &byte, 1, 0), 1);
	assert_int_equal(byte, 's');
	link_message_done(&message);

	message = server_receives(scene, LINK_DEBUG);
	assert_int_equal(link_decode_file(&message, &file), 0);
	assert_int_equal(file.error, EXDEV);
	link_message_done(&message);
	assert_int_equal(stats_of(scene).wishes, 2);
	assert_int_equal(stats_of(scene).files_passed, 1);
}

static void grants_wishes(void **state)
{
	struct scene *scene = *state;
	struct identity known = { .kind = IDENTITY_GNU_BUILD_ID, .size = 1, .bytes = { 'k' } };
	struct identity unknown = { .kind = IDENTITY_INODE, .size = 3, .bytes = { 1, 2, 3 } };
	struct link_file file;
	char byte = 0;

	connect_both(scene, 0);
	server_wishes(scene, &known);
	server_wishes(scene, &unknown);
	assert_int_equal(handle(scene), 0);
	assert_memory_equal(&scene->asked, &unknown, sizeof(unknown));

	struct link_message message = server_receives(scene, LINK_FILE);

	assert_int_equal(link_decode_file(&message, &file), 0);
	assert_int_equal(file.error, 0);
	assert_memory_equal(&file.identity, &known, sizeof(known));
	assert_int_equal(pread(message.fds[0], &byte, 1, 0), 1);
	assert_int_equal(byte, 'k');
	link_message_done(&message);

	message = server_receives(scene, LINK_FILE);
	assert_int_equal(link_decode_file(&message, &file), 0);
	assert_int_equal(file.error, ENOENT);
	assert_memory_equal(&file.identity, &unknown, sizeof(unknown));
	link_message_done(&message);
	assert_int_equal(stats_of(scene).wishes, 2);
	assert_int_equal(stats_of(scene).files_passed, 1);
}

/* Wherever it stands, sent or not; one that is not there is none of ours. */
static void forgets_what_is_refused(void **state)
{
	struct scene *scene = *state;

	for (uint64_t sequence = 1; sequence <= 4; sequence++)
		assert_int_equal(push(scene), sequence);
	connect_both(scene, 0);
	for (uint64_t sequence = 1; sequence <= 4; sequence++)
		server_receives_window(scene, sequence);
	server_sends(scene, LINK_REFUSE_WINDOW, 2);
	server_sends(scene, LINK_REFUSE_WINDOW, 4);
	server_sends(scene, LINK_REFUSE_WINDOW, 9);
	assert_int_equal(handle(scene), 0);
	assert_true(stats_of(scene).connected);
	assert_int_equal(stats_of(scene).refused, 2);
	assert_int_equal(stats_of(scene).given_up, 2);
	assert_int_equal(stats_of(scene).given_up_samples, 400);
	assert_int_equal(push(scene), 5);
	assert_int_equal(handle(scene), 0);
	server_receives_window(scene, 5);

	/* A new server gets the others only. */
	hang_up(scene);
	stop_listening(scene);
	assert_int_equal(handle(scene), 0);
	pass_a_second(scene);
	connect_both(scene, 0);
	server_receives_window(scene, 1);
	server_receives_window(scene, 3);
	server_receives_window(scene, 5);
	server_receives_nothing(scene);
	server_sends(scene, LINK_REFUSE_WINDOW, 1);
	server_sends(scene, LINK_ACK, 5);
	assert_int_equal(handle(scene), 0);
	assert_int_equal(stats_of(scene).acknowledged, 2);
	assert_int_equal(stats_of(scene).refused, 3);
	assert_int_equal(stats_of(scene).backlog_size, 0);
}

static void leaves_a_server_that_makes_no_sense(void **state)
{
	struct scene *scene = *state;
	static const uint8_t types[] = {
		LINK_HELLO, LINK_WINDOW, LINK_FILE, LINK_KERNEL, LINK_WISH /* for nothing */,
		LINK_REFUSE
	};

	assert_int_equal(push(scene), 1);
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		connect_both(scene, 0);
		server_receives_window(scene, 1);
		server_sends(scene, types[i], 1);
		assert_int_equal(handle(scene), 0);
		assert_false(stats_of(scene).connected);
		hang_up(scene);
	}
	assert_int_equal(stats_of(scene).acknowledged, 0);
	connect_both(scene, 0);
	server_receives_window(scene, 1);
}

static void says_when_the_server_is_of_another_version(void **state)
{
	struct scene *scene = *state;
	uint8_t packet[LINK_HEADER_SIZE] = "hrth";

	packet[4] = LINK_VERSION + 1;
	packet[6] = LINK_REFUSE;
	connect_both(scene, 0);
	assert_int_equal(send(scene->server, packet, sizeof(packet), 0), sizeof(packet));
	assert_int_equal(handle(scene), -EPROTONOSUPPORT);
	assert_false(stats_of(scene).connected);
	assert_int_equal(handle(scene), 0);
}

static void copes_with_a_path_that_is_too_long(void **state)
{
	struct scene *scene = *state;
	char path[200];
	struct shipper_options options = { .socket_path = path,
					   .collector = COLLECTOR,
					   .backlog_size_max = BACKLOG_SIZE_MAX,
					   .open_file = open_file,
					   .context = scene };
	struct shipper *shipper = NULL;

	memset(path, 'x', sizeof(path));
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(shipper_new(&options, &shipper), 0);
	assert_int_equal(shipper_handle(shipper, scene->now_ns), 0);
	assert_null(shipper_free(shipper));
	assert_null(shipper_free(NULL));
}

#define SCENE_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCENE_TEST(sends_windows_after_the_welcome),
		SCENE_TEST(keeps_windows_until_they_are_committed),
		SCENE_TEST(tries_once_a_second_while_nobody_listens),
		SCENE_TEST(sends_again_what_a_new_server_has_not),
		SCENE_TEST(gives_the_oldest_up_when_full),
		SCENE_TEST(never_waits_for_a_server_that_does_not_read),
		SCENE_TEST(grants_wishes),
		SCENE_TEST(grants_wishes_for_debug_files),
		SCENE_TEST(forgets_what_is_refused),
		SCENE_TEST(leaves_a_server_that_makes_no_sense),
		SCENE_TEST(says_when_the_server_is_of_another_version),
		SCENE_TEST(copes_with_a_path_that_is_too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
