#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs in a virtual machine (tests/install/kernel.sh), where the package is installed and systemd has started it: does it sample on
# this kernel? An emulated CPU is some twenty times slower, so times are generous.
# shellcheck source=tests/install/steps.sh
. /root/steps.sh

echo "# $(uname -r), Debian $(cat /etc/debian_version)"
/root/burn 600 &
check "both units become active" within 120 is_active
check "a flame graph with the burner's functions is there" within 120 is_named
check "the collector samples" within 30 says /api/v1/status '.collector.state == "sampling"'
asked=$(date +%s%3N)
sleep 5
check "five seconds more are named" within 60 sh -c "curl -fsS '$page/api/v1/flame?from=$asked' | grep -q spend_seventy"
check "and most of them are the burner's" within 30 says "/api/v1/processes?from=$asked" "$is_burning"
check "the kernel's functions have names" within 60 says "/api/v1/modules?from=now-1h" 'any(.rows[]; .kind == "kernel" and .named > 0)'
check "the collector has given up what it no longer needs" equals "$(status_of hearth-collector CapPrm)" 0000018400080004
check "the server has no rights" equals "$(status_of hearth CapPrm)" 0000000000000000
check "doctor finds nothing that keeps it from work" sh -c 'hearth doctor --json; [ $? -le 1 ]'
check "no unit has failed" equals "$(systemctl --failed --no-legend | grep hearth)" ""
ask /api/v1/status | jq -c '{samples: .collector.samples, lost: .collector.lost}' | sed 's/^/# /'
echo "1..$number"
