/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * A real hearth of a test's own: started with a folder of its own and a free port, asked over
 * loopback HTTP, ended. Functions that can't do what they are for fail the running test.
 */

/* Where the programs are: $BUILD, or build. */
const char *build_path(const char *name, char *path, size_t size);

/* A program, with what it writes to standard error. */
struct child {
	pid_t pid;
	int errors; /* read end */
	char said[1 << 17];
	size_t said_size;
};

/* arguments end with NULL; the first is the program. uid 0: as we are. */
void child_start(struct child *child, const char *const *arguments, uid_t uid);

/* Reads on until the text turns up: false at the end of the output or after seconds. */
bool child_says(struct child *child, const char *text, double seconds);

/* Waits for its end: its exit code, or 256 + the signal. */
int child_wait(struct child *child, double seconds);

/* SIGTERM, then child_wait(). */
int child_stop(struct child *child, double seconds);

/* A command line of the shell's, waited for: what it writes to both streams, ended by a NUL, and
 * its exit code. */
int shell_output(char *output, size_t size, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Skips a test for which something is not here, of which output tells more; fails it where
 * HEARTH_REQUIRE_CLIENTS=1 says that nothing may be missing. */
void skip_without(const char *what, const char *output);

/* Another's program that a test runs: built once, below $BUILD/tests/clients. */
struct built {
	const char *what;     /* as in "there is no …" */
	const char *folder;   /* of what it is built in */
	const char *program;  /* its name there */
	const char *variable; /* of the environment, which may name another one */
	const char *command;  /* of the shell, in the tree; "$1" is the folder */
};

/*
 * Its path. It is built in the long tests alone, or where HEARTH_REQUIRE_CLIENTS=1; by Go. The test
 * is skipped when it can't be had (skip_without()).
 */
void find_built(const struct built *built, char *program, size_t size);

struct hearth {
	struct child child;
	char folder[64]; /* its data */
	unsigned port;
};

/* options end with NULL, and follow COMMAND --data … --http 127.0.0.1:0. */
void hearth_start(struct hearth *hearth, const char *command, const char *const *options);

/* The same folder again. */
void hearth_start_again(struct hearth *hearth, const char *command, const char *const *options);

/* Stops it and removes its folder. Returns the exit code. */
int hearth_stop(struct hearth *hearth);

/*
 * The one of a program whose tests share it: profiles this host 499 times a second, in windows of a
 * second. The functions are a group's fixtures, as cmocka wants them.
 */
extern struct hearth shared_hearth;
int shared_hearth_start(void **state);
int shared_hearth_stop(void **state);

/* The pid of the program of that name among hearth's children, 0 when there is none. */
pid_t hearth_program(const struct hearth *hearth, const char *name);

/* The answer's status; the body, ended by a NUL, is to be freed. body NULL: GET, else POST of JSON.
 */
int http_ask(unsigned port, const char *path, const char *body, char **ret_body);

/* GET of a path, 200 and JSON expected; to be given back with json_decref(). printf-like. */
json_t *hearth_get(const struct hearth *hearth, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* The row of /api/v1/processes of this pid and name, or NULL (borrowed from answer). */
json_t *find_process(json_t *answer, long pid, const char *name);

/* Of an answer of /api/v1/flame: nanoseconds in this function anywhere, each stack counted once. */
double flame_total(json_t *flame, const char *function);
/* The same of several: in any of them. */
double flame_total_of_any(json_t *flame, const char *const *functions, size_t count);

/* Whether a node of this name and kind (-1: any) lies below one of that name. */
bool flame_has_below(json_t *flame, const char *function, int kind, const char *below);

/* User and system time of a living process, as /proc/PID/stat has it. */
double cpu_seconds_of(pid_t pid);

double now_seconds(void);
void sleep_seconds(double seconds);

/* Skips the running test without the rights for BPF, or fails it when HEARTH_REQUIRE_BPF is 1. */
void need_bpf(void);
