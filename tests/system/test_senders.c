/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Others' SDKs push profiles of small programs (tests/clients) to a real hearth, which is then
 * asked for what these programs did. HEARTH_REQUIRE_CLIENTS=1: none may be missing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/hearth.h"

#define CPU	    "process_cpu:cpu:nanoseconds:cpu:nanoseconds"
#define NODE_CPU    "wall:cpu:nanoseconds:wall:nanoseconds"
#define INUSE_SPACE "memory:inuse_space:bytes:space:bytes"

enum { OUTPUT_SIZE = 1 << 16, KEPT_BYTES = 64 << 20 /* by push/main.go */ };

static char output[OUTPUT_SIZE];

static int start(void **state)
{
	static struct hearth hearth;
	const char *options[] = { NULL };

	hearth_start(&hearth, "serve", options);
	*state = &hearth;
	return 0;
}

static int stop(void **state)
{
	return hearth_stop(*state);
}

static void run(const char *command, unsigned port)
{
	if (shell_output(output, sizeof(output), "%s http://127.0.0.1:%u 2>&1", command, port))
		fail_msg("%s: %s", command, output);
}

/* What a type's flame graph of a service says of a function. */
static double value_of(const struct hearth *hearth, const char *service, const char *type,
		       const char *function)
{
	json_t *flame = hearth_get(hearth,
				   "/api/v1/flame?from=now-1h&to=now&type=%s"
				   "&query=%%7Bservice_name%%3D%%22%s%%22%%7D",
				   type, service);
	double value = flame_total(flame, function);

	json_decref(flame);
	return value;
}

static void assert_at_least(const struct hearth *hearth, const char *service, const char *type,
			    const char *function, double least)
{
	double value = value_of(hearth, service, type, function);

	if (value < least)
		fail_msg("%s, %s: %.0f in %s, which is less than %.0f", service, type, value,
			 function, least);
}

static void go_pushes(void **state)
{
	static const char *const protocols[] = { "proto", "json", "gzip", "grpc-web" };
	const struct hearth *hearth = *state;
	char program[256], command[512];

	(void)build_path("tests/clients/push", program, sizeof(program));
	if (shell_output(output, sizeof(output), "go version 2>&1"))
		skip_without("there is no Go on this machine (golang-go)", output);
	if (shell_output(output, sizeof(output),
			 "top=$PWD; cd tests/clients && GOFLAGS=-mod=readonly GOTOOLCHAIN=local go "
			 "build "
			 "-o \"$top/%s\" ./push 2>&1",
			 program))
		skip_without(
			"Go's client could not be built: its modules are missing, or Go is old",
			output);
	snprintf(command, sizeof(command), "timeout 90 '%s'", program);
	run(command, hearth->port);
	/* 7 s of work on a machine that may have others. */
	assert_at_least(hearth, "go-sdk", CPU, "main.burnInGo", 5e8);
	assert_at_least(hearth, "go-sdk", INUSE_SPACE, "main.allocateInGo", KEPT_BYTES / 2);
	assert_at_least(hearth, "go-sdk", "goroutine:goroutine:count:goroutine:count",
			"runtime.main", 1);
	for (size_t i = 0; i < sizeof(protocols) / sizeof(protocols[0]); i++) {
		char service[32];

		snprintf(service, sizeof(service), "go-delta-%s", protocols[i]);
		assert_at_least(hearth, service, INUSE_SPACE, "main.allocateInGo", KEPT_BYTES / 2);
	}
}

static void python_pushes(void **state)
{
	const struct hearth *hearth = *state;
	char folder[256], command[512];

	(void)build_path("tests/clients/python", folder, sizeof(folder));
	if (shell_output(output, sizeof(output),
			 "{ [ -x '%s/bin/python' ] || python3 -m venv '%s'; } 2>&1 && '%s/bin/pip' "
			 "install -q -r tests/clients/python/requirements.txt 2>&1",
			 folder, folder, folder))
		skip_without("Python's SDK could not be installed (python3-venv)", output);
	snprintf(command, sizeof(command),
		 "timeout 90 '%s/bin/python' tests/clients/python/push.py", folder);
	run(command, hearth->port);
	assert_at_least(hearth, "python-sdk", CPU, "burn_in_python", 5e8);
}

