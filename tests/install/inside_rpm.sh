#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs in a booted system of its own (tests/install/boot.sh), a Debian with rpm, since there is no other to be had
# here: the scripts of the package before, what runs, upgrade, removal. That the libraries of EL 9 are enough is
# asked by package_rpm.sh.
# shellcheck source=tests/install/steps.sh
. /root/steps.sh

# What Debian has installed is not known to rpm.
rpm_() { rpm --nodeps "$@"; }

/root/burn 600 &

check "the package before installs" rpm_ -ivh /root/before.rpm
check "it starts nothing" equals "$(systemctl is-active hearth hearth-collector | sort -u)" inactive
check "and has made its users" equals "$(getent passwd hearth hearth-collector | cut -d : -f 1 | sort | tr '\n' ' ')" "hearth hearth-collector "
started=$(date +%s%3N)
check "the one command starts both" systemctl enable --now hearth hearth-collector
check "a flame graph with the burner's functions is there" within 30 is_named
named=$(date +%s%3N)
check "both units are active" is_active
check "both are enabled" equals "$(systemctl is-enabled hearth hearth-collector | sort -u)" enabled
check "the page answers" sh -c "curl -fsS $page/ | grep -qi '<title>'"
check "the collector has its own user" equals "$(stat -c %U "/proc/$(main_pid hearth-collector)")" hearth-collector
check "and has given up what it no longer needs" equals "$(status_of hearth-collector CapPrm)" 0000018400080004
check "the server has no rights" equals "$(status_of hearth CapPrm)" 0000000000000000
check "it uses the library that it brought" grep -q ' /usr/lib/hearth/libcivetweb.so.1$' "/proc/$(main_pid hearth)/maps"
# shellcheck disable=SC2016 # it is that shell's
# xxhash is within, too, but Debian 13's liblz4 brings it itself.
check "and none that it has within" sh -c '! grep -E "lib(bpf|sqlite3|jansson|protobuf-c|deflate)\.so" "/proc/$1/maps"' sh "$(main_pid hearth)"
check "doctor finds nothing that keeps it from work" sh -c 'hearth doctor --json; [ $? -le 1 ]'

upgraded=$(date +%s%3N)
echo '# mine' >>/etc/hearth/hearth.conf
check "the package of now installs over it" rpm_ -Uvh /root/now.rpm
check "both units are active again" within 15 is_active
check "with its version" within 5 says /api/v1/status ".version == \"$(rpm -qp --qf '%{VERSION}' /root/now.rpm)\""
check "and what was sampled before is still there" within 10 says "/api/v1/processes?from=now-1h&to=$upgraded" "$is_burning"
check "the settings were left alone" grep -q '^# mine$' /etc/hearth/hearth.conf
check "samples go on" within 15 says "/api/v1/processes?from=$(date +%s%3N)" "$is_burning"
check "all files are as they were packed" equals "$(rpm -V --nodeps hearth | grep -v ' /etc/hearth/hearth.conf$')" ""

check "the package before goes over it" rpm_ -Uvh --oldpackage /root/before.rpm
check "and runs with what is stored" within 15 says "/api/v1/processes?from=now-1h&to=$upgraded" "$is_burning"

check "removing" rpm_ -e hearth
check "stops both" equals "$(pgrep -x hearth)" ""
check "and leaves neither enabled" equals "$(find /etc/systemd/system -name 'hearth*.service')" ""
check "and keeps the profiles" test -d /var/lib/hearth/data
check "and the settings that were changed" test -f /etc/hearth/hearth.conf.rpmsave
check "and nothing else" equals "$(find /usr /etc -xdev -name '*hearth*' ! -name hearth.conf.rpmsave ! -path /etc/hearth)" ""

echo "# $((named - started)) ms from the command to the first flame graph with names"
tell_why
echo "1..$number"
