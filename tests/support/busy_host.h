/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "tests/support/call_graph.h"

/*
 * An invented busy host, from a seed: services that share the CPUs by Zipf's law (exponent 1.05),
 * of every kind of program, with about 3,000 processes that come and go, topics that breathe from
 * minute to minute, deploys that move the addresses of a service's own module, and a day's rhythm.
 */
struct busy_host;

struct busy_host_options {
	uint64_t seed;
	uint32_t service_count; /* 400 */
	uint32_t process_count; /* living at once, about; 3,000. At least one a service. */
	double samples_per_s;	/* the day's mean; 64 CPUs at 99 Hz, 53 % busy: 3,360 */
	bool is_steady;		/* no rhythm, and exactly so many samples in each second */
	int64_t start_unix_s;	/* decides where in the day it begins */
};

struct busy_sample {
	uint64_t seed; /* of its stack: see busy_host_walk() */
	uint32_t service;
	uint32_t version; /* of the service's program */
	uint32_t topic;
	uint32_t process; /* counts up: never the same number twice */
	uint32_t thread;  /* within the process, 0 is the main one */
	uint16_t time_ms; /* within the second */
};

struct busy_service {
	struct program program;
	uint32_t process_count;
	uint32_t thread_count; /* of each process */
};

int busy_host_new(const struct busy_host_options *options, struct busy_host **ret);
struct busy_host *busy_host_free(struct busy_host *host);

/* The next second's samples, ascending by service and, within it, by time. They belong to the host,
 * until the next call. */
const struct busy_sample *busy_host_next(struct busy_host *host, uint32_t *ret_count);

/* A sample's stack, as often as it is wanted. */
void busy_host_walk(const struct busy_host *host, const struct busy_sample *sample,
		    struct walk *ret);

const struct busy_service *busy_host_service(const struct busy_host *host, uint32_t service);

/* How many processes there have been. */
uint32_t busy_host_process_count(const struct busy_host *host);
