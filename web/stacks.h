/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "web/flame_diff.h"
#include "web/querier.h"

/*
 * One profile of everything that matches, as the calls that answer with stacks ask for it:
 * SelectMergeStacktraces, SelectMergeProfile, SelectMergeSpanProfile, Diff and /pyroscope/render.
 */
enum {
	STACKS_NODE_COUNT_DEFAULT = 8192, /* as Pyroscope's */
	STACKS_NODE_COUNT_MAX = 1048576,
	STACKS_NODE_COUNT_ALL = 0,
	/* Ids of one kind that a question may name: a click names one, a list of spans some. */
	STACKS_ID_COUNT_MAX = 400,
	STACKS_SPAN_ID_DIGIT_COUNT = 16,
	STACKS_TRACE_ID_DIGIT_COUNT = 32,
};

struct stacks_question {
	struct querier_question base;
	struct flame_options options;
	uint32_t kept_locations; /* of each stack, from its leaf; 0: all */
	bool has_no_leaf_lines;	 /* calls from one function are one, whatever their line */
};

/* These are false when the reply tells what is wrong. stacks_done() in any case. */
bool stacks_read(struct stacks_question *question, struct connect_call *call, int64_t start,
		 int64_t end, const char *type, const char *selector);

/* otherwise: what 0 means. */
bool stacks_read_node_count(struct stacks_question *question, struct connect_call *call,
			    int64_t count, uint32_t otherwise);
bool stacks_read_profiles(struct stacks_question *question, struct connect_call *call, size_t count,
			  char *const *ids);
bool stacks_read_spans(struct stacks_question *question, struct connect_call *call, size_t count,
		       char *const *ids);
bool stacks_read_traces(struct stacks_question *question, struct connect_call *call, size_t count,
			char *const *ids);
/* The texts belong to the selector, which may be NULL. */
bool stacks_read_selector(struct stacks_question *question, struct connect_call *call,
			  const Pyroscope__StackTraceSelector *selector);
void stacks_done(struct stacks_question *question);

/* For the answer, in the arena; NULL with its error, which -EBADMSG of the flame is, too. */
Pyroscope__FlameGraph *stacks_graph(struct connect_call *call, const struct flame *flame);
bool stacks_tree(struct connect_call *call, const struct flame *flame, ProtobufCBinaryData *ret);

/*
 * Both sides whole, and cut together to the larger of their counts of nodes. stacks_diff_done() in
 * any case.
 */
struct stacks_diff {
	struct flame left, right; /* whose texts the diff uses */
	struct flame_diff diff;
};
int stacks_diff(struct server *server, struct stacks_question *left, struct stacks_question *right,
		struct stacks_diff *ret);
void stacks_diff_done(struct stacks_diff *diff);

static inline void stacks_diff_cleanup(struct stacks_diff *diff)
{
	stacks_diff_done(diff);
}

static inline void stacks_question_cleanup(struct stacks_question *question)
{
	stacks_done(question);
}

static inline void flame_cleanup(struct flame *flame)
{
	flame_done(flame);
}
