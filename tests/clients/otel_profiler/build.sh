#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# build.sh FOLDER: builds OpenTelemetry's eBPF profiler of its module into FOLDER/ebpf-profiler. Of a
# copy, in which the call that raises RLIMIT_MEMLOCK does nothing: it takes CAP_SYS_RESOURCE, which
# a container lacks, and kernels since 5.11 do not count the memory of maps there. -mod=mod, since
# `go mod tidy` would ask for modules of its own tests that no proxy has.
set -eu
module=go.opentelemetry.io/ebpf-profiler version=v0.0.202633
folder=$1
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
export GOTOOLCHAIN=local GOFLAGS=-mod=mod
cd "$folder"
source=$(go mod download -json $module@$version | sed -n 's/^[[:space:]]*"Dir": "\(.*\)",$/\1/p')
rm -rf source
cp -r "$source" source
chmod -R u+w source
cat > source/rlimit/rlimit.go <<END
package rlimit // import "$module/rlimit"

func MaximizeMemlock() (func(), error) { return func() {}, nil }
END
cd source
nice go build -o ../ebpf-profiler .
cd ..
rm -rf source
