/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/script.h"

/* A command line as /proc has it: words ended by NULs. */
#define COMMAND(words) ((struct str){ words, sizeof(words) })

static void expect(const char *name, struct str command_line, const char *expected)
{
	struct str script = script_of(str_from(name), command_line);

	if (!str_equal(script, str_from(expected)))
		fail_msg("%s: \"%.*s\" instead of \"%s\"", name, STR_PRINT(script), expected);
}

static void finds_scripts(void **state)
{
	(void)state;
	expect("python3.11", COMMAND("python3\0/srv/app/worker.py\0--token=x"), "worker.py");
	expect("python3", COMMAND("python3\0-u\0-W\0error\0app.py"), "app.py");
	expect("perl", COMMAND("perl\0-w\0/usr/bin/ack\0secret"), "ack");
	expect("bash", COMMAND("bash\0-x\0/etc/cron.daily/apt"), "apt");
	expect("bash", COMMAND("bash\0-euo\0pipefail\0deploy.sh"), "deploy.sh");
	expect("node", COMMAND("node\0--max-old-space-size=64\0server.js"), "server.js");
	expect("ruby3.1", COMMAND("ruby\0-I\0lib\0bin/rails\0server"), "rails");
	expect("sh", COMMAND("sh\0--\0run.sh"), "run.sh");
}

static void finds_modules_archives_and_classes(void **state)
{
	(void)state;
	expect("python3", COMMAND("python3\0-m\0http.server\0008000"), "http.server");
	expect("java", COMMAND("java\0-Xmx1g\0-jar\0/opt/kafka.jar\0x"), "kafka.jar");
	expect("java", COMMAND("java\0-cp\0/opt/lib\0org.example.Main"), "org.example.Main");
	expect("java", COMMAND("java\0-Dx=p\0org.example.Main\0secret"), "org.example.Main");
}

static void tells_nothing_of_other_programs(void **state)
{
	(void)state;
	expect("psql", COMMAND("psql\0postgres://user:secret@host/db"), "");
	expect("pythonista", COMMAND("pythonista\0secret"), "");
	expect("", COMMAND("\0secret"), "");
	expect("python3", (struct str){ 0 }, "");
}

static void keeps_code_given_on_the_command_line_to_itself(void **state)
{
	(void)state;
	expect("python3", COMMAND("python3\0-c\0secret()"), "");
	expect("python3", COMMAND("python3\0-Ic\0secret()"), "");
	expect("perl", COMMAND("perl\0-ne\0s/secret//"), "");
	expect("perl", COMMAND("perl\0-lanE\0say secret"), "");
	expect("ruby", COMMAND("ruby\0-ne\0secret"), "");
	expect("node", COMMAND("node\0-pe\0secret"), "");
	expect("bash", COMMAND("bash\0-lc\0curl -H secret"), "");
	expect("bash", COMMAND("bash\0-euxc\0secret"), "");
	expect("bash", COMMAND("bash\0-euxvnc\0secret"), "");
}

/* "curl … | sh -s -- --token secret" is how many installers are run. */
static void keeps_arguments_of_a_script_from_standard_input_to_itself(void **state)
{
	(void)state;
	expect("sh", COMMAND("sh\0-s\0--\0secret"), "");
	expect("bash", COMMAND("bash\0-es\0secret"), "");
	expect("bash", COMMAND("bash\0-\0secret"), "");
	expect("python3", COMMAND("python3\0-\0secret"), "");
	expect("perl", COMMAND("perl\0-\0secret"), "");
}

static void knows_interpreters_by_their_names(void **state)
{
	(void)state;
	assert_true(script_is_interpreter(STR("python3.11")));
	assert_true(script_is_interpreter(STR("sh")));
	assert_false(script_is_interpreter(STR("nginx")));
	assert_false(script_is_interpreter(STR("shop")));
	assert_false(script_is_interpreter(STR("")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_scripts),
		cmocka_unit_test(finds_modules_archives_and_classes),
		cmocka_unit_test(tells_nothing_of_other_programs),
		cmocka_unit_test(keeps_code_given_on_the_command_line_to_itself),
		cmocka_unit_test(knows_interpreters_by_their_names),
		cmocka_unit_test(keeps_arguments_of_a_script_from_standard_input_to_itself),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
