/* SPDX-License-Identifier: Apache-2.0 */
#include "web/cgroup_path.h"

#include "base/parse.h"

enum {
	CONTAINER_ID_SIZE = 64, /* of every OCI engine: SHA-256 or as much randomness, in hex */
	ECS_ID_SIZE = 32,	/* Fargate: 32 hex digits, '-', decimal digits */
	POD_UID_SIZE = 36,	/* a UUID, of a static pod 32 hex digits (an MD5) */
	STATIC_POD_UID_SIZE = 32,
};

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_hex(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'f');
}

static size_t hex_count(struct str text)
{
	size_t count = 0;

	while (count < text.size && is_hex(text.text[count]))
		count++;
	return count;
}

static struct str after(struct str text, size_t size)
{
	return (struct str){ text.text + size, text.size - size };
}

static struct str without_end(struct str text, struct str end)
{
	return str_ends_with(text, end) ? (struct str){ text.text, text.size - end.size } : text;
}

/* The last run of exactly 64 hex digits: docker-ID.scope, ID, kubepods-….slice:cri-containerd:ID.
 */
static struct str find_long_id(struct str component)
{
	struct str found = { 0 };

	for (size_t i = 0; i < component.size;) {
		size_t count = hex_count(after(component, i));

		if (count == CONTAINER_ID_SIZE)
			found = (struct str){ component.text + i, count };
		i += count ? count : 1;
	}
	return found;
}

/* In a folder of ECS also a bare one, the task's; elsewhere 32 hex digits may be anything. */
static bool is_ecs_id(struct str component, struct str parent)
{
	if (hex_count(component) != ECS_ID_SIZE)
		return false;

	struct str rest = after(component, ECS_ID_SIZE);

	if (rest.size == 0)
		return str_equal(parent, STR("ecs"));
	if (rest.size < 2 || rest.text[0] != '-')
		return false;
	for (size_t i = 1; i < rest.size; i++)
		if (!is_digit(rest.text[i]))
			return false;
	return true;
}

/* LXC's containers have names: /lxc/NAME, /lxc.payload/NAME, /lxc.payload.NAME. */
static struct str find_lxc_name(struct str component, struct str parent)
{
	if (str_equal(parent, STR("lxc")) || str_equal(parent, STR("lxc.payload")))
		return component;
	if (str_starts_with(component, STR("lxc.payload.")))
		return after(component, STR("lxc.payload.").size);
	return (struct str){ 0 };
}

/*
 * systemd-nspawn keeps itself in supervisor/ and what it runs in payload/, below
 * systemd-nspawn@NAME.service or machine-NAME.scope (systemd, docs/CONTAINER_INTERFACE.md).
 */
static struct str find_nspawn_name(struct str component, struct str parent)
{
	if (!str_equal(component, STR("payload")))
		return (struct str){ 0 };
	if (str_starts_with(parent, STR("systemd-nspawn@")) &&
	    str_ends_with(parent, STR(".service")))
		return without_end(after(parent, STR("systemd-nspawn@").size), STR(".service"));
	if (str_starts_with(parent, STR("machine-")) && str_ends_with(parent, STR(".scope")))
		return without_end(after(parent, STR("machine-").size), STR(".scope"));
	return (struct str){ 0 };
}

/* conmon looks after a container, from outside: libpod-conmon-ID.scope, crio-conmon-ID.scope. */
static bool is_monitor(struct str component)
{
	return str_starts_with(component, STR("libpod-conmon-")) ||
	       str_starts_with(component, STR("crio-conmon-"));
}

static bool find_container(struct str component, struct str parent, struct cgroup_path *path)
{
	struct str id = { 0 };
	struct str name = { 0 };

	if (!is_monitor(component))
		id = find_long_id(component);

	if (!id.size && is_ecs_id(component, parent))
		id = component;
	if (!id.size)
		name = find_lxc_name(component, parent);
	if (!id.size && !name.size)
		name = find_nspawn_name(component, parent);
	if (!id.size && !name.size)
		return false;
	path->container = id.size ? id : name;
	path->container_has_name = id.size == 0;
	return true;
}

/* pod<UID>, kubepods-burstable-pod<UID>.slice, and the like. */
static struct str find_pod(struct str component)
{
	for (size_t i = 0; i + 3 <= component.size; i++) {
		struct str rest = after(component, i);
		size_t size = 0, digits = 0;

		if (!str_starts_with(rest, STR("pod")) || (i > 0 && component.text[i - 1] != '-'))
			continue;
		rest = after(rest, 3);
		for (; size < rest.size; size++) {
			if (is_hex(rest.text[size]))
				digits++;
			else if (rest.text[size] != '-' && rest.text[size] != '_')
				break;
		}
		if ((size == POD_UID_SIZE && digits == STATIC_POD_UID_SIZE) ||
		    (size == STATIC_POD_UID_SIZE && digits == size))
			return (struct str){ rest.text, size };
	}
	return (struct str){ 0 };
}

/*
 * Services count, a user's too, but not the user's manager. Scopes count outside of logins: those
 * of a session hold whatever a person starts, and so do those that a desktop makes for each start.
 */
static bool is_unit(struct str component, bool is_of_user)
{
	if (str_ends_with(component, STR(".service")))
		return component.size > STR(".service").size &&
		       !str_starts_with(component, STR("user@"));
	return str_ends_with(component, STR(".scope")) && !is_of_user && !is_monitor(component) &&
	       !str_equal(component, STR("init.scope")) &&
	       !str_starts_with(component, STR("session-"));
}

struct cgroup_path cgroup_path_parse(struct str text)
{
	struct cgroup_path path = { 0 };
	struct str parent = { 0 };
	struct str component;
	bool is_of_user = false;

	while (parse_next(&text, '/', &component)) {
		struct str pod = find_pod(component);

		if (component.size == 0)
			continue;
		if (pod.size > 0)
			path.pod = pod;
		if (str_equal(component, STR("user.slice")))
			is_of_user = true;
		if (find_container(component, parent, &path)) {
			/* What is above holds the container; what is below may have an init of its
			 * own. */
			path.unit = (struct str){ 0 };
			is_of_user = false;
		} else if (is_unit(component, is_of_user)) {
			path.unit = component;
		}
		parent = component;
	}
	return path;
}
