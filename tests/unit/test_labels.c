/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "web/labels.h"

#define ID    "3f2b1c9a7d4e5f60718293a4b5c6d7e8f90123456789abcdef0123456789abcd"
#define OUTER "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define SHORT "3f2b1c9a7d4e"
#define POD   "8f14e45f-ceea-467f-a9c5-2d4d1a2b3c4d"
#define POD_  "8f14e45f_ceea_467f_a9c5_2d4d1a2b3c4d"
#define TASK  "d9ad8750f0fd4d6ab4b5b1b4a0a1c2d3"

struct example {
	const char *cgroup;
	const char *service_name; /* NULL: the executable's name */
	const char *container_id, *pod, *systemd_unit;
};

/* Paths as they stand in /proc/PID/cgroup of such hosts. */
static const struct example examples[] = {
	/* no cgroup to speak of, or a private namespace of them */
	{ "", NULL, NULL, NULL, NULL },
	{ "/", NULL, NULL, NULL, NULL },
	{ "/..", NULL, NULL, NULL, NULL },
	{ "/init.scope", NULL, NULL, NULL, NULL },
	{ "/system.slice", NULL, NULL, NULL, NULL },
	{ "/build/" TASK, NULL, NULL, NULL, NULL },

	/* docker: cgroup v1 and cgroupfs, systemd, an init inside, one in another, buildkit */
	{ "/docker/" ID, SHORT, ID, NULL, NULL },
	{ "/system.slice/docker-" ID ".scope", SHORT, ID, NULL, NULL },
	{ "/docker/" ID "/system.slice/nginx.service", SHORT, ID, NULL, "nginx.service" },
	{ "/docker/" ID "/init.scope", SHORT, ID, NULL, NULL },
	{ "/docker/" OUTER "/docker/" ID, SHORT, ID, NULL, NULL },
	{ "/../../docker/" ID, SHORT, ID, NULL, NULL },
	{ "/docker/buildkit/k2m1zq9v8r7t6w5y4u3i2o1pa", NULL, NULL, NULL, NULL },
	{ "/system.slice/docker.service", "docker", NULL, NULL, "docker.service" },

	/* containerd, nerdctl, Kubernetes on either driver */
	{ "/default/" ID, SHORT, ID, NULL, NULL },
	{ "/k8s.io/" ID, SHORT, ID, NULL, NULL },
	{ "/system.slice/nerdctl-" ID ".scope", SHORT, ID, NULL, NULL },
	{ "/kubepods/burstable/pod" POD "/" ID, SHORT, ID, POD, NULL },
	{ "/kubepods/pod" POD "/" ID, SHORT, ID, POD, NULL },
	{ "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod" POD_
	  ".slice/cri-containerd-" ID ".scope",
	  SHORT, ID, POD, NULL },
	{ "/kubepods.slice/kubepods-pod" POD_ ".slice/cri-containerd-" ID ".scope", SHORT, ID, POD,
	  NULL },
	{ "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" POD_ ".slice/docker-" ID
	  ".scope",
	  SHORT, ID, POD, NULL },
	{ "/system.slice/containerd.service/kubepods-burstable-pod" POD_
	  ".slice:cri-containerd:" ID,
	  SHORT, ID, POD, NULL },
	{ "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/"
	  "kubelet-kubepods-burstable-pod" POD_ ".slice/cri-containerd-" ID ".scope",
	  SHORT, ID, POD, NULL },
	{ "/kubepods/burstable/pod" TASK "/" ID, SHORT, ID, TASK, NULL },
	{ "/kubepods/burstable/pod" POD, NULL, NULL, POD, NULL },
	{ "/system.slice/kubelet.service", "kubelet", NULL, NULL, "kubelet.service" },
	{ "/runtime.slice/containerd.service", "containerd", NULL, NULL, "containerd.service" },

	/* cri-o, and what looks after its containers */
	{ "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" POD_ ".slice/crio-" ID
	  ".scope",
	  SHORT, ID, POD, NULL },
	{ "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" POD_ ".slice/crio-" ID
	  ".scope/container",
	  SHORT, ID, POD, NULL },
	{ "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" POD_
	  ".slice/crio-conmon-" ID ".scope",
	  NULL, NULL, POD, NULL },

	/* podman: root's, a pod, a user's */
	{ "/machine.slice/libpod-" ID ".scope/container", SHORT, ID, NULL, NULL },
	{ "/machine.slice/libpod-conmon-" ID ".scope", NULL, NULL, NULL, NULL },
	{ "/machine.slice/machine-libpod_pod_" OUTER ".slice/libpod-" ID ".scope", SHORT, ID, NULL,
	  NULL },
	{ "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" ID ".scope/container",
	  SHORT, ID, NULL, NULL },
	{ "/system.slice/web.service/libpod-payload-" ID, SHORT, ID, NULL, NULL },

	/* ECS: on EC2, on Fargate, the task alone */
	{ "/ecs/" TASK "/" ID, SHORT, ID, NULL, NULL },
	{ "/ecs/" TASK "/" TASK "-2531612879", "d9ad8750f0fd", TASK "-2531612879", NULL, NULL },
	{ "/ecs/" TASK, "d9ad8750f0fd", TASK, NULL, NULL },

	/* systemd's own */
	{ "/system.slice/sshd.service", "sshd", NULL, NULL, "sshd.service" },
	{ "/system.slice/system-getty.slice/getty@tty1.service", "getty@tty1", NULL, NULL,
	  "getty@tty1.service" },
	{ "/system.slice/nginx.service/worker", "nginx", NULL, NULL, "nginx.service" },
	{ "/system.slice/run-r0d0f7a5a.scope", "run-r0d0f7a5a.scope", NULL, NULL,
	  "run-r0d0f7a5a.scope" },
	{ "/machine.slice/machine-qemu\\x2d1\\x2dvm.scope/libvirt/emulator",
	  "machine-qemu\\x2d1\\x2dvm.scope", NULL, NULL, "machine-qemu\\x2d1\\x2dvm.scope" },
	{ "/.service", NULL, NULL, NULL, NULL },

	/* logins */
	{ "/user.slice/user-1000.slice/session-3.scope", NULL, NULL, NULL, NULL },
	{ "/user.slice/user-0.slice/session-c1.scope", NULL, NULL, NULL, NULL },
	{ "/user.slice/user-1000.slice/user@1000.service/init.scope", NULL, NULL, NULL, NULL },
	{ "/user.slice/user-1000.slice/user@1000.service/app.slice/foo.service", "foo", NULL, NULL,
	  "foo.service" },
	{ "/user.slice/user-1000.slice/user@1000.service/session.slice/pipewire.service",
	  "pipewire", NULL, NULL, "pipewire.service" },
	{ "/user.slice/user-1000.slice/user@1000.service/app.slice/app-firefox-4711.scope", NULL,
	  NULL, NULL, NULL },
	{ "/user.slice/user-1000.slice/user@1000.service/app.slice/"
	  "app-org.gnome.Terminal.slice/vte-spawn-8f14e45f.scope",
	  NULL, NULL, NULL, NULL },

	/* containers with names */
	{ "/lxc/web", "web", "web", NULL, NULL },
	{ "/lxc/web/system.slice/nginx.service", "web", "web", NULL, "nginx.service" },
	{ "/lxc.payload.web/system.slice/nginx.service", "web", "web", NULL, "nginx.service" },
	{ "/lxc.payload/web/init.scope", "web", "web", NULL, NULL },
	{ "/lxc.monitor.web", NULL, NULL, NULL, NULL },
	{ "/machine.slice/systemd-nspawn@debian.service/payload/system.slice/nginx.service",
	  "debian", "debian", NULL, "nginx.service" },
	{ "/machine.slice/systemd-nspawn@debian.service/supervisor", "systemd-nspawn@debian", NULL,
	  NULL, "systemd-nspawn@debian.service" },
	{ "/machine.slice/machine-debian.scope/payload/init.scope", "debian", "debian", NULL,
	  NULL },
};

