/* SPDX-License-Identifier: Apache-2.0 */
/* What is read out of /proc: maps, cgroup, command lines, lists of CPUs. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "base/parse.h"
#include "base/cgroup.h"
#include "collector/cpus.h"
#include "collector/mappings.h"
#include "base/script.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void assert_within(struct str part, struct str whole)
{
	assert(part.size == 0 ||
	       (part.text >= whole.text && part.text + part.size <= whole.text + whole.size));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static const char *const interpreters[] = { "python3", "perl", "sh", "java", "node" };
	struct str text = { (const char *)bytes, size }, rest = text, line;
	uint32_t cpus[CPU_COUNT_MAX], cpu_count = 0;
	struct maps_line parsed;

	assert_within(cgroup_choose(text), text);
	for (size_t i = 0; i < sizeof(interpreters) / sizeof(interpreters[0]); i++)
		assert_within(script_of(str_from(interpreters[i]), text), text);
	if (cpus_parse(text, cpus, &cpu_count) == 0)
		assert(cpu_count > 0 && cpu_count <= CPU_COUNT_MAX);
	while (parse_next(&rest, '\n', &line)) {
		if (!maps_parse_line(line, &parsed))
			continue;
		assert(parsed.start < parsed.end);
		assert_within(parsed.path, line);
		assert(mapping_kind_of(parsed.path) != 0);
	}
	return 0;
}
