/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/cpus.h"

#include <errno.h>
#include <fcntl.h>

#include "base/cleanup.h"
#include "base/parse.h"

int cpus_parse(struct str text, uint32_t cpus[static CPU_COUNT_MAX], uint32_t *ret_count)
{
	struct str range;
	uint32_t count = 0;

	while (text.size > 0 &&
	       (text.text[text.size - 1] == '\n' || text.text[text.size - 1] == ' '))
		text.size--;
	while (parse_next(&text, ',', &range)) {
		struct str first_text;
		uint64_t first, last;

		if (!parse_next(&range, '-', &first_text) || parse_u64(first_text, &first))
			return -EINVAL;
		last = first;
		if (range.size > 0 && parse_u64(range, &last))
			return -EINVAL;
		if (last < first || last >= UINT32_MAX)
			return -EINVAL;
		for (uint64_t cpu = first; cpu <= last; cpu++) {
			if (count == CPU_COUNT_MAX)
				return -E2BIG;
			cpus[count++] = (uint32_t)cpu;
		}
	}
	if (count == 0)
		return -EINVAL;
	*ret_count = count;
	return 0;
}

bool cpus_include(const uint32_t *cpus, uint32_t count, const uint32_t *others,
		  uint32_t other_count)
{
	for (uint32_t i = 0; i < other_count; i++) {
		bool known = false;

		for (uint32_t k = 0; k < count && !known; k++)
			known = cpus[k] == others[i];
		if (!known)
			return false;
	}
	return true;
}

int cpus_online(uint32_t cpus[static CPU_COUNT_MAX], uint32_t *ret_count)
{
	char text[4096];
	autoclose int file = open("/sys/devices/system/cpu/online", O_RDONLY | O_CLOEXEC);
	ssize_t size = file < 0 ? -1 : read(file, text, sizeof(text));

	if (size < 0)
		return -errno;
	return cpus_parse((struct str){ text, (size_t)size }, cpus, ret_count);
}

int cpus_highest_online(uint32_t *ret)
{
	uint32_t cpus[CPU_COUNT_MAX], count = 0, highest = 0;
	int err = cpus_online(cpus, &count);

	if (err)
		return err;
	for (uint32_t i = 0; i < count; i++)
		highest = cpus[i] > highest ? cpus[i] : highest;
	*ret = highest;
	return 0;
}
