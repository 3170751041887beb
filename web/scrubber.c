/* SPDX-License-Identifier: Apache-2.0 */
#include "web/scrubber.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "store/store.h"

enum { FIRST_PAUSE_S = 60, PAUSE_S = 600 };

/* linux/ioprio.h is not among the headers of every distribution. */
enum { IOPRIO_WHO_THREAD = 1, IOPRIO_IDLE = 3 << 13 };

struct scrubber {
	struct store *store;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wakeup; /* by the monotonic clock */
	_Atomic bool stops;
};

/* Whether it is to go on. */
static bool rest(struct scrubber *scrubber, int seconds)
{
	struct timespec until;

	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += seconds;
	pthread_mutex_lock(&scrubber->lock);
	while (!scrubber->stops &&
	       pthread_cond_timedwait(&scrubber->wakeup, &scrubber->lock, &until) != ETIMEDOUT)
		;
	pthread_mutex_unlock(&scrubber->lock);
	return !scrubber->stops;
}

static void *run(void *context)
{
	struct scrubber *scrubber = context;
	struct sched_param priority = { 0 };
	int pause_s = FIRST_PAUSE_S;

	(void)pthread_setname_np(pthread_self(), "scrubber");
	/* Wishes: without them it only disturbs a little more. */
	(void)pthread_setschedparam(pthread_self(), SCHED_IDLE, &priority);
	(void)syscall(SYS_ioprio_set, IOPRIO_WHO_THREAD, 0, IOPRIO_IDLE);
	while (rest(scrubber, pause_s)) {
		int err = store_scrub(scrubber->store, &scrubber->stops);

		if (err < 0 && err != -ECANCELED)
			log_warning_errno(err, "a file of profiles could not be read through");
		pause_s = PAUSE_S;
	}
	return NULL;
}

int scrubber_start(struct store *store, struct scrubber **ret)
{
	struct scrubber *scrubber = calloc(1, sizeof(*scrubber));
	pthread_condattr_t attributes;
	int err;

	if (!scrubber)
		return -ENOMEM;
	scrubber->store = store;
	pthread_mutex_init(&scrubber->lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&scrubber->wakeup, &attributes);
	pthread_condattr_destroy(&attributes);
	err = -pthread_create(&scrubber->thread, NULL, run, scrubber);
	if (err) {
		pthread_cond_destroy(&scrubber->wakeup);
		pthread_mutex_destroy(&scrubber->lock);
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
	pthread_mutex_lock(&scrubber->lock);
	scrubber->stops = true;
	pthread_cond_signal(&scrubber->wakeup);
	pthread_mutex_unlock(&scrubber->lock);
	pthread_join(scrubber->thread, NULL);
	pthread_cond_destroy(&scrubber->wakeup);
	pthread_mutex_destroy(&scrubber->lock);
	free(scrubber);
	return NULL;
}
