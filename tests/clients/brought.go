// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"debug/elf"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"connectrpc.com/connect"
	"github.com/google/pprof/profile"
	debuginfov1 "github.com/grafana/pyroscope/api/gen/proto/go/debuginfo/v1alpha1"
	"github.com/grafana/pyroscope/api/gen/proto/go/debuginfo/v1alpha1/debuginfov1alpha1connect"
	pushv1 "github.com/grafana/pyroscope/api/gen/proto/go/push/v1"
	"github.com/grafana/pyroscope/api/gen/proto/go/push/v1/pushv1connect"
	querierv1 "github.com/grafana/pyroscope/api/gen/proto/go/querier/v1"
	typesv1 "github.com/grafana/pyroscope/api/gen/proto/go/types/v1"
)

const (
	memory = "memory:inuse_space:bytes:space:bytes"
	// A day behind what the other questions are about.
	pushed = start + 24*3600*1000
)

// main calls grow, which has so many bytes.
func heap(bytesHeld int64) ([]byte, error) {
	functions := []*profile.Function{{ID: 1, Name: "main", SystemName: "main", Filename: "main.go"},
		{ID: 2, Name: "grow", SystemName: "grow", Filename: "grow.go"}}
	locations := []*profile.Location{{ID: 1, Line: []profile.Line{{Function: functions[1], Line: 7}}},
		{ID: 2, Line: []profile.Line{{Function: functions[0], Line: 3}}}}
	held := &profile.Profile{
		SampleType: []*profile.ValueType{{Type: "inuse_space", Unit: "bytes"}},
		PeriodType: &profile.ValueType{Type: "space", Unit: "bytes"}, Period: 524288,
		TimeNanos: pushed * 1e6, DurationNanos: 1e9, Function: functions, Location: locations,
		Sample: []*profile.Sample{{Location: locations, Value: []int64{bytesHeld}}},
	}
	var packed bytes.Buffer
	err := held.Write(&packed)
	return packed.Bytes(), err
}

func held(ctx context.Context, c *client, service string) (levels [][]int64, names []string, err error) {
	answer, err := c.SelectMergeStacktraces(ctx, connect.NewRequest(&querierv1.SelectMergeStacktracesRequest{
		ProfileTypeID: memory, LabelSelector: `{service_name="` + service + `",region="eu"}`, Start: pushed - 1000, End: pushed + 1000}))
	if err != nil {
		return nil, nil, err
	}
	return values(answer.Msg.Flamegraph.Levels), answer.Msg.Flamegraph.Names, nil
}

// What is pushed is there when it is answered; what is no good is told, and the rest is stored, once if it comes again.
func push(ctx context.Context, c *client) error {
	p := pushv1connect.NewPusherServiceClient(c.under, c.address, c.options...)
	service := fmt.Sprintf("pushed-%d", time.Now().UnixNano())
	series := func(profiles ...[]byte) *pushv1.RawProfileSeries {
		one := &pushv1.RawProfileSeries{Labels: []*typesv1.LabelPair{{Name: "__name__", Value: "memory"},
			{Name: "service_name", Value: service}, {Name: "region", Value: "eu"}}}
		for i, bytes := range profiles {
			one.Samples = append(one.Samples, &pushv1.RawSample{RawProfile: bytes, ID: fmt.Sprint(i)})
		}
		return one
	}
	first, err := heap(1000)
	if err != nil {
		return err
	}
	second, err := heap(200)
	if err != nil {
		return err
	}
	if _, err = p.Push(ctx, connect.NewRequest(&pushv1.PushRequest{Series: []*pushv1.RawProfileSeries{
		series(first), series(second)}})); err != nil {
		return err
	}
	levels, names, err := held(ctx, c, service)
	if err = errors.Join(err, differs("names", names, []string{"total", "main", "grow"}),
		differs("levels", levels, [][]int64{{0, 1200, 0, 0}, {0, 1200, 0, 1}, {0, 1200, 1200, 2}})); err != nil {
		return err
	}
	for again := 0; again < 2; again++ {
		_, err = p.Push(ctx, connect.NewRequest(&pushv1.PushRequest{Series: []*pushv1.RawProfileSeries{
			series(first, []byte("no profile"))}}))
		var refused *connect.Error
		if !errors.As(err, &refused) || refused.Code() != connect.CodeInvalidArgument ||
			!strings.Contains(refused.Message(), "profile 2: ") || !strings.HasSuffix(refused.Message(), "; the rest is stored") {
			return fmt.Errorf("one that is none: %v", err)
		}
	}
	if levels, _, err = held(ctx, c, service); err != nil {
		return err
	}
	_, none := p.Push(ctx, connect.NewRequest(&pushv1.PushRequest{}))
	return errors.Join(differs("levels, then", levels, [][]int64{{0, 2200, 0, 0}, {0, 2200, 0, 1}, {0, 2200, 2200, 2}}),
		differs("nothing", connect.CodeOf(none), connect.CodeInvalidArgument))
}

