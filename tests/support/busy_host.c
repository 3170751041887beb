/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/busy_host.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>

enum {
	TOPIC_COUNT_MAX = 64,
	DAY_S = 86400,
	BREATH_S = 60, /* how often topics change their weights */
	DEPLOY_S = 3 * DAY_S,
	LIFE_LONG_S = 3 * DAY_S,
	LIFE_SHORT_S = 600,
	LIFE_JOB_S = 40,
	THREAD_COUNT_MAX = 40,
	POISSON_EXACT_MAX = 60, /* above it the normal distribution will do */
};

/* Shares of the kinds among services: a quarter are simple loops, one in twelve is a compiler. */
static const uint8_t kinds[] = { PROGRAM_JVM,  PROGRAM_NATIVE,	PROGRAM_GO,	  PROGRAM_CPYTHON,
				 PROGRAM_LOOP, PROGRAM_GO,	PROGRAM_COMPILER, PROGRAM_NODE,
				 PROGRAM_LOOP, PROGRAM_CPYTHON, PROGRAM_LOOP,	  PROGRAM_GO };

struct service {
	struct busy_service seen;
	double share;
	double phase; /* of its own slow wave */
	double process_life_s;
	double next_deploy_s;
	uint32_t *processes;
	uint32_t topic_count;
	double level[TOPIC_COUNT_MAX];	/* logarithm of what a topic's weight is multiplied by */
	double weight[TOPIC_COUNT_MAX]; /* cumulated, of one */
};

struct busy_host {
	struct busy_host_options options;
	uint64_t random;
	uint64_t second;
	uint32_t next_process;
	struct service *services;
	uint32_t *counts; /* of each service, in this second */
	struct busy_sample *samples;
	uint32_t sample_count, sample_capacity;
};

/* ---- distributions --------------------------------------------------------------------------- */

static double next_normal(struct busy_host *host)
{
	double u = random_unit(&host->random) + 1e-300;

	return sqrt(-2 * log(u)) * cos(2 * M_PI * random_unit(&host->random));
}

static double next_exponential(struct busy_host *host, double mean)
{
	return -mean * log(1 - random_unit(&host->random));
}

static uint32_t next_poisson(struct busy_host *host, double mean)
{
	if (mean > POISSON_EXACT_MAX) {
		double value = mean + sqrt(mean) * next_normal(host) + .5;

		return value < 0 ? 0 : (uint32_t)value;
	}

	double term = exp(-mean);
	double sum = term;
	double u = random_unit(&host->random);
	uint32_t count = 0;

	while (u > sum && count < 400) {
		term *= mean / ++count;
		sum += term;
	}
	return count;
}

/* ---- making ---------------------------------------------------------------------------------- */

static int make_service(struct busy_host *host, uint32_t number, double process_unit)
{
	struct service *service = &host->services[number];
	struct busy_service *seen = &service->seen;

	seen->program.kind = (enum program_kind)kinds[number % (sizeof(kinds) / sizeof(kinds[0]))];
	seen->program.number = number;
	seen->process_count = 1 + (uint32_t)(process_unit * pow(number + 1, -.55) *
					     (.3 + 1.4 * random_unit(&host->random)));
	seen->thread_count = 1 + (uint32_t)(random_unit(&host->random) *
					    random_unit(&host->random) * THREAD_COUNT_MAX);
	service->share = pow(number + 1.5, -1.05);
	service->phase = 2 * M_PI * random_unit(&host->random);
	if (seen->program.kind == PROGRAM_COMPILER)
		service->process_life_s = LIFE_JOB_S;
	else
		service->process_life_s =
			random_unit(&host->random) < .15 ? LIFE_SHORT_S : LIFE_LONG_S;
	service->next_deploy_s = next_exponential(host, DEPLOY_S);
	service->topic_count = call_graph_topic_count(&seen->program);
	assert(service->topic_count > 0 && service->topic_count <= TOPIC_COUNT_MAX);
	service->processes = calloc(seen->process_count, sizeof(service->processes[0]));
	if (!service->processes)
		return -ENOMEM;
	for (uint32_t i = 0; i < seen->process_count; i++)
		service->processes[i] = host->next_process++;
	return 0;
}

int busy_host_new(const struct busy_host_options *options, struct busy_host **ret)
{
	assert(options->service_count > 0 && options->process_count >= options->service_count);
	assert(options->samples_per_s > 0);

	struct busy_host *host = calloc(1, sizeof(*host));
	double process_unit = 0;
	double share_sum = 0;

	if (!host)
		return -ENOMEM;
	host->options = *options;
	host->random = hash_mix(options->seed + UINT64_C(0x9e3779b97f4a7c15));
	host->services = calloc(options->service_count, sizeof(host->services[0]));
	host->counts = calloc(options->service_count, sizeof(host->counts[0]));
	if (!host->services || !host->counts)
		goto no_memory;
	for (uint32_t i = 0; i < options->service_count; i++)
		process_unit += pow(i + 1, -.55);
	process_unit = (options->process_count - options->service_count) / process_unit;
	for (uint32_t i = 0; i < options->service_count; i++) {
		if (make_service(host, i, process_unit))
			goto no_memory;
		share_sum += host->services[i].share;
	}
	for (uint32_t i = 0; i < options->service_count; i++)
		host->services[i].share /= share_sum;
	*ret = host;
	return 0;

no_memory:
	busy_host_free(host);
	return -ENOMEM;
}

