/* SPDX-License-Identifier: Apache-2.0 */
#include "web/scrubber.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "store/store.h"

enum { FIRST_PAUSE_S = 60, PAUSE_S = 600 };

/* linux/ioprio.h is not among the headers of every distribution. */
enum { IOPRIO_WHO_THREAD = 1, IOPRIO_IDLE = 3 << 13 };

struct scrubber {
	struct store *store;
	pthread_t thread;
	_Atomic bool stops;
};

static void *run(void *context)
{
	struct scrubber *scrubber = context;
	struct sched_param priority = { 0 };
	unsigned pause_s = FIRST_PAUSE_S;

	(void)pthread_setname_np(pthread_self(), "scrubber");
	/* Wishes: without them it only disturbs a little more. */
	(void)pthread_setschedparam(pthread_self(), SCHED_IDLE, &priority);
	(void)syscall(SYS_ioprio_set, IOPRIO_WHO_THREAD, 0, IOPRIO_IDLE);
	for (;;) {
		int err;

		store_scrub_rest(scrubber->store, pause_s, &scrubber->stops);
		if (scrubber->stops)
			return NULL;
		err = store_scrub(scrubber->store, &scrubber->stops);
		if (err < 0 && err != -ECANCELED)
			log_warning_errno(err, "a file of profiles could not be read through");
		pause_s = PAUSE_S;
	}
}

int scrubber_start(struct store *store, struct scrubber **ret)
{
	struct scrubber *scrubber = calloc(1, sizeof(*scrubber));
	int err;

	if (!scrubber)
		return -ENOMEM;
	scrubber->store = store;
	err = -pthread_create(&scrubber->thread, NULL, run, scrubber);
	if (err) {
		free(scrubber);
		return err;
	}
	*ret = scrubber;
	return 0;
}

struct scrubber *scrubber_stop(struct scrubber *scrubber)
{
	if (!scrubber)
		return NULL;
	scrubber->stops = true;
	store_wake_scrub(scrubber->store);
	pthread_join(scrubber->thread, NULL);
	free(scrubber);
	return NULL;
}