// The build id that Go's linker gave this program.
func ownBuildID() (path, id string, err error) {
	if path, err = os.Executable(); err != nil {
		return "", "", err
	}
	file, err := elf.Open(path)
	if err != nil {
		return "", "", err
	}
	defer file.Close()
	section := file.Section(".note.gnu.build-id")
	if section == nil {
		return "", "", errors.New("this program has no build id")
	}
	note, err := section.Data()
	if err != nil || len(note) < 16+20 {
		return "", "", fmt.Errorf("the build id: %v", err)
	}
	return path, hex.EncodeToString(note[16:36]), nil
}

// What Alloy's eBPF profiler does with each executable: asks, brings it by HTTP, says so.
func debuginfo(ctx context.Context, c *client) error {
	d := debuginfov1alpha1connect.NewDebuginfoServiceClient(c.under, c.address, c.options...)
	path, id, err := ownBuildID()
	if err != nil {
		return err
	}
	wanted := connect.NewRequest(&debuginfov1.ShouldInitiateUploadRequest{File: &debuginfov1.FileMetadata{
		GnuBuildId: id, Name: "clients", Type: debuginfov1.FileMetadata_TYPE_EXECUTABLE_FULL}})
	should, err := d.ShouldInitiateUpload(ctx, wanted)
	if err != nil {
		return err
	}
	twice, err := d.ShouldInitiateUpload(ctx, wanted)
	if err != nil {
		return err
	}
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	response, err := c.under.Post(c.address+"/debuginfo.v1alpha1.DebuginfoService/Upload/"+id, "application/octet-stream", file)
	if err != nil {
		return err
	}
	said, _ := io.ReadAll(response.Body)
	response.Body.Close()
	if _, err = d.UploadFinished(ctx, connect.NewRequest(&debuginfov1.UploadFinishedRequest{GnuBuildId: id})); err != nil {
		return err
	}
	list, err := d.ListDebuginfo(ctx, connect.NewRequest(&debuginfov1.ListDebuginfoRequest{}))
	if err != nil || len(list.Msg.Object) != 1 {
		return fmt.Errorf("%v, objects %v", err, list)
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	object := list.Msg.Object[0]
	there, err := d.ShouldInitiateUpload(ctx, wanted)
	if err != nil {
		return err
	}
	_, err = d.DeleteDebuginfo(ctx, connect.NewRequest(&debuginfov1.DeleteDebuginfoRequest{GnuBuildId: id}))
	_, gone := d.DeleteDebuginfo(ctx, connect.NewRequest(&debuginfov1.DeleteDebuginfoRequest{GnuBuildId: id}))
	return errors.Join(err, differs("upload", []any{response.StatusCode, string(said)}, []any{200, string(said)}),
		differs("should", []bool{should.Msg.ShouldInitiateUpload, twice.Msg.ShouldInitiateUpload, there.Msg.ShouldInitiateUpload},
			[]bool{true, false, false}),
		differs("object", []any{object.File.GnuBuildId, object.State, object.SizeBytes},
			[]any{id, debuginfov1.ObjectMetadata_STATE_UPLOADED, info.Size()}),
		differs("one that is gone", connect.CodeOf(gone), connect.CodeNotFound))
}

// Stacks of the encoded tree with what is their own, root first: name, self, how many children, these.
func treeStacks(packed []byte) (map[string]int64, error) {
	found := map[string]int64{}
	read := func() uint64 {
		value, size := binary.Uvarint(packed)
		if size <= 0 {
			packed = nil
			return 0
		}
		packed = packed[size:]
		return value
	}
	var node func(path string, depth int) error
	node = func(path string, depth int) error {
		size := read()
		if uint64(len(packed)) < size || depth > 100 {
			return errors.New("the tree is cut short")
		}
		if size > 0 {
			path += "/" + string(packed[:size])
		}
		packed = packed[size:]
		if self := read(); self > 0 {
			found[path] += int64(self)
		}
		for children := read(); children > 0; children-- {
			if err := node(path, depth+1); err != nil {
				return err
			}
		}
		return nil
	}
	if err := node("", 0); err != nil {
		return nil, err
	}
	return found, differs("bytes behind the tree", len(packed), 0)
}

func asTree(ctx context.Context, c *client) error {
	answer, err := c.SelectMergeStacktraces(ctx, connect.NewRequest(&querierv1.SelectMergeStacktracesRequest{
		ProfileTypeID: cpu, LabelSelector: "{}", Start: start, End: end,
		Format: querierv1.ProfileFormat_PROFILE_FORMAT_TREE}))
	if err != nil {
		return err
	}
	found, err := treeStacks(answer.Msg.Tree)
	return errors.Join(err, differs("tree", found,
		map[string]int64{"/init": weight, "/main/a": 3 * weight, "/main/b": 2 * weight, "/main/b/c": 5 * weight}))
}
