#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs in a booted Debian of its own (tests/install/boot.sh): installs the package before, looks at what runs,
# upgrades, removes and purges.
# shellcheck source=tests/install/steps.sh
. /root/steps.sh
export DEBIAN_FRONTEND=noninteractive

install() { apt-get -o Dpkg::Use-Pty=0 install -y --no-install-recommends --allow-downgrades "$1"; }

/root/burn 600 &

check "the package before installs" install /root/before.deb
after_apt=$(date +%s%3N)
check "a flame graph with the burner's functions is there" within 30 is_named
named=$(date +%s%3N)
check "both units are active" is_active
check "no unit has failed" equals "$(systemctl --failed --no-legend | grep hearth)" ""
check "both are enabled" equals "$(systemctl is-enabled hearth hearth-collector | sort -u)" enabled
check "the page answers" sh -c "curl -fsS $page/ | grep -qi '<title>'"
check "it is ready" equals "$(ask /ready)" ready
check "the collector has its own user" equals "$(stat -c %U "/proc/$(main_pid hearth-collector)")" hearth-collector
check "the server has its own user" equals "$(stat -c %U "/proc/$(main_pid hearth)")" hearth
# BPF 39, SYS_PTRACE 19, DAC_READ_SEARCH 2, SYSLOG 34, CHECKPOINT_RESTORE 40: neither SYS_ADMIN nor PERFMON.
check "the collector has given up what it no longer needs" equals "$(status_of hearth-collector CapPrm)" 0000018400080004
check "the server has no rights" equals "$(status_of hearth CapPrm)" 0000000000000000
check "neither gains any" equals "$(status_of hearth NoNewPrivs)$(status_of hearth-collector NoNewPrivs)" 11
check "both are watched" equals "$(systemctl show -P WatchdogUSec hearth hearth-collector | tr '\n' ' ')" "1min  30s "
check "nobody else enters the data" equals "$(stat -c '%a %U' /var/lib/hearth)" "700 hearth"
check "the kernel's functions have names" within 10 says "/api/v1/modules?from=now-1h" 'any(.rows[]; .kind == "kernel" and .named > 0)'
check "doctor finds nothing that keeps it from work" sh -c 'hearth doctor --json; [ $? -le 1 ]'
check "both manual pages are there" sh -c 'test -s /usr/share/man/man1/hearth.1.gz && test -s /usr/share/man/man5/hearth.conf.5.gz'
check "reload is taken" sh -c 'echo "frequency = 49" >/etc/hearth/conf.d/test.conf && systemctl reload hearth-collector hearth'
check "and another frequency holds" within 10 says /api/v1/status '.collector.frequency_hz == 49'
rm /etc/hearth/conf.d/test.conf

# What the units say of memory and network holds. An address of our own that is not 127.0.0.1 stands for another host.
# Where the host keeps memory in the old hierarchy, only what systemd would ask for can be seen.
limit() { cat "/sys/fs/cgroup/system.slice/$1.service/memory.max" 2>/dev/null || systemctl show -P MemoryMax "$1"; }
check "the server gets 1 GiB of memory" equals "$(limit hearth)" 1073741824
check "the collector gets 512 MiB" equals "$(limit hearth-collector)" 536870912
elsewhere=http://10.99.0.1:4040
ip address add 10.99.0.1/32 dev lo
token=$(hearth token new visitor)
echo "http = 0.0.0.0:4040" >/etc/hearth/conf.d/test.conf
visit() { curl -sS -o /dev/null -w '%{http_code}' --max-time 3 "$@" 2>/dev/null; }
check "the server restarts, listening to all" systemctl restart hearth
check "and answers this host" within 15 ask /ready
check "what comes from elsewhere does not get through" equals "$(visit $elsewhere/ready)" 000
mkdir -p /etc/systemd/system/hearth.service.d
cp /usr/share/doc/hearth/examples/network.conf.example /etc/systemd/system/hearth.service.d/network.conf
check "with the drop-in that is shipped" sh -c "systemctl daemon-reload && systemctl restart hearth"
check "it does" within 15 sh -c "curl -fsS --max-time 3 $elsewhere/ready"
check "but is not answered without a token" equals "$(visit $elsewhere/api/v1/status)" 401
check "and is with it" equals "$(visit -H "Authorization: Bearer $token" $elsewhere/api/v1/status)" 200
rm -r /etc/hearth/conf.d/test.conf /etc/systemd/system/hearth.service.d
hearth token revoke visitor
check "it is closed again" sh -c "systemctl daemon-reload && systemctl restart hearth"
check "and samples" within 15 says /api/v1/status '.collector.state == "sampling"'

killed=$(main_pid hearth)
check "a server that is killed" kill -9 "$killed"
check "is back, and so is its collector" within 15 says /api/v1/status '.collector.state == "sampling"'
killed=$(main_pid hearth-collector)
check "a collector that is killed" kill -9 "$killed"
check "is back" within 15 sh -c "[ \"\$(systemctl show -P MainPID hearth-collector)\" != $killed ] && systemctl is-active hearth-collector"
check "both are still active" within 5 is_active
killed=$(main_pid hearth-collector)
check "a collector that hangs" kill -STOP "$killed"
check "is replaced when the watchdog's time is over" within 60 sh -c "[ \"\$(systemctl show -P MainPID hearth-collector)\" != $killed ] && systemctl is-active hearth-collector"

# Elsewhere there is time between all this, and systemd counts the starts of five minutes.
systemctl reset-failed hearth hearth-collector
upgraded=$(date +%s%3N)
kept=$(stat -c %i /etc/hearth/hearth.conf)
check "the package of now installs over it" install /root/now.deb
check "both units are active again" within 15 is_active
check "with its version" says /api/v1/status ".version == \"$(dpkg-deb -f /root/now.deb Version)\""
check "and what was sampled before is still there" within 10 says "/api/v1/processes?from=now-1h&to=$upgraded" "$is_burning"
check "the settings were left alone" equals "$(stat -c %i /etc/hearth/hearth.conf)" "$kept"
check "samples go on" within 15 says "/api/v1/processes?from=$(date +%s%3N)" "$is_burning"

systemctl reset-failed hearth hearth-collector
downgraded=$(date +%s%3N)
check "the package before goes over it" install /root/before.deb
check "it samples" within 15 says /api/v1/status '.collector.state == "sampling"'
check "it runs with what is stored" within 15 says "/api/v1/processes?from=now-1h&to=$upgraded" "$is_burning"
check "of which nothing is damaged" says /api/v1/status '.store.damaged == 0'
check "samples go on after that, too" within 15 says "/api/v1/processes?from=$downgraded" "$is_burning"
check "and no unit has failed by it" equals "$(systemctl --failed --no-legend | grep hearth)" ""

check "removing" apt-get -o Dpkg::Use-Pty=0 remove -y hearth
check "stops both" equals "$(pgrep -x hearth)" ""
check "and keeps the profiles" test -d /var/lib/hearth/data
check "purging" apt-get -o Dpkg::Use-Pty=0 purge -y hearth
left() { find / -xdev \( -path /root -o -path /proc -o -path /sys -o -path /var/log -o -path /var/cache \) -prune -o -name '*hearth*' -print; }
check "leaves no file" equals "$(left)" ""
check "and no user" equals "$(getent passwd hearth hearth-collector; getent group hearth hearth-collector)" ""
check "and no unit" equals "$(systemctl list-units --all --no-legend 'hearth*')" ""

echo "# $((named - after_apt)) ms from the end of apt to the first flame graph with names"
tell_why
echo "1..$number"
