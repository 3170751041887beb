/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/store_scene.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/folder.h"
#include "tests/support/call_graph.h"

enum { BATCH_SIZE_MAX = 64 << 20, SERVICE_COUNT = 4 };

#define TYPE "process_cpu:cpu:nanoseconds:cpu:nanoseconds"

void store_scene_init(struct store_scene *scene, const char *below)
{
	*scene = (struct store_scene){ .seed = 1 };
	snprintf(scene->folder, sizeof(scene->folder), "%s/hearth-scene-XXXXXX", below);
	if (!mkdtemp(scene->folder))
		abort();
	scene->options.folder = scene->folder;
	if (batch_new(BATCH_SIZE_MAX, &scene->batch))
		abort();
}

void store_scene_done(struct store_scene *scene)
{
	scene->store = store_close(scene->store);
	scene->batch = batch_free(scene->batch);
	folder_remove(scene->folder);
}

int store_scene_open(struct store_scene *scene)
{
	assert(!scene->store);
	return store_open(&scene->options, &scene->store);
}

static int64_t add_stack(struct store_scene *scene, uint32_t service)
{
	struct program program = { .kind = PROGRAM_GO, .number = service };
	struct walk walk;
	uint32_t locations[WALK_DEPTH_MAX];
	int64_t number = 0;

	call_graph_walk(&program, 0, random_next(&scene->seed), &walk);
	for (uint32_t i = 0; number >= 0 && i < walk.depth; i++) {
		const struct walk_frame *frame = &walk.frames[walk.depth - 1 - i];
		struct identity identity = { .kind = IDENTITY_GNU_BUILD_ID, .size = 20 };

		memcpy(identity.bytes, &frame->module, sizeof(frame->module));
		number =
			batch_add_build(scene->batch, BUILD_FILE, &identity, STR("/usr/bin/scene"));
		if (number >= 0)
			number = batch_add_location(scene->batch, (uint32_t)number, frame->address);
		locations[i] = (uint32_t)number;
	}
	return number < 0 ? number : batch_add_stack(scene->batch, locations, walk.depth, 0);
}

static int add_sample(struct store_scene *scene, uint16_t time_ms)
{
	static const char *const names[SERVICE_COUNT] = { "alpha", "beta", "gamma", "delta" };
	uint32_t service = (uint32_t)(random_next(&scene->seed) % SERVICE_COUNT);
	struct label label = { STR("service_name"), str_from(names[service]) };
	struct label own = { STR("pid"), str_from(names[service]) };
	int64_t labels = batch_add_labels(scene->batch, &label, 1);
	int64_t series = labels < 0
				 ? labels
				 : batch_add_series(scene->batch, (uint32_t)labels, STR(TYPE), 1);
	int64_t sample_labels = series < 0 ? series : batch_add_labels(scene->batch, &own, 1);
	int64_t stack = sample_labels < 0 ? sample_labels : add_stack(scene, service);

	if (stack < 0)
		return (int)stack;
	return batch_add_entry(scene->batch,
			       &(struct batch_entry){ .series = (uint32_t)series,
						      .sample_labels = (uint32_t)sample_labels,
						      .stack = (uint32_t)stack,
						      .count = 1,
						      .value = 1,
						      .times_ms = &time_ms });
}

int store_scene_append(struct store_scene *scene, int64_t start_ms, uint32_t samples)
{
	int err = 0;

	batch_clear(scene->batch);
	batch_set_time(scene->batch, (struct batch_time){ start_ms, start_ms + 1000 });
	batch_set_source(scene->batch, STORE_SCENE_SOURCE, scene->sequence + 1);
	for (uint32_t i = 0; !err && i < samples; i++)
		err = add_sample(scene, (uint16_t)(i * 1000 / samples));
	if (!err)
		err = store_append(scene->store, scene->batch);
	if (err)
		return err;
	scene->sequence++;
	scene->appended += samples;
	scene->pending += samples;
	return 0;
}

int store_scene_commit(struct store_scene *scene)
{
	int err = store_commit(scene->store);

	if (!err)
		scene->pending = 0;
	return err;
}

int64_t store_scene_count(struct store_scene *scene, int64_t from_ms, int64_t to_ms)
{
	struct store_question question = { .from_unix_ms = from_ms, .to_unix_ms = to_ms };
	struct store_grid grid = { .first_ms = to_ms,
				   .step_ms = to_ms - from_ms,
				   .point_count = 1 };
	struct store_rows rows = { 0 };
	int64_t total = 0;
	int err = store_series(scene->store, &question, NULL, 0, &grid, &rows);

	if (err)
		return err;
	for (size_t i = 0; i < rows.count; i++)
		total += (int64_t)rows.rows[i].total;
	store_rows_done(&rows);
	return total;
}

int64_t store_scene_flame_count(struct store_scene *scene, int64_t from_ms, int64_t to_ms)
{
	struct store_question question = { .type = STR(TYPE),
					   .from_unix_ms = from_ms,
					   .to_unix_ms = to_ms };
	struct flame_options options = { .node_count_max = 64 };
	struct flame flame = { 0 };
	int err = store_flame(scene->store, &question, &options, &flame);

	if (err)
		return err;

	int64_t total = flame.node_count ? (int64_t)flame.nodes[0].total : 0;

	assert(flame.sample_count == (uint64_t)total);
	flame_done(&flame);
	return total;
}