struct busy_host *busy_host_free(struct busy_host *host)
{
	if (!host)
		return NULL;
	for (uint32_t i = 0; host->services && i < host->options.service_count; i++)
		free(host->services[i].processes);
	free(host->services);
	free(host->counts);
	free(host->samples);
	free(host);
	return NULL;
}

/* ---- a second -------------------------------------------------------------------------------- */

static void live(struct busy_host *host, struct service *service)
{
	uint32_t count = service->seen.process_count;

	if ((double)host->second > service->next_deploy_s) {
		service->seen.program.version++;
		service->next_deploy_s = (double)host->second + next_exponential(host, DEPLOY_S);
		for (uint32_t i = 0; i < count; i++)
			service->processes[i] = host->next_process++;
	}
	for (uint32_t dead = next_poisson(host, count / service->process_life_s); dead > 0; dead--)
		service->processes[random_next(&host->random) % count] = host->next_process++;
}

static void breathe(struct busy_host *host, struct service *service)
{
	double swing = service->seen.program.kind == PROGRAM_COMPILER ? 1.6 : .8;
	double sum = 0;

	for (uint32_t i = 0; i < service->topic_count; i++) {
		service->level[i] = .8 * service->level[i] + .6 * swing * next_normal(host);
		sum += exp(service->level[i]) / (i + 1);
		service->weight[i] = sum;
	}
	for (uint32_t i = 0; i < service->topic_count; i++)
		service->weight[i] /= sum;
}

/* Samples of each service in this second. A steady host gives what is missing to the first. */
static uint32_t share_out(struct busy_host *host)
{
	uint32_t *counts = host->counts;
	const struct busy_host_options *options = &host->options;
	double now = (double)host->second;
	double time_of_day = (double)(options->start_unix_s % DAY_S) + now;
	double level = options->samples_per_s;
	uint32_t sum = 0;

	if (!options->is_steady)
		level *= 1 - .45 * cos(2 * M_PI * time_of_day / DAY_S - 1);
	for (uint32_t i = 0; i < options->service_count; i++) {
		const struct service *service = &host->services[i];
		double wave = 1 + .3 * sin(now / 1700 + service->phase);

		counts[i] = next_poisson(host, level * service->share * wave);
		if (options->is_steady && sum + counts[i] > (uint32_t)options->samples_per_s)
			counts[i] = (uint32_t)options->samples_per_s - sum;
		sum += counts[i];
	}
	if (options->is_steady) {
		counts[0] += (uint32_t)options->samples_per_s - sum;
		sum = (uint32_t)options->samples_per_s;
	}
	return sum;
}

static void add_samples(struct busy_host *host, uint32_t number, uint32_t count)
{
	const struct service *service = &host->services[number];

	for (uint32_t i = 0; i < count; i++) {
		uint64_t random = random_next(&host->random);
		double u = (double)(random >> 40) * 0x1p-24;
		double at = random_unit(&host->random);
		uint32_t topic = 0;

		while (service->weight[topic] < at && topic + 1 < service->topic_count)
			topic++;
		host->samples[host->sample_count++] = (struct busy_sample){
			.seed = random_next(&host->random),
			.service = number,
			.version = service->seen.program.version,
			.topic = topic,
			/* Some processes are busier than others. */
			.process =
				service->processes[(uint32_t)(u * u * service->seen.process_count)],
			.thread = (uint32_t)((random & 0xff) * service->seen.thread_count >> 8),
			.time_ms = (uint16_t)((i + (double)(random >> 8 & 0xffff) * 0x1p-16) *
					      1000 / count),
		};
	}
}

const struct busy_sample *busy_host_next(struct busy_host *host, uint32_t *ret_count)
{
	uint32_t service_count = host->options.service_count;
	uint32_t sum;

	for (uint32_t i = 0; i < service_count; i++) {
		live(host, &host->services[i]);
		if (host->second % BREATH_S == 0)
			breathe(host, &host->services[i]);
	}
	sum = share_out(host);
	host->sample_count = 0;
	if (sum > host->sample_capacity) {
		host->samples = reallocarray(host->samples, sum, sizeof(host->samples[0]));
		assert(host->samples);
		host->sample_capacity = sum;
	}
	for (uint32_t i = 0; i < service_count; i++)
		add_samples(host, i, host->counts[i]);
	assert(host->sample_count == sum);
	host->second++;
	*ret_count = sum;
	return host->samples;
}

void busy_host_walk(const struct busy_host *host, const struct busy_sample *sample,
		    struct walk *ret)
{
	struct program program = host->services[sample->service].seen.program;

	program.version = sample->version;
	call_graph_walk(&program, sample->topic, sample->seed, ret);
}

const struct busy_service *busy_host_service(const struct busy_host *host, uint32_t service)
{
	assert(service < host->options.service_count);
	return &host->services[service].seen;
}

uint32_t busy_host_process_count(const struct busy_host *host)
{
	return host->next_process;
}
