/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/limits.h"
#include "store/batch.h"
#include "web/otlp_reader.h"

/*
 * Whose samples they are, in the words of this store. A process of this host is called as our own
 * collector would call it (labels.h), so that both profilers' data of it lie together; one from
 * elsewhere by what its sender says, and else "unknown_service:" and its executable.
 *
 * A sender may be on this host and still count processes otherwise, in a container with numbers of
 * its own: a process is taken for the one that /proc has only if nothing that is said of it, host,
 * container and executable, contradicts what /proc tells.
 *
 * Attributes are labels of their own names, "k8s.pod.name", as in Pyroscope; who asks for one by
 * our own collector's name for it finds it, too (store/catalog.h). What tells one thread, process
 * or request from another stays with samples: process.pid, thread.id, thread.name, span_id,
 * trace_id, and all other attributes of samples but those of executable, container and host. The
 * rest makes a series.
 */
struct otlp_labels {
	const char *host_name; /* ours */
	bool is_local;	       /* process ids are those of this host */

	struct label series[OTLP_SERIES_LABEL_COUNT_MAX];
	size_t series_count;
	struct label sample[OTLP_SAMPLE_LABEL_COUNT_MAX];
	size_t sample_count;
	uint64_t left_out; /* attributes that found no room, in all */
	struct buf texts;  /* made ones */

	/* The last process that was asked for: profiles of one come together. */
	uint64_t process_pid, process_said; /* and a hash of what was said of it */
	struct buf process_texts;
	struct label process[8];
	size_t process_count;

	/* Numbers that no process of this host has, each with the second in which it was looked
	 * for; each has one place. */
	struct absent_process {
		uint32_t pid, second;
	} absent[OTLP_ABSENT_PROCESS_COUNT];
	uint32_t second;
};

void otlp_labels_init(struct otlp_labels *labels);
void otlp_labels_done(struct otlp_labels *labels);

/*
 * Of each request: nothing is known of the one before, but which processes there were not within
 * the same second: a busy host sends several requests of thousands, and each is a system call.
 */
void otlp_labels_begin(struct otlp_labels *labels, const char *host_name, bool is_local,
		       int64_t now_ms);

/*
 * Of a sample of the profile. Texts live until the next call, as long as the request does. -ENOMEM.
 */
int otlp_labels_find(struct otlp_labels *labels, const struct otlp_profile *profile,
		     const struct otlp_sample *sample);

/* Whether a process of this number, as a sender has it, may be one of this host: what becomes of it
 * then depends on more than its attributes. */
bool otlp_labels_may_know(struct otlp_labels *labels, int64_t pid);

/* The label of a process's number, as otlp_labels_find() has it. -ENOMEM. */
int otlp_labels_of_pid(struct otlp_labels *labels, int64_t pid, struct str *ret_value);

/*
 * What an attribute of a sample comes to, whoever's it is: nothing, a label of the sample, or more,
 * which only otlp_labels_find() knows. Texts as above.
 */
enum otlp_attribute_use {
	OTLP_ATTRIBUTE_OF_NOBODY = 0,
	OTLP_ATTRIBUTE_OF_SAMPLE,
	OTLP_ATTRIBUTE_OF_SERIES, /* too, at least */
	OTLP_ATTRIBUTE_NOT_KNOWN, /* nobody asked yet */
};

/* By its key alone; the name is that of the label. */
int otlp_labels_of_key(struct otlp_labels *labels, struct str key, enum otlp_attribute_use *ret_use,
		       struct str *ret_name);

/* Of an attribute of a sample's label; "" is none. -ENOMEM. */
int otlp_labels_of_value(struct otlp_labels *labels, const struct otlp_attribute *attribute,
			 struct str *ret);

/* The two labels of a link, alike. */
int otlp_labels_of_link(struct otlp_labels *labels, const struct otlp_link *link,
			struct label ret[static 2]);
