/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/window.h"
#include "tests/support/descriptors.h"
#include "tests/support/random_window.h"
#include "web/recording.h"

struct place {
	char folder[64];
	char path[96];
};

static int make_folder(void **state)
{
	struct place *place = calloc(1, sizeof(*place));

	assert_non_null(place);
	snprintf(place->folder, sizeof(place->folder), "/tmp/hearth-recording-XXXXXX");
	assert_non_null(mkdtemp(place->folder));
	snprintf(place->path, sizeof(place->path), "%s/recording", place->folder);
	*state = place;
	return 0;
}

static int remove_folder(void **state)
{
	struct place *place = *state;

	(void)unlink(place->path);
	assert_int_equal(rmdir(place->folder), 0);
	free(place);
	return 0;
}

static int memory_with(const char *text)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	return fd;
}

static void assert_holds(int fd, const char *text)
{
	char bytes[256];
	/* From where it stands: readers do not rewind. */
	ssize_t size = read(fd, bytes, sizeof(bytes));

	assert_int_equal(size, strlen(text));
	assert_memory_equal(bytes, text, strlen(text));
	assert_true((fcntl(fd, F_GET_SEALS) & F_SEAL_WRITE) != 0);
}

static const struct identity an_identity = { .kind = IDENTITY_GNU_BUILD_ID,
					     .size = 4,
					     .bytes = { 1, 2, 3, 4 } };

static void add_hello(struct recording *recording)
{
	autoclean(buf) struct buf payload = BUF(256);

	link_encode_hello(&(struct link_hello){ .collector = 7, .kernel_release = STR("6.1.0") },
			  &payload);
	assert_int_equal(recording_add(recording, &(struct link_message){ .type = LINK_HELLO,
									  .payload = payload.bytes,
									  .size = payload.size }),
			 0);
}

static void add_window(struct recording *recording, uint64_t seed)
{
	autoclean(random_window) struct window *window = random_window(seed);
	autoclean(buf) struct buf payload = BUF(WINDOW_SIZE_MAX);

	window_encode(window, &payload);
	assert_int_equal(
		recording_add(recording, &(struct link_message){ .type = LINK_WINDOW,
								 .sequence = window->sequence,
								 .payload = payload.bytes,
								 .size = payload.size }),
		0);
}

static int add_file(struct recording *recording, int fd)
{
	autoclean(buf) struct buf payload = BUF(256);

	link_encode_file(&(struct link_file){ .identity = an_identity }, &payload);
	return recording_add(recording, &(struct link_message){ .type = LINK_FILE,
								.payload = payload.bytes,
								.size = payload.size,
								.fds = { fd, -1 },
								.fd_count = 1 });
}

static struct recording *opened(const struct place *place)
{
	struct recording *recording = NULL;

	assert_int_equal(recording_open(place->path, &recording), 0);
	return recording;
}

static struct recording *created(const struct place *place)
{
	struct recording *recording = NULL;

	assert_int_equal(recording_create(place->path, &recording), 0);
	return recording;
}