static const char *value_of(const struct label *labels, size_t count, const char *name,
			    char text[static 300])
{
	for (size_t i = 0; i < count; i++)
		if (str_equal(labels[i].name, str_from(name))) {
			snprintf(text, 300, "%.*s", STR_PRINT(labels[i].value));
			return text;
		}
	return NULL;
}

static bool is_value(const struct label *labels, size_t count, const char *name, const char *wanted)
{
	char text[300];
	const char *value = value_of(labels, count, name, text);
	bool same = wanted && value ? strcmp(wanted, value) == 0 : !wanted && !value;

	if (!same)
		print_error("%s: '%s', wanted '%s'\n", name, value ? value : "(none)",
			    wanted ? wanted : "(none)");
	return same;
}

static void names_services_by_their_cgroups(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(examples) / sizeof(examples[0]); i++) {
		const struct example *example = &examples[i];
		struct window_process process = { .name = STR("burn"),
						  .comm = STR("main"),
						  .executable = STR("/usr/bin/burn"),
						  .cgroup = str_from(example->cgroup) };
		struct label labels[LABELS_MAX];
		size_t count = 0;
		autoclean(buf) struct buf texts = BUF(4096);

		assert_int_equal(labels_of(&process, "box", labels, &count, &texts), 0);

		const char *service = example->service_name ? example->service_name : "burn";
		bool same = is_value(labels, count, "service_name", service) &&
			    is_value(labels, count, "process_name", "burn") &&
			    is_value(labels, count, "container_id", example->container_id) &&
			    is_value(labels, count, "pod", example->pod) &&
			    is_value(labels, count, "systemd_unit", example->systemd_unit) &&
			    is_value(labels, count, "host", "box");

		if (!same)
			print_error("in '%s'\n", example->cgroup);
		assert_true(same);
		for (size_t k = 1; k < count; k++)
			assert_true(str_compare(labels[k - 1].name, labels[k].name) < 0);
	}
}

