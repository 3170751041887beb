/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/script.h"

#include <stdio.h>
#include <stdlib.h>

enum { PATH_SIZE = 256, COMMAND_SIZE = 1024 };

int script_write(const char *root, const char *name, const char *text)
{
	char path[PATH_SIZE];

	snprintf(path, sizeof(path), "%s/%s", root, name);

	FILE *file = fopen(path, "w");

	if (!file || fputs(text, file) < 0 || fclose(file)) {
		perror(path);
		return -1;
	}
	return 0;
}

int script_run(const char *root, const char *name, const char *script, const char *more)
{
	char command[COMMAND_SIZE];

	if (script_write(root, name, script))
		return -1;
	snprintf(command, sizeof(command),
		 "sh %s/%s %s %s > %s/log 2>&1 || { cat %s/log; exit 1; }", root, name, root, more,
		 root, root);
	return system(command) ? -1 : 0;
}