static void gives_back_messages_in_order(void **state)
{
	const struct place *place = *state;
	unsigned descriptors = open_descriptors();
	struct recording *recording = created(place);
	int symbols = memory_with("ffffffff81000000 T _text\n");
	int notes = memory_with("notes");
	int file = memory_with("\x7f"
			       "ELF");
	struct stat status;

	add_hello(recording);
	assert_int_equal(recording_add(recording, &(struct link_message){ .type = LINK_KERNEL,
									  .fds = { symbols, notes },
									  .fd_count = 2 }),
			 0);
	add_window(recording, 1);
	assert_int_equal(recording_add(recording, &(struct link_message){ .type = LINK_ACK }), 0);
	assert_int_equal(add_file(recording, file), 0);
	add_window(recording, 2);
	recording_close(recording);
	close(symbols);
	close(notes);
	close(file);
	assert_int_equal(stat(place->path, &status), 0);
	assert_int_equal(status.st_mode & 0777, 0600);

	recording = opened(place);

	struct link_message message;
	struct link_hello hello;
	struct link_file passed;

	assert_int_equal(recording_next(recording, &message), 0);
	assert_int_equal(message.type, LINK_HELLO);
	assert_int_equal(link_decode_hello(&message, &hello), 0);
	assert_int_equal(hello.collector, 7);
	link_message_done(&message);

	assert_int_equal(recording_next(recording, &message), 0);
	assert_int_equal(message.type, LINK_KERNEL);
	assert_int_equal(message.fd_count, 2);
	assert_holds(message.fds[0], "ffffffff81000000 T _text\n");
	assert_holds(message.fds[1], "notes");
	link_message_done(&message);

	for (uint64_t seed = 1; seed <= 2; seed++) {
		autoclean(random_window) struct window *window = random_window(seed);
		autoclean(window) struct window *decoded = NULL;

		assert_int_equal(recording_next(recording, &message), 0);
		assert_int_equal(message.type, LINK_WINDOW);
		assert_int_equal(message.sequence, window->sequence);
		assert_int_equal(window_decode(message.payload, message.size, &decoded), 0);
		assert_null(window_difference(window, decoded));
		link_message_done(&message);
		if (seed == 2)
			break;

		assert_int_equal(recording_next(recording, &message), 0);
		assert_int_equal(message.type, LINK_FILE);
		assert_int_equal(link_decode_file(&message, &passed), 0);
		assert_true(identity_equal(&passed.identity, &an_identity));
		assert_holds(message.fds[0], "\x7f"
					     "ELF");
		link_message_done(&message);
	}
	assert_int_equal(recording_next(recording, &message), -ENODATA);
	assert_int_equal(recording_next(recording, &message), -ENODATA);
	recording_close(recording);
	assert_int_equal(open_descriptors(), descriptors);
}

static void records_what_has_no_size_beforehand(void **state)
{
	const struct place *place = *state;
	struct recording *recording = created(place);
	int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	struct link_message message;
	char byte;

	assert_true(fd >= 0);
	/* Where the descriptor stands does not matter, and is not changed. */
	assert_int_equal(read(fd, &byte, 1), 1);
	assert_int_equal(add_file(recording, fd), 0);
	assert_int_equal(lseek(fd, 0, SEEK_CUR), 1);
	close(fd);
	recording_close(recording);
	recording = opened(place);
	assert_int_equal(recording_next(recording, &message), 0);

	struct stat status;

	assert_int_equal(fstat(message.fds[0], &status), 0);
	assert_true(status.st_size > 100);
	link_message_done(&message);
	recording_close(recording);
}

static void leaves_large_files_out_and_says_so(void **state)
{
	const struct place *place = *state;
	unsigned descriptors = open_descriptors();
	struct recording *recording = created(place);
	int fd = memfd_create("large", MFD_CLOEXEC);
	struct link_message message;
	struct link_file file;

	assert_int_equal(ftruncate(fd, (off_t)RECORDED_FILE_SIZE_MAX + 1), 0);
	assert_int_equal(add_file(recording, fd), 0);
	/* Of the kernel: without its symbols it is of no use, without its notes it is. */
	assert_int_equal(recording_add(recording, &(struct link_message){ .type = LINK_KERNEL,
									  .fds = { fd, -1 },
									  .fd_count = 1 }),
			 0);

	int symbols = memory_with("symbols");

	assert_int_equal(recording_add(recording, &(struct link_message){ .type = LINK_KERNEL,
									  .fds = { symbols, fd },
									  .fd_count = 2 }),
			 0);
	close(symbols);
	close(fd);
	recording_close(recording);

	recording = opened(place);
	assert_int_equal(recording_next(recording, &message), 0);
	assert_int_equal(message.fd_count, 0);
	assert_int_equal(link_decode_file(&message, &file), 0);
	assert_int_equal(file.error, EFBIG);
	assert_true(identity_equal(&file.identity, &an_identity));
	link_message_done(&message);
	assert_int_equal(recording_next(recording, &message), 0);
	assert_int_equal(message.type, LINK_KERNEL);
	assert_int_equal(message.fd_count, 1);
	assert_holds(message.fds[0], "symbols");
	link_message_done(&message);
	assert_int_equal(recording_next(recording, &message), -ENODATA);
	recording_close(recording);
	assert_int_equal(open_descriptors(), descriptors);
}