static void names_a_script_where_an_interpreter_runs_one(void **state)
{
	(void)state;
	struct window_process process = { .name = STR("python3.11"),
					  .comm = STR("backup.py"),
					  .script = STR("backup.py") };
	struct label labels[LABELS_MAX];
	size_t count = 0;
	autoclean(buf) struct buf texts = BUF(4096);

	assert_int_equal(labels_of(&process, "", labels, &count, &texts), 0);
	assert_true(is_value(labels, count, "service_name", "backup.py"));
	assert_true(is_value(labels, count, "process_name", "python3.11"));
	assert_true(is_value(labels, count, "host", NULL));
	assert_int_equal(count, 2);

	/* A unit is surer than a script. */
	process.cgroup = STR("/system.slice/backup.service");
	assert_int_equal(labels_of(&process, "", labels, &count, &texts), 0);
	assert_true(is_value(labels, count, "service_name", "backup"));
}

static void calls_kernel_threads_the_kernel(void **state)
{
	(void)state;
	struct window_process process = { .name = STR("kswapd0"),
					  .comm = STR("kswapd0"),
					  .cgroup = STR("/system.slice/sshd.service"),
					  .is_kernel_thread = true };
	struct label labels[LABELS_MAX];
	size_t count = 0;
	autoclean(buf) struct buf texts = BUF(4096);

	assert_int_equal(labels_of(&process, "box", labels, &count, &texts), 0);
	assert_true(is_value(labels, count, "service_name", "kernel"));
	assert_true(is_value(labels, count, "process_name", "kswapd0"));
	assert_true(is_value(labels, count, "systemd_unit", NULL));
}

static void always_has_a_service_and_a_process(void **state)
{
	(void)state;
	struct window_process process = { .comm = STR("gone") };
	struct label labels[LABELS_MAX];
	size_t count = 0;
	autoclean(buf) struct buf texts = BUF(4096);

	assert_int_equal(labels_of(&process, "", labels, &count, &texts), 0);
	assert_true(is_value(labels, count, "service_name", "gone"));
	assert_true(is_value(labels, count, "process_name", "gone"));
	process.comm = (struct str){ 0 };
	assert_int_equal(labels_of(&process, "", labels, &count, &texts), 0);
	assert_true(is_value(labels, count, "service_name", "unknown"));
}

static void makes_text_of_any_bytes(void **state)
{
	(void)state;
	static const struct {
		struct str name;
		const char *wanted;
	} cases[] = {
		{ STR("caf\xc3\xa9"), "caf\xc3\xa9" },
		{ STR("\xe2\x82\xac\xf0\x9f\x94\xa5"), "\xe2\x82\xac\xf0\x9f\x94\xa5" },
		{ STR("a\nb\x7f"), "a?b?" },
		{ STR("x\0y"), "x?y" },
		{ STR("\xc3"), "?" },
		{ STR("\xff\xfe"), "??" },
		{ STR("\xc0\xaf"), "??" },
		{ STR("\xed\xa0\x80"), "???" },
		{ STR("\xf4\x90\x80\x80"), "????" },
		{ STR("\xc2\x85"), "??" },
		{ STR("\xe2\x82"), "??" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct window_process process = { .name = cases[i].name };
		struct label labels[LABELS_MAX];
		size_t count = 0;
		autoclean(buf) struct buf texts = BUF(4096);

		assert_int_equal(labels_of(&process, "h", labels, &count, &texts), 0);
		assert_true(is_value(labels, count, "process_name", cases[i].wanted));
		assert_true(is_value(labels, count, "service_name", cases[i].wanted));
	}
}

static void cuts_what_is_too_long(void **state)
{
	(void)state;
	char name[4096];
	struct window_process process = { .name = { name, sizeof(name) } };
	struct label labels[LABELS_MAX];
	size_t count = 0;
	autoclean(buf) struct buf texts = BUF(4096);

	memset(name, '\x01', sizeof(name));
	process.cgroup = process.script = process.name;
	assert_int_equal(labels_of(&process, "h", labels, &count, &texts), 0);
	for (size_t i = 0; i < count; i++)
		assert_true(labels[i].value.size <= 256);
}

static void tells_of_a_full_buffer(void **state)
{
	(void)state;
	struct window_process process = { .name = STR("x") };
	struct label labels[LABELS_MAX];
	size_t count = 77;
	struct buf texts = BUF(100);

	assert_int_equal(labels_of(&process, "h", labels, &count, &texts), -EFBIG);
	assert_int_equal(count, 77);
	buf_done(&texts);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_services_by_their_cgroups),
		cmocka_unit_test(names_a_script_where_an_interpreter_runs_one),
		cmocka_unit_test(calls_kernel_threads_the_kernel),
		cmocka_unit_test(always_has_a_service_and_a_process),
		cmocka_unit_test(makes_text_of_any_bytes),
		cmocka_unit_test(cuts_what_is_too_long),
		cmocka_unit_test(tells_of_a_full_buffer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
