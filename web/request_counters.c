/* SPDX-License-Identifier: Apache-2.0 */
#include "web/request_counters.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/clock.h"

enum { BUCKET_COUNT = 8, STATUS_COUNT = 21 };

/* Upper ends, in ms; what is longer is in none of them. */
static const uint32_t bucket_ends_ms[BUCKET_COUNT] = { 1, 5, 20, 50, 100, 500, 2000, 10000 };

/* Those that we answer; the last place counts all others. */
static const int statuses[STATUS_COUNT] = { 200, 304, 400, 401, 403, 404, 405, 408, 409, 413, 415,
					    421, 429, 431, 499, 500, 501, 503, 504, 505, 0 };

struct route_counters {
	_Atomic uint64_t by_status[STATUS_COUNT];
	_Atomic uint64_t buckets[BUCKET_COUNT]; /* each without those before it */
	_Atomic uint64_t count;
	_Atomic uint64_t time_ns;
};

struct request_counters {
	const char *const *names;
	size_t count;
	struct route_counters routes[];
};

int request_counters_new(const char *const *names, size_t count, struct request_counters **ret)
{
	assert(count > 0);

	struct request_counters *counters =
		calloc(1, sizeof(*counters) + count * sizeof(counters->routes[0]));

	if (!counters)
		return -ENOMEM;
	counters->names = names;
	counters->count = count;
	*ret = counters;
	return 0;
}

struct request_counters *request_counters_free(struct request_counters *counters)
{
	free(counters);
	return NULL;
}

static size_t status_place(int status)
{
	for (size_t i = 0; i < STATUS_COUNT - 1; i++)
		if (statuses[i] == status)
			return i;
	return STATUS_COUNT - 1;
}

void request_counters_add(struct request_counters *counters, size_t route, int status,
			  uint64_t time_ns)
{
	assert(route < counters->count);

	struct route_counters *own = &counters->routes[route];

	assert(status >= 100 && status < 600);
	own->by_status[status_place(status)]++;
	own->time_ns += time_ns;
	for (size_t i = 0; i < BUCKET_COUNT; i++) {
		if (time_ns > (uint64_t)bucket_ends_ms[i] * CLOCK_NS_PER_MS)
			continue;
		own->buckets[i]++;
		break;
	}
	own->count++;
}

static void write_statuses(const struct request_counters *counters, struct buf *buf)
{
	buf_add_str(buf, STR("# HELP hearth_requests_total Requests by route and status.\n"
			     "# TYPE hearth_requests_total counter\n"));
	for (size_t i = 0; i < counters->count; i++) {
		for (size_t k = 0; k < STATUS_COUNT; k++) {
			uint64_t count = counters->routes[i].by_status[k];

			if (count > 0)
				buf_printf(buf,
					   "hearth_requests_total{route=\"%s\",status=\"%d\"} "
					   "%" PRIu64 "\n",
					   counters->names[i], statuses[k], count);
		}
	}
}

static void write_histogram(const struct request_counters *counters, size_t route, struct buf *buf)
{
	static const char name[] = "hearth_request_duration_seconds";
	const struct route_counters *own = &counters->routes[route];
	uint64_t count = own->count;
	uint64_t sum = 0;

	if (count == 0)
		return;
	for (size_t i = 0; i < BUCKET_COUNT; i++) {
		sum += own->buckets[i];
		buf_printf(buf, "%s_bucket{route=\"%s\",le=\"%g\"} %" PRIu64 "\n", name,
			   counters->names[route], bucket_ends_ms[i] / 1000.0, sum);
	}
	/* Counted while this was read: a bucket must not hold more than all. */
	if (count < sum)
		count = sum;
	buf_printf(buf, "%s_bucket{route=\"%s\",le=\"+Inf\"} %" PRIu64 "\n", name,
		   counters->names[route], count);
	buf_printf(buf, "%s_sum{route=\"%s\"} %.9f\n", name, counters->names[route],
		   (double)own->time_ns / (double)CLOCK_NS_PER_S);
	buf_printf(buf, "%s_count{route=\"%s\"} %" PRIu64 "\n", name, counters->names[route],
		   count);
}

void request_counters_write(const struct request_counters *counters, struct buf *buf)
{
	write_statuses(counters, buf);
	buf_add_str(buf, STR("# HELP hearth_request_duration_seconds Time to answer, by route.\n"
			     "# TYPE hearth_request_duration_seconds histogram\n"));
	for (size_t i = 0; i < counters->count; i++)
		write_histogram(counters, i, buf);
}
