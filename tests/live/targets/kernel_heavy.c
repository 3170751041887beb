/* SPDX-License-Identifier: Apache-2.0 */
/* kernel_heavy SECONDS: reads /dev/zero in large pieces, so that most of its time is the kernel's.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static char buffer[1 << 20];

__attribute__((noinline)) static long read_zeros(int file)
{
	return read(file, buffer, sizeof(buffer));
}

int main(int argument_count, char **arguments)
{
	time_t end = time(NULL) + (time_t)(argument_count > 1 ? strtod(arguments[1], NULL) : 5);
	int file = open("/dev/zero", O_RDONLY);

	if (file < 0)
		return 1;
	while (time(NULL) < end)
		if (read_zeros(file) < 0)
			return 1;
	return 0;
}
