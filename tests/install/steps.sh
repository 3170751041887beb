# shellcheck shell=sh disable=SC2034 # what those use that read it
# SPDX-License-Identifier: Apache-2.0
# What the scripts have in common that run in a booted system (inside*.sh). Speaks TAP into /root/result.tap.
set -u
exec >/root/result.tap 2>&1
page=http://127.0.0.1:4040
# shellcheck source=tests/install/tap.sh
. /root/tap.sh

# within SECONDS COMMAND…: tried until it succeeds.
within() {
	tries=$(($1 * 20))
	shift
	while ! "$@" >/root/said 2>&1; do
		tries=$((tries - 1))
		[ "$tries" -gt 0 ] || { cat /root/said; return 1; }
		sleep 0.05
	done
}

ask() { curl -fsS --max-time 5 "$page$1"; }
main_pid() { systemctl show -P MainPID "$1"; }
is_active() { [ "$(systemctl is-active hearth hearth-collector | sort -u)" = active ]; }
# Of the burner, by the name of its function: that samples, mappings, symbols and store all work.
is_named() { ask '/api/v1/flame?from=now-1h' | grep -q '"spend_seventy"'; }
status_of() { sed -n "s/^$2:[[:space:]]*//p" "/proc/$(main_pid "$1")/status"; }
# The answer of the server to a question is such that jq says true.
says() { ask "$1" | jq -e "$2"; }
is_burning='any(.rows[]; .process_name == "burn" and .cores > 0)'

# What the units said, when something went wrong: of the system nothing is left behind it.
tell_why() { [ "$failures" = 0 ] || journalctl -q --no-pager -o cat -n 100 -u hearth -u hearth-collector | sed 's/^/# /'; }
