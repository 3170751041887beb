/* SPDX-License-Identifier: Apache-2.0 */
#include "commands/grafana_tool.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "base/log.h"
#include "base/parse.h"
#include "base/settings.h"
#include "commands/command.h"

enum { OPTION_COUNT_MAX = 128 };

struct tool {
	const char *url, *name, *token_variable;
	struct settings settings;
};

static void print_help(void)
{
	command_help(
		"grafana-datasource [--url URL] [--name NAME] [--token-variable NAME] [OPTIONS]",
		GRAFANA_TOOL_HELP
		"\n\n"
		"  --url URL                where Grafana finds this server (as --http says)\n"
		"  --name NAME              what the data source is called (Hearth)\n"
		"  --token-variable NAME    the variable of Grafana's environment that has the "
		"token\n"
		"                           of 'hearth token new grafana'; a loopback needs "
		"none\n\n"
		"  hearth grafana-datasource > /etc/grafana/provisioning/datasources/hearth.yaml",
		SETTING_OF_SERVE);
}

static int read_arguments(struct tool *tool, int argument_count, const char *const *arguments)
{
	const char *rest[OPTION_COUNT_MAX];
	int rest_count = 0;

	for (int i = 0; i < argument_count; i++) {
		const char *value = command_option_value("--url", arguments, argument_count, &i);

		if (value) {
			tool->url = value;
		} else if ((value = command_option_value("--name", arguments, argument_count,
							 &i))) {
			tool->name = value;
		} else if ((value = command_option_value("--token-variable", arguments,
							 argument_count, &i))) {
			tool->token_variable = value;
		} else if (rest_count < OPTION_COUNT_MAX) {
			rest[rest_count++] = arguments[i];
		} else {
			log_error("too many arguments");
			return EX_USAGE;
		}
	}
	return command_settings(SETTING_OF_SERVE, rest_count, rest, &tool->settings);
}

/* Within single quotes, as YAML has them. */
static void print_quoted(const char *text)
{
	putchar('\'');
	for (; *text; text++) {
		if (*text == '\'')
			putchar('\'');
		if ((unsigned char)*text >= ' ')
			putchar(*text);
	}
	putchar('\'');
}

/* The first address that has a port, as one on this host reaches it. */
static void find_url(const struct settings *settings, char *url, size_t size)
{
	struct str rest = str_from(settings->http);
	const char *scheme = settings->tls_certificate[0] ? "https" : "http";
	struct str address;

	snprintf(url, size, "%s://127.0.0.1:4040", scheme);
	while (parse_next(&rest, ',', &address)) {
		while (address.size > 0 && address.text[0] == ' ')
			address = (struct str){ address.text + 1, address.size - 1 };
		if (address.size == 0 || memchr(address.text, '/', address.size))
			continue;

		size_t port = address.size;

		while (port > 0 && address.text[port - 1] != ':')
			port--;

		struct str host = { address.text, port ? port - 1 : 0 };
		bool is_any = host.size == 0 || str_equal(host, STR("0.0.0.0")) ||
			      str_equal(host, STR("[::]")) || str_equal(host, STR("*"));

		if (is_any)
			host = STR("127.0.0.1");
		snprintf(url, size, "%s://%.*s:%.*s", scheme, STR_PRINT(host),
			 (int)(address.size - port), address.text + port);
		return;
	}
}

static void print_datasource(const struct tool *tool, const char *url)
{
	printf("# Grafana's Pyroscope data source, asking hearth.\n"
	       "apiVersion: 1\n"
	       "datasources:\n"
	       "  - name: ");
	print_quoted(tool->name ? tool->name : "Hearth");
	printf("\n"
	       "    uid: hearth\n"
	       "    type: grafana-pyroscope-datasource\n"
	       "    access: proxy\n"
	       "    url: ");
	print_quoted(url);
	printf("\n"
	       "    jsonData:\n"
	       "      minStep: 15s\n");
	if (!tool->token_variable)
		return;
	printf("    basicAuth: true\n"
	       "    basicAuthUser: grafana\n"
	       "    secureJsonData:\n"
	       "      basicAuthPassword: $%s\n",
	       tool->token_variable);
}

static bool is_variable(const char *name)
{
	return name[0] && !(name[0] >= '0' && name[0] <= '9') &&
	       strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_") ==
		       strlen(name);
}

int grafana_tool_main(int argument_count, const char *const *arguments)
{
	struct tool tool = { 0 };
	char url[2 * SETTING_TEXT_SIZE];
	int code;

	if (command_asks_for_help(argument_count, arguments)) {
		print_help();
		return 0;
	}
	code = read_arguments(&tool, argument_count, arguments);
	if (code)
		return code;
	if (tool.token_variable && !is_variable(tool.token_variable)) {
		log_error("--token-variable '%s' is no name of a variable", tool.token_variable);
		return EX_USAGE;
	}
	find_url(&tool.settings, url, sizeof(url));
	print_datasource(&tool, tool.url ? tool.url : url);
	return 0;
}