static void node_pushes(void **state)
{
	const struct hearth *hearth = *state;
	char folder[256], command[512];

	(void)build_path("tests/clients/node", folder, sizeof(folder));
	if (shell_output(output, sizeof(output),
			 "mkdir -p '%s' && cp tests/clients/node/* '%s' && cd '%s' && npm ci "
			 "--no-audit --no-fund --loglevel=error 2>&1",
			 folder, folder, folder))
		skip_without("Node's SDK could not be installed (nodejs, npm)", output);
	snprintf(command, sizeof(command), "cd '%s' && timeout 90 node push.mjs", folder);
	run(command, hearth->port);
	/* Its frames are "file:function:line". */
	assert_at_least(hearth, "node-sdk", NODE_CPU, "./push.mjs:burnInNode:5", 5e8);
}

static void rust_pushes(void **state)
{
	const struct hearth *hearth = *state;
	char folder[256], command[512];

	(void)build_path("tests/clients/rust", folder, sizeof(folder));
	snprintf(command, sizeof(command), "%s/debug/hearth-push", folder);
	/* It takes minutes, of crates without number. */
	if (access(command, X_OK) && !getenv("HEARTH_CLIENTS"))
		skip_without("Rust's client is not built: make test-clients builds it", output);
	if (shell_output(output, sizeof(output),
			 "CARGO_TARGET_DIR='%s' cargo build --quiet --locked "
			 "--manifest-path tests/clients/rust/Cargo.toml 2>&1",
			 folder))
		skip_without("Rust's client could not be built (rustup, or cargo of at least 1.85)",
			     output);
	snprintf(command, sizeof(command), "timeout 90 '%s/debug/hearth-push'", folder);
	run(command, hearth->port);
	assert_at_least(hearth, "rust-sdk", CPU, "hearth_push::burn_in_rust", 5e8);
}

/* The agent's two ways. By OTLP it sends no name. */
static void java_pushes(void **state)
{
	const struct hearth *hearth = *state;
	char classes[256], fetched[256], command[2048];
	double longer, shorter;

	(void)build_path("tests/clients/java", classes, sizeof(classes));
	(void)build_path("tests/clients/maven", fetched, sizeof(fetched));
	if (shell_output(
		    output, sizeof(output),
		    "mkdir -p '%s' '%s' && javac -d '%s' tests/clients/java/Shares.java 2>&1 && "
		    "timeout 200 mvn -q -B -f tests/clients/java/pom.xml -Dfetched=\"$(realpath "
		    "'%s')\" dependency:copy 2>&1",
		    classes, fetched, classes, fetched))
		skip_without("Java's agent could not be fetched (openjdk-17-jdk-headless, maven)",
			     output);
	for (int i = 0; i < 2; i++) {
		snprintf(command, sizeof(command),
			 "run() { PYROSCOPE_SERVER_ADDRESS=$1 PYROSCOPE_PROFILER_EVENT=itimer "
			 "PYROSCOPE_UPLOAD_INTERVAL=4s timeout 120 java -javaagent:'%s/agent.jar' "
			 "-cp '%s' Shares 14; }; export %s; run",
			 fetched, classes,
			 i == 0 ? "PYROSCOPE_FORMAT=jfr PYROSCOPE_APPLICATION_NAME=java-sdk "
				  "PYROSCOPE_PROFILER_ALLOC=64k PYROSCOPE_PROFILER_LOCK=1ms "
				  "PYROSCOPE_LABELS=region=eu"
				: "PYROSCOPE_FORMAT=otlp");
		run(command, hearth->port);
	}
	longer = value_of(hearth, "java-sdk", CPU, "Shares.burnLong");
	shorter = value_of(hearth, "java-sdk", CPU, "Shares.burnShort");
	if (longer + shorter < 1e9 || longer / (longer + shorter) < 0.65 ||
	    longer / (longer + shorter) > 0.75)
		fail_msg("%.2f and %.2f s", longer / 1e9, shorter / 1e9);
	assert_at_least(hearth, "java-sdk", "memory:alloc_in_new_tlab_bytes:bytes:space:bytes",
			"Shares.allocate", 1 << 20);
	assert_at_least(hearth, "java-sdk", "mutex:delay:nanoseconds:mutex:count", "Shares.hold",
			1e9);
	assert_at_least(hearth, "java-sdk", "block:contentions:count:block:count", "Shares.park",
			10);
	assert_at_least(hearth, "unknown_service", "itimer:itimer:ns:itimer:ns", "Shares.burnLong",
			5e8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(go_pushes),   cmocka_unit_test(python_pushes),
		cmocka_unit_test(node_pushes), cmocka_unit_test(rust_pushes),
		cmocka_unit_test(java_pushes),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
