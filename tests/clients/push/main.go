// SPDX-License-Identifier: Apache-2.0

// A program that profiles itself as Go's programs do with Pyroscope's SDK, and pushes differences of its heap by
// godeltaprof through the client that is generated from Pyroscope's definitions. The address of the server is the argument.
package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"time"

	"connectrpc.com/connect"
	"github.com/grafana/pyroscope-go"
	"github.com/grafana/pyroscope-go/godeltaprof"
	pushv1 "github.com/grafana/pyroscope/api/gen/proto/go/push/v1"
	"github.com/grafana/pyroscope/api/gen/proto/go/push/v1/pushv1connect"
	typesv1 "github.com/grafana/pyroscope/api/gen/proto/go/types/v1"
)

var kept [][]byte
var sum uint64

//go:noinline
func burnInGo(until time.Time) {
	for time.Now().Before(until) {
		for i := uint64(0); i < 1_000_000; i++ {
			sum += i * i
		}
	}
}

//go:noinline
func allocateInGo() {
	for i := 0; i < 64; i++ {
		kept = append(kept, make([]byte, 1<<20))
	}
}

func fail(what string, err error) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", what, err)
		os.Exit(1)
	}
}

// The SDK's own way: /ingest, as a form.
func profile(address string) {
	profiler, err := pyroscope.Start(pyroscope.Config{
		ApplicationName: "go-sdk",
		ServerAddress:   address,
		UploadRate:      5 * time.Second,
		Tags:            map[string]string{"region": "eu"},
		ProfileTypes: []pyroscope.ProfileType{pyroscope.ProfileCPU, pyroscope.ProfileInuseSpace,
			pyroscope.ProfileAllocSpace, pyroscope.ProfileGoroutines},
	})
	fail("start", err)
	allocateInGo()
	burnInGo(time.Now().Add(7 * time.Second))
	profiler.Flush(true)
	fail("stop", profiler.Stop())
}

func pushHeap(address, protocol string, options ...connect.ClientOption) {
	var written bytes.Buffer
	heap := godeltaprof.NewHeapProfiler()
	fail("profile", heap.Profile(&written))
	client := pushv1connect.NewPusherServiceClient(http.DefaultClient, address, options...)
	_, err := client.Push(context.Background(), connect.NewRequest(&pushv1.PushRequest{
		Series: []*pushv1.RawProfileSeries{{
			Labels: []*typesv1.LabelPair{
				{Name: "__name__", Value: "godeltaprof_memory"},
				{Name: "service_name", Value: "go-delta-" + protocol},
			},
			Samples: []*pushv1.RawSample{{RawProfile: written.Bytes()}},
		}},
	}))
	fail("push by "+protocol, err)
}

func main() {
	address := os.Args[1]
	profile(address)
	pushHeap(address, "proto")
	pushHeap(address, "json", connect.WithProtoJSON())
	pushHeap(address, "gzip", connect.WithSendGzip())
	pushHeap(address, "grpc-web", connect.WithGRPCWeb())
}
