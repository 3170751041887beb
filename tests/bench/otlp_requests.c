/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/parse.h"
#include "base/str.h"
#include "tests/support/otlp_host.h"

/* What a profiler of OpenTelemetry would send, in files, for whoever sends it (otlp.mjs). */

static const char usage[] =
	"usage: otlp_requests FOLDER CPUS SECONDS COUNT\n"
	"\n"
	"An invented host (tests/support/otlp_host.h) with so many busy CPUs reports every so many "
	"seconds:\n"
	"COUNT requests, one after the other, the last of now, are written as FOLDER/0000, "
	"FOLDER/0001, …\n";

enum { CPUS, SECONDS, COUNT, NUMBER_COUNT, FREQUENCY_HZ = 97, REQUEST_SIZE_MAX = 256 << 20 };

static int write_one(const char *folder, uint64_t number, const struct buf *request)
{
	char path[4096];
	FILE *file = NULL;

	if (snprintf(path, sizeof(path), "%s/%04" PRIu64, folder, number) < (int)sizeof(path))
		file = fopen(path, "wb");
	if (!file || fwrite(request->bytes, 1, request->size, file) != request->size ||
	    fclose(file) != 0) {
		perror(path);
		return 1;
	}
	return 0;
}

int main(int argument_count, char **arguments)
{
	autoclean(otlp_host) struct otlp_host *host = NULL;
	uint64_t numbers[NUMBER_COUNT] = { 0 };
	int err = 0;

	for (int i = 0; i < NUMBER_COUNT; i++)
		if (argument_count != NUMBER_COUNT + 2 ||
		    parse_u64(str_from(arguments[i + 2]), &numbers[i]) || numbers[i] == 0 ||
		    numbers[i] > 10000) {
			fputs(usage, stderr);
			return 2;
		}
	err = otlp_host_new(1, (uint32_t)numbers[CPUS] * FREQUENCY_HZ,
			    clock_unix_ns() -
				    (int64_t)(numbers[COUNT] * numbers[SECONDS]) * CLOCK_NS_PER_S,
			    &host);
	if (err) {
		fprintf(stderr, "otlp_requests: %s\n", strerror(-err));
		return 1;
	}
	for (uint64_t i = 0; i < numbers[COUNT]; i++) {
		autoclean(buf) struct buf request = BUF(REQUEST_SIZE_MAX);

		(void)otlp_host_next(host, (unsigned)numbers[SECONDS], &request);
		if (write_one(arguments[1], i, &request))
			return 1;
	}
	return 0;
}
