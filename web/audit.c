/* SPDX-License-Identifier: Apache-2.0 */
#include "web/audit.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"

enum { MINUTE_S = 60, PATH_SHOWN_MAX = 200 };

struct audit {
	uint64_t access_log;
	_Atomic uint64_t request_count;

	pthread_mutex_t lock;
	uint64_t minute_ns; /* when the one of the next two began */
	unsigned refusals;
	uint64_t unsaid;
};

int audit_new(uint64_t access_log, struct audit **ret)
{
	struct audit *audit = calloc(1, sizeof(*audit));

	if (!audit)
		return -ENOMEM;
	audit->access_log = access_log;
	(void)pthread_mutex_init(&audit->lock, NULL);
	*ret = audit;
	return 0;
}

struct audit *audit_free(struct audit *audit)
{
	if (!audit)
		return NULL;
	(void)pthread_mutex_destroy(&audit->lock);
	free(audit);
	return NULL;
}

struct shown {
	char text[PATH_SHOWN_MAX + 1];
};

/* Anything a stranger wrote, as one line of plain letters. */
static struct shown shown(struct str text)
{
	struct shown shown = { .text = "" };
	size_t size = text.size < PATH_SHOWN_MAX ? text.size : PATH_SHOWN_MAX;

	for (size_t i = 0; i < size; i++)
		shown.text[i] = text.text[i] > ' ' && text.text[i] < 0x7f ? text.text[i] : '?';
	return shown;
}

void audit_change(struct audit *audit, const struct request *request, const struct reply *reply)
{
	(void)audit;
	log_notice("audit: %s %s by %s from %s: %d", shown(request->method).text,
		   shown(request->path).text, request->who, request->peer.address, reply->status);
}

void audit_refusal(struct audit *audit, const struct request *request)
{
	uint64_t now_ns = clock_monotonic_ns();
	uint64_t unsaid = 0;

	pthread_mutex_lock(&audit->lock);
	if (audit->minute_ns == 0 ||
	    now_ns - audit->minute_ns >= MINUTE_S * (uint64_t)CLOCK_NS_PER_S) {
		unsaid = audit->unsaid;
		audit->minute_ns = now_ns;
		audit->refusals = 0;
		audit->unsaid = 0;
	}

	bool is_said = audit->refusals < AUDIT_REFUSAL_COUNT_MAX;

	audit->refusals += is_said;
	audit->unsaid += !is_said;
	pthread_mutex_unlock(&audit->lock);
	if (unsaid > 0)
		log_warning("audit: %" PRIu64 " more wrong tokens were refused", unsaid);
	if (is_said)
		log_warning("audit: a wrong token was refused: %s %s from %s",
			    shown(request->method).text, shown(request->path).text,
			    request->peer.address);
}

void audit_access(struct audit *audit, const struct request *request, const struct reply *reply,
		  uint64_t time_ns)
{
	if (audit->access_log == 0 || audit->request_count++ % audit->access_log != 0)
		return;
	log_info("access: %s %s by %s from %s: %d, %zu bytes, %" PRIu64 " us",
		 shown(request->method).text, shown(request->path).text,
		 request->who[0] ? request->who : "nobody", request->peer.address, reply->status,
		 reply->body.size, time_ns / 1000);
}
