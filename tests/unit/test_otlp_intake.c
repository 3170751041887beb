/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "store/batch_private.h"
#include "web/otlp_intake.h"

#define GO_ID "AAAAAAAAAAAAAAAAAAAB/-_-_-_-_-_-_-_-_-_-_/zzzzzzzzzzzzzzzzzzzz/0123456789abcdefghij"
#define HASH  "00112233445566778899aabbccddeeff"

/* What the only build of a batch is known by. */
static int take_identity(void *context, struct batch *batch, bool is_last)
{
	struct batch_build build;

	assert_true(is_last);
	assert_int_equal(pool_count(&batch->builds), 1);
	memcpy(&build, pool_get(&batch->builds, 0).text, sizeof(build));
	*(struct identity *)context = build.identity;
	assert_int_equal(batch->locations.items.items[0].address, 0x1018);
	return 0;
}

/* Of a sample with one frame without a name, in this file. */
static struct identity identity_of(struct otlp_mapping mapping)
{
	autoclean(otlp_intake) struct otlp_intake *intake = NULL;
	struct identity identity = { 0 };
	struct otlp_intake_options options = { .host_name = "host",
					       .now_ms = 1700000000000,
					       .add = take_identity,
					       .context = &identity };
	struct otlp_mapping mappings[] = { { 0 }, mapping };
	struct otlp_location locations[] = { { .mapping = 1, .address = 0x401018 } };
	struct otlp_tables tables = { .serial = 1,
				      .mappings = { mappings, 2, 2 },
				      .locations = { locations, 1, 1 } };
	const uint32_t stack[] = { 0 };
	const int64_t values[] = { 1 };
	struct otlp_sample sample = { .stack = { 0, 1 }, .values = { 0, 1 } };
	struct otlp_profile profile = {
		.tables = &tables,
		.type = { STR("samples"), STR("count") },
		.samples = &sample,
		.sample_count = 1,
		.stack_indices = stack,
		.values = values,
	};

	assert_int_equal(otlp_intake_new(&intake), 0);
	otlp_intake_begin(intake, &options);
	assert_int_equal(otlp_intake_take(intake, &profile), 0);
	assert_int_equal(otlp_intake_finish(intake), 0);
	return identity;
}

static void files_are_known_by_the_best_of_their_ids(void **state)
{
	struct otlp_mapping mapping = { .start = 0x401000,
					.limit = 0x402000,
					.offset = 0x1000,
					.filename = STR("/bin/program"),
					.gnu = STR("abcdef"),
					.go = STR(GO_ID),
					.htlhash = STR(HASH) };
	struct identity go, found;

	(void)state;
	assert_true(identity_of_go(STR(GO_ID), &go));
	found = identity_of(mapping);
	assert_int_equal(found.kind, IDENTITY_GNU_BUILD_ID);
	assert_int_equal(found.size, 3);

	mapping.gnu = (struct str){ 0 };
	found = identity_of(mapping);
	assert_true(identity_equal(&found, &go));

	/* Its name need not be known. */
	mapping.filename = (struct str){ 0 };
	found = identity_of(mapping);
	assert_true(identity_equal(&found, &go));

	/* What a builder wrote there tells no file from another. */
	mapping.filename = STR("/bin/program");
	mapping.go = STR("redacted");
	found = identity_of(mapping);
	assert_int_equal(found.kind, IDENTITY_HTLHASH);
	assert_int_equal(found.size, 16);

	/* That is enough of a file, too. */
	mapping.filename = mapping.go = (struct str){ 0 };
	found = identity_of(mapping);
	assert_int_equal(found.kind, IDENTITY_HTLHASH);
	assert_memory_equal(found.bytes, "\x00\x11\x22\x33\x44\x55\x66\x77", 8);

	mapping.filename = STR("/bin/program");
	mapping.htlhash = (struct str){ 0 };
	found = identity_of(mapping);
	assert_int_equal(found.kind, IDENTITY_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files_are_known_by_the_best_of_their_ids),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
