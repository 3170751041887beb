#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# packaging/Containerfile, by podman: image.sh PACKAGE.deb, after boot.sh has made the root of bookworm, which stands for
# the image that it begins with, since no registry is asked. The line that it documents samples the host. TAP.
set -u
cd "$(dirname "$0")/../.." || exit 1
package=$1
roots=$(realpath -m "${HEARTH_ROOTS:-build/roots}")
base=docker.io/library/debian:bookworm-slim name=hearth-test-$$
port=$((20000 + $$ % 20000))
. tests/install/checks.sh

pod() { podman --runtime runc --cgroup-manager=cgroupfs --root "$folder/images" --runroot "$folder/run" "$@"; }
# Limits that a host allows us to set, where its own are below podman's.
start() { pod run --ulimit nofile=16384:16384 --ulimit nproc=4096:4096 "$@"; }
finish() {
	pod rm --force "$name" >/dev/null 2>&1
	pod volume rm "$name" >/dev/null 2>&1
	pod rmi --all --force >/dev/null 2>&1
	umount "$folder/images/overlay" 2>/dev/null
	rm -rf --one-file-system "$folder"
}
trap finish EXIT

[ "$(id -u)" = 0 ] || skip "no rights: containers are started by root"
[ -f "$roots/bookworm.tar" ] || skip "there is no root of bookworm yet"
pod import "$roots/bookworm.tar" "$base" >/dev/null 2>&1
start --rm "$base" true >"$folder/said" 2>&1 || skip "podman can start no container here: $(tail -n 1 "$folder/said")"

mkdir "$folder/context"
cp "$package" "$folder/context/"
check "the Containerfile builds" pod build --format docker --isolation=chroot --pull=never --network=host -t hearth -f packaging/Containerfile "$folder/context"

# The rights as they are documented, up to the name of the image.
options=$(sed -n '/^#   podman run -d/,/ hearth$/{s/^# *//;s/\\$//;p}' packaging/Containerfile | tr '\n' ' ' |
	sed "s/podman run -d --name hearth//; s/-v hearth:/-v $name:/; s/ hearth *\$//")
# shellcheck disable=SC2086 # a list of words
check "its line starts it" start -d --name "$name" $options -e HEARTH_HTTP="127.0.0.1:$port" -e HEARTH_OTLP_GRPC=off -e HEARTH_OTLP_HTTP=off hearth
samples() {
	for _ in $(seq 100); do
		curl -fsS "http://127.0.0.1:$port/readyz" && return
		sleep 0.1
	done
	pod logs "$name"
	return 1
}
check "it samples, and can store what it sampled" samples
others() {
	for _ in $(seq 150); do
		curl -fsS "http://127.0.0.1:$port/api/v1/processes?from=now-1h" >"$folder/said"
		jq -e 'any(.rows[]; .process_name != "hearth")' "$folder/said" && return
		sleep 0.1
	done
	cat "$folder/said"
	return 1
}
check "the host's processes" others
check "it stops when it is told to" pod stop --time 15 "$name"
check "by itself" equals "$(pod inspect --format '{{.State.ExitCode}}' "$name")" 0
echo "1..$number"
