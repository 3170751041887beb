/* SPDX-License-Identifier: Apache-2.0 */
/* kernel_heavy SECONDS: reads /dev/zero in large pieces for so long of CPU time, so that most of it
 * is the kernel's. */
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static char buffer[1 << 20];

__attribute__((noinline)) static long read_zeros(int file)
{
	return read(file, buffer, sizeof(buffer));
}

static double cpu_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

int main(int argument_count, char **arguments)
{
	double seconds = argument_count > 1 ? strtod(arguments[1], NULL) : 5;
	int file = open("/dev/zero", O_RDONLY);

	if (file < 0)
		return 1;
	while (cpu_seconds() < seconds)
		if (read_zeros(file) < 0)
			return 1;
	return 0;
}
