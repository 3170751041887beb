/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_generate FILE SECONDS SAMPLES_PER_SECOND SERVICES [SEED]: a recording of an invented busy
 * host that ends now, for `hearth serve --replay`.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/link.h"
#include "base/parse.h"
#include "tests/support/generator.h"
#include "web/recording.h"

static int fail(int err, const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(-err));
	return 1;
}

static int add_hello(struct recording *recording, uint64_t collector)
{
	struct link_hello hello = { .collector = collector, .kernel_release = STR("generated") };
	autoclean(buf) struct buf payload = BUF(1024);

	link_encode_hello(&hello, &payload);
	return payload.error
		       ? payload.error
		       : recording_add(recording, &(struct link_message){ .type = LINK_HELLO,
									  .payload = payload.bytes,
									  .size = payload.size,
									  .fds = { -1, -1 } });
}

int main(int argument_count, char **arguments)
{
	uint64_t numbers[4] = { 60, 6336, 400, 1 };
	struct generator *generator = NULL;
	autoclean(recording) struct recording *recording = NULL;
	autoclean(buf) struct buf payload = BUF(WINDOW_SIZE_MAX);

	if (argument_count < 2)
		return fail(-EINVAL,
			    "bench_generate FILE SECONDS SAMPLES_PER_SECOND SERVICES [SEED]");
	for (int i = 2; i < argument_count && i < 6; i++)
		if (parse_u64(str_from(arguments[i]), &numbers[i - 2]))
			return fail(-EINVAL, arguments[i]);

	struct generator_options options = {
		.seed = numbers[3],
		.service_count = (uint32_t)numbers[2],
		.processes_per_service = 3,
		.samples_per_window = (uint32_t)numbers[1],
		.cpu_count = (uint32_t)(numbers[1] + 98) / 99,
		.frequency_hz = 99,
		.start_unix_ns = clock_unix_ns() - (int64_t)numbers[0] * CLOCK_NS_PER_S,
	};
	int err = generator_new(&options, &generator);

	if (!err)
		err = recording_create(arguments[1], &recording);
	if (!err)
		err = add_hello(recording, options.seed | 1);
	for (uint64_t second = 0; second < numbers[0] && !err; second++) {
		const struct window *window = generator_next(generator);

		buf_clear(&payload);
		window_encode(window, &payload);
		err = payload.error;
		if (!err)
			err = recording_add(recording,
					    &(struct link_message){ .type = LINK_WINDOW,
								    .sequence = window->sequence,
								    .payload = payload.bytes,
								    .size = payload.size,
								    .fds = { -1, -1 } });
	}
	generator_free(generator);
	return err ? fail(err, arguments[1]) : 0;
}
