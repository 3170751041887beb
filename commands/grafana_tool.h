/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#define GRAFANA_TOOL_HELP "print the data source that Grafana needs, to be provisioned"

/*
 * hearth grafana-datasource [--url URL] [--name NAME] [--token-variable NAME] [OPTIONS]: YAML for
 * Grafana's folder provisioning/datasources. Returns the exit code of the process: 0; 64 for wrong
 * arguments; 78 for wrong settings.
 */
int grafana_tool_main(int argument_count, const char *const *arguments);
