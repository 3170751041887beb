/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/*
 * Makes an ordinary program of a fuzzer: gives it each file of the folders named, whole and cut
 * short at several places, and nothing at all. Under the sanitizers this is the regression test of
 * every crash that was ever found.
 */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

enum { FILE_SIZE_MAX = 16 << 20, CUT_COUNT = 16 };

/* A copy of exactly this size, so that a read beyond it is seen. */
static void feed(const uint8_t *bytes, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);

	if (!copy)
		abort();
	if (size)
		memcpy(copy, bytes, size);
	(void)LLVMFuzzerTestOneInput(copy, size);
	free(copy);
}

static int feed_file(const char *path)
{
	FILE *file = fopen(path, "rb");
	uint8_t *bytes = malloc(FILE_SIZE_MAX);

	if (!file || !bytes) {
		fprintf(stderr, "cannot read %s\n", path);
		free(bytes);
		return -1;
	}

	size_t size = fread(bytes, 1, FILE_SIZE_MAX, file);

	(void)fclose(file);
	feed(bytes, size);
	for (size_t i = 1; i < CUT_COUNT && size > CUT_COUNT; i++)
		feed(bytes, size * i / CUT_COUNT);
	free(bytes);
	return 0;
}

static int feed_folder(const char *path, unsigned *count)
{
	struct dirent **entries = NULL;
	int entry_count = scandir(path, &entries, NULL, alphasort);
	int err = entry_count < 0 ? -1 : 0;

	for (int i = 0; i < entry_count; i++) {
		char name[4096];
		struct stat status;

		snprintf(name, sizeof(name), "%s/%s", path, entries[i]->d_name);
		if (entries[i]->d_name[0] != '.' && stat(name, &status) == 0 &&
		    S_ISREG(status.st_mode)) {
			err = feed_file(name) ? -1 : err;
			(*count)++;
		}
		free(entries[i]);
	}
	free(entries);
	return err;
}

int main(int argument_count, char **arguments)
{
	unsigned count = 0;
	int err = 0;

	feed(NULL, 0);
	for (int i = 1; i < argument_count; i++)
		err = feed_folder(arguments[i], &count) ? -1 : err;
	printf("%s 1 - %u inputs, whole and cut\n1..1\n", err || count == 0 ? "not ok" : "ok",
	       count);
	return err || count == 0;
}