static void keeps_what_was_whole_when_the_disk_is_full(void **state)
{
	const struct place *place = *state;
	struct recording *recording = created(place);
	struct rlimit before, small = { .rlim_cur = 4096, .rlim_max = RLIM_INFINITY };
	void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
	int noise = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
	autofree uint8_t *bytes = malloc(1 << 20);
	struct link_message message;

	add_window(recording, 1);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	small.rlim_max = before.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	assert_non_null(bytes);
	assert_int_equal(read(noise, bytes, 1 << 20), 1 << 20);
	close(noise);
	assert_int_equal(recording_add(recording, &(struct link_message){ .type = LINK_WINDOW,
									  .payload = bytes,
									  .size = 1 << 20 }),
			 -EFBIG);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	signal(SIGXFSZ, handler);
	add_window(recording, 2);
	recording_close(recording);

	recording = opened(place);
	for (uint64_t seed = 1; seed <= 2; seed++) {
		autoclean(random_window) struct window *window = random_window(seed);

		assert_int_equal(recording_next(recording, &message), 0);
		assert_int_equal(message.sequence, window->sequence);
		link_message_done(&message);
	}
	assert_int_equal(recording_next(recording, &message), -ENODATA);
	recording_close(recording);
}

static void tells_what_can_not_be_opened(void **state)
{
	const struct place *place = *state;
	struct recording *recording = NULL;

	assert_int_equal(recording_open(place->path, &recording), -ENOENT);
	assert_int_equal(recording_create("/dev/full", &recording), -ENOSPC);
	assert_int_equal(recording_create("/proc/nowhere", &recording), -ENOENT);
	assert_int_equal(recording_open("/dev/null", &recording), -EBADMSG);
	assert_int_equal(recording_open("/proc/self/exe", &recording), -EBADMSG);
	assert_null(recording);
}

/* How many messages come out before the end or an error. */
static unsigned read_all(const char *path, int *ret_err)
{
	struct recording *recording = NULL;
	unsigned count = 0;
	int err = recording_open(path, &recording);

	while (!err) {
		struct link_message message;

		err = recording_next(recording, &message);
		if (!err) {
			count++;
			link_message_done(&message);
		}
	}
	recording_close(recording);
	*ret_err = err;
	return count;
}

static void write_file(const char *path, const uint8_t *bytes, size_t size)
{
	FILE *file = fopen(path, "wbe");

	assert_non_null(file);
	assert_int_equal(fwrite(bytes, 1, size, file), size);
	assert_int_equal(fclose(file), 0);
}

static void notices_every_cut_and_every_changed_byte(void **state)
{
	const struct place *place = *state;
	unsigned descriptors = open_descriptors();
	struct recording *recording = created(place);
	int file = memory_with("some contents of a file");
	uint8_t bytes[4096];
	int err;

	add_hello(recording);
	assert_int_equal(add_file(recording, file), 0);
	close(file);
	recording_close(recording);

	FILE *stream = fopen(place->path, "rbe");

	assert_non_null(stream);

	size_t size = fread(bytes, 1, sizeof(bytes), stream);

	fclose(stream);
	assert_int_equal(read_all(place->path, &err), 2);
	assert_int_equal(err, -ENODATA);

	unsigned whole_ends = 0;

	for (size_t cut = 0; cut < size; cut++) {
		write_file(place->path, bytes, cut);
		assert_true(read_all(place->path, &err) < 2);
		whole_ends += err == -ENODATA;
		assert_true(err == -ENODATA || err == -EBADMSG);
	}
	/* After the head, after the first message. */
	assert_int_equal(whole_ends, 2);
	for (size_t i = 0; i < size; i++) {
		bytes[i] ^= (uint8_t)(1u << i % 8);
		write_file(place->path, bytes, size);
		(void)read_all(place->path, &err);
		assert_true(err == -EBADMSG || err == -ENODATA || err == -ENOMEM);
		bytes[i] ^= (uint8_t)(1u << i % 8);
	}
	assert_int_equal(open_descriptors(), descriptors);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(gives_back_messages_in_order, make_folder,
						remove_folder),
		cmocka_unit_test_setup_teardown(records_what_has_no_size_beforehand, make_folder,
						remove_folder),
		cmocka_unit_test_setup_teardown(leaves_large_files_out_and_says_so, make_folder,
						remove_folder),
		cmocka_unit_test_setup_teardown(keeps_what_was_whole_when_the_disk_is_full,
						make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(tells_what_can_not_be_opened, make_folder,
						remove_folder),
		cmocka_unit_test_setup_teardown(notices_every_cut_and_every_changed_byte,
						make_folder, remove_folder),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
