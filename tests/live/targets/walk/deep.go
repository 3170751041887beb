// SPDX-License-Identifier: Apache-2.0

// deep SECONDS N: recurse() N times, and CPU time at its end, in a frameless leaf. Its stripped
// program has no unwind information but Go's own tables.
package main

import (
	"os"
	"strconv"
	"syscall"
)

var sink uint64

//go:noinline
func leaf(rounds uint64) uint64 {
	x := rounds
	for i := uint64(0); i < rounds; i++ {
		x = x*31 + i
	}
	return x
}

func cpuSeconds() float64 {
	var usage syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return float64(usage.Utime.Nano()) * 1e-9
}

//go:noinline
func burn(seconds float64) {
	for end := cpuSeconds() + seconds; cpuSeconds() < end; {
		for i := 0; i < 100; i++ {
			sink += leaf(3000)
		}
	}
}

//go:noinline
func recurse(depth int, seconds float64) uint64 {
	var bytes [40]byte
	bytes[depth%40] = byte(depth)
	if depth == 1 {
		burn(seconds)
	} else {
		sink += recurse(depth-1, seconds)
	}
	return uint64(bytes[(uint64(depth)+sink)%40])
}

func main() {
	seconds, _ := strconv.ParseFloat(os.Args[1], 64)
	depth, _ := strconv.Atoi(os.Args[2])
	recurse(depth, seconds)
}
