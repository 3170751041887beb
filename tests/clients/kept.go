// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"connectrpc.com/connect"
	"github.com/google/pprof/profile"
	adhocv1 "github.com/grafana/pyroscope/api/gen/proto/go/adhocprofiles/v1"
	"github.com/grafana/pyroscope/api/gen/proto/go/adhocprofiles/v1/adhocprofilesv1connect"
	capabilitiesv1 "github.com/grafana/pyroscope/api/gen/proto/go/capabilities/v1"
	"github.com/grafana/pyroscope/api/gen/proto/go/capabilities/v1/capabilitiesv1connect"
	querierv1 "github.com/grafana/pyroscope/api/gen/proto/go/querier/v1"
	settingsv1 "github.com/grafana/pyroscope/api/gen/proto/go/settings/v1"
	"github.com/grafana/pyroscope/api/gen/proto/go/settings/v1/settingsv1connect"
	typesv1 "github.com/grafana/pyroscope/api/gen/proto/go/types/v1"
	vcsv1 "github.com/grafana/pyroscope/api/gen/proto/go/vcs/v1"
	"github.com/grafana/pyroscope/api/gen/proto/go/vcs/v1/vcsv1connect"
	versionv1 "github.com/grafana/pyroscope/api/gen/proto/go/version/v1"
	"github.com/grafana/pyroscope/api/gen/proto/go/version/v1/versionv1connect"
)

func values(levels []*querierv1.Level) (all [][]int64) {
	for _, level := range levels {
		all = append(all, level.Values)
	}
	return all
}

// The largest profile of a point, and then that one alone.
func exemplars(ctx context.Context, c *client) error {
	answer, err := c.SelectSeries(ctx, connect.NewRequest(&querierv1.SelectSeriesRequest{
		ProfileTypeID: cpu, LabelSelector: "{}", Start: start, End: end, Step: 4, GroupBy: []string{"service_name"},
		ExemplarType: typesv1.ExemplarType_EXEMPLAR_TYPE_INDIVIDUAL}))
	if err != nil {
		return err
	}
	if len(answer.Msg.Series) != 2 || len(answer.Msg.Series[0].Points) != 3 ||
		len(answer.Msg.Series[0].Points[1].Exemplars) != 1 {
		return fmt.Errorf("series %v", answer.Msg.Series)
	}
	// Of equal ones the first: at 1 s.
	found := answer.Msg.Series[0].Points[1].Exemplars[0]
	if err := differs("exemplar", []int64{found.Timestamp, found.Value}, []int64{start + 1000, weight}); err != nil {
		return err
	}
	one, err := c.SelectMergeStacktraces(ctx, connect.NewRequest(&querierv1.SelectMergeStacktracesRequest{
		ProfileTypeID: cpu, LabelSelector: "{}", Start: start, End: end, ProfileIdSelector: []string{found.ProfileId}}))
	if err != nil {
		return err
	}
	const w = weight / 10
	return differs("levels", values(one.Msg.Flamegraph.Levels), [][]int64{{0, 10 * w, 0, 0}, {0, 10 * w, 0, 1},
		{0, 3 * w, 3 * w, 2, 0, 7 * w, 2 * w, 3}, {5 * w, 5 * w, 5 * w, 4}})
}

// Nothing here has a span; no span at all means no filter.
func spans(ctx context.Context, c *client) error {
	var totals []int64
	for _, selector := range [][]string{nil, {"0123456789abcdef"}} {
		answer, err := c.SelectMergeSpanProfile(ctx, connect.NewRequest(&querierv1.SelectMergeSpanProfileRequest{
			ProfileTypeID: cpu, LabelSelector: "{}", SpanSelector: selector, Start: start, End: end}))
		if err != nil {
			return err
		}
		totals = append(totals, answer.Msg.Flamegraph.Total)
	}
	return differs("totals", totals, []int64{11 * weight, 0})
}

func heatmap(ctx context.Context, c *client) error {
	answer, err := c.SelectHeatmap(ctx, connect.NewRequest(&querierv1.SelectHeatmapRequest{
		ProfileTypeID: cpu, LabelSelector: "{}", Start: start, End: end, Step: 10,
		QueryType:    querierv1.HeatmapQueryType_HEATMAP_QUERY_TYPE_INDIVIDUAL,
		ExemplarType: typesv1.ExemplarType_EXEMPLAR_TYPE_INDIVIDUAL}))
	if err != nil {
		return err
	}
	if len(answer.Msg.Series) != 1 || len(answer.Msg.Series[0].Slots) != 2 {
		return fmt.Errorf("series %v", answer.Msg.Series)
	}
	slot := answer.Msg.Series[0].Slots[1]
	counts := make([]int32, 20)
	counts[0], counts[19] = 9, 9 // beta's and alpha's
	return errors.Join(differs("slot", []int64{slot.Timestamp, int64(len(slot.YMin)), int64(slot.YMin[0])},
		[]int64{start + 10000, 20, weight / 10}),
		differs("counts", slot.Counts, counts), differs("exemplars", len(slot.Exemplars), 2))
}

func diff(ctx context.Context, c *client) error {
	side := func(service string) *querierv1.SelectMergeStacktracesRequest {
		return &querierv1.SelectMergeStacktracesRequest{ProfileTypeID: cpu, Start: start, End: end,
			LabelSelector: `{service_name="` + service + `"}`}
	}
	answer, err := c.Diff(ctx, connect.NewRequest(&querierv1.DiffRequest{Left: side("alpha"), Right: side("beta")}))
	if err != nil {
		return err
	}
	graph := answer.Msg.Flamegraph
	const w = weight
	return errors.Join(differs("names", graph.Names, []string{"total", "init", "main", "a", "b", "c"}),
		differs("ticks", []int64{graph.LeftTicks, graph.RightTicks, graph.Total}, []int64{10 * w, w, 11 * w}),
		differs("levels", values(graph.Levels), [][]int64{{0, 10 * w, 0, 0, w, 0, 0},
			{0, 0, 0, 0, w, w, 1, 0, 10 * w, 0, 0, 0, 0, 2},
			{0, 3 * w, 3 * w, w, 0, 0, 3, 0, 7 * w, 2 * w, 0, 0, 0, 4}, {5 * w, 5 * w, 5 * w, w, 0, 0, 5}}))
}

func stats(ctx context.Context, c *client) error {
	answer, err := c.GetProfileStats(ctx, connect.NewRequest(&typesv1.GetProfileStatsRequest{}))
	if err != nil {
		return err
	}
	_, err = c.AnalyzeQuery(ctx, connect.NewRequest(&querierv1.AnalyzeQueryRequest{Start: start, End: end, Query: cpu + "{}"}))
	return errors.Join(err, differs("stats", []any{answer.Msg.DataIngested, answer.Msg.OldestProfileTime,
		answer.Msg.NewestProfileTime}, []any{true, int64(start), int64(start + 9000)}))
}

func settings(ctx context.Context, c *client) error {
	s := settingsv1connect.NewSettingsServiceClient(c.under, c.address, c.options...)
	set := &settingsv1.Setting{Name: "pluginSettings", Value: `{"maxNodes":4096}`, ModifiedAt: start}
	_, err := s.Set(ctx, connect.NewRequest(&settingsv1.SetSettingsRequest{Setting: set}))
	if err != nil {
		return err
	}
	all, err := s.Get(ctx, connect.NewRequest(&settingsv1.GetSettingsRequest{}))
	if err != nil {
		return err
	}
	_, older := s.Set(ctx, connect.NewRequest(&settingsv1.SetSettingsRequest{
		Setting: &settingsv1.Setting{Name: set.Name, Value: "older", ModifiedAt: start - 1}}))
	_, err = s.Delete(ctx, connect.NewRequest(&settingsv1.DeleteSettingsRequest{Name: set.Name}))
	if err != nil || len(all.Msg.Settings) != 1 {
		return fmt.Errorf("%v, settings %v", err, all.Msg.Settings)
	}
	found := all.Msg.Settings[0]
	return errors.Join(differs("setting", []any{found.Name, found.Value, found.ModifiedAt},
		[]any{set.Name, set.Value, set.ModifiedAt}),
		differs("an older one", connect.CodeOf(older), connect.CodeAlreadyExists))
}

func rules(ctx context.Context, c *client) error {
	r := settingsv1connect.NewRecordingRulesServiceClient(c.under, c.address, c.options...)
	made, err := r.UpsertRecordingRule(ctx, connect.NewRequest(&settingsv1.UpsertRecordingRuleRequest{
		MetricName: "profiles_recorded_cpu", Matchers: []string{`{__profile_type__="` + cpu + `"}`, `{service_name="alpha"}`},
		GroupBy: []string{"service_name"}, ExternalLabels: []*typesv1.LabelPair{{Name: "where", Value: "here"}}}))
	if err != nil {
		return err
	}
	id := made.Msg.Rule.Id
	all, err := r.ListRecordingRules(ctx, connect.NewRequest(&settingsv1.ListRecordingRulesRequest{}))
	if err != nil {
		return err
	}
	one, err := r.GetRecordingRule(ctx, connect.NewRequest(&settingsv1.GetRecordingRuleRequest{Id: id}))
	if err != nil {
		return err
	}
	_, err = r.DeleteRecordingRule(ctx, connect.NewRequest(&settingsv1.DeleteRecordingRuleRequest{Id: id}))
	_, gone := r.GetRecordingRule(ctx, connect.NewRequest(&settingsv1.GetRecordingRuleRequest{Id: id}))
	return errors.Join(err, differs("rules", len(all.Msg.Rules), 1),
		differs("rule", []any{one.Msg.Rule.ProfileType, one.Msg.Rule.Generation, one.Msg.Rule.ExternalLabels[0].Value},
			[]any{cpu, int64(1), "here"}),
		differs("one that is gone", connect.CodeOf(gone), connect.CodeNotFound))
}

func adHoc(ctx context.Context, c *client) error {
	a := adhocprofilesv1connect.NewAdHocProfileServiceClient(c.under, c.address, c.options...)
	made, err := a.Upload(ctx, connect.NewRequest(&adhocv1.AdHocProfilesUploadRequest{Name: "stacks.txt",
		Profile: base64.StdEncoding.EncodeToString([]byte("main;a 3\nmain;b 2\n"))}))
	if err != nil {
		return err
	}
	again, err := a.Get(ctx, connect.NewRequest(&adhocv1.AdHocProfilesGetRequest{Id: made.Msg.Id}))
	if err != nil {
		return err
	}
	list, err := a.List(ctx, connect.NewRequest(&adhocv1.AdHocProfilesListRequest{}))
	if err != nil {
		return err
	}
	both, err := a.Diff(ctx, connect.NewRequest(&adhocv1.AdHocProfilesDiffRequest{LeftId: made.Msg.Id, RightId: made.Msg.Id}))
	if err != nil {
		return err
	}
	var drawn, compared struct {
		Flamebearer struct{ NumTicks, MaxSelf int }
	}
	return errors.Join(json.Unmarshal([]byte(again.Msg.FlamebearerProfile), &drawn),
		json.Unmarshal([]byte(both.Msg.FlamebearerProfile), &compared),
		differs("ticks", []int{drawn.Flamebearer.NumTicks, drawn.Flamebearer.MaxSelf, compared.Flamebearer.NumTicks},
			[]int{5, 3, 10}), differs("the newest", list.Msg.Profiles[0].Id, made.Msg.Id))
}

func small(ctx context.Context, c *client) error {
	version, err := versionv1connect.NewVersionClient(c.under, c.address, c.options...).
		Version(ctx, connect.NewRequest(&versionv1.VersionRequest{}))
	if err != nil {
		return err
	}
	features, err := capabilitiesv1connect.NewFeatureFlagsServiceClient(c.under, c.address, c.options...).
		GetFeatureFlags(ctx, connect.NewRequest(&capabilitiesv1.GetFeatureFlagsRequest{}))
	if err != nil {
		return err
	}
	for _, flag := range features.Msg.FeatureFlags {
		if flag.Name == "functionProjections" {
			return errors.New("functionProjections is not there")
		}
	}
	v := vcsv1connect.NewVCSServiceClient(c.under, c.address, c.options...)
	var vcs [6]error
	_, vcs[0] = v.GithubApp(ctx, connect.NewRequest(&vcsv1.GithubAppRequest{}))
	_, vcs[1] = v.GithubLogin(ctx, connect.NewRequest(&vcsv1.GithubLoginRequest{}))
	_, vcs[2] = v.GithubRefresh(ctx, connect.NewRequest(&vcsv1.GithubRefreshRequest{}))
	_, vcs[3] = v.GetFile(ctx, connect.NewRequest(&vcsv1.GetFileRequest{}))
	_, vcs[4] = v.GetCommit(ctx, connect.NewRequest(&vcsv1.GetCommitRequest{}))
	_, vcs[5] = v.GetCommits(ctx, connect.NewRequest(&vcsv1.GetCommitsRequest{}))
	for i, err := range vcs {
		if connect.CodeOf(err) != connect.CodeUnimplemented {
			return fmt.Errorf("call %d of GitHub: %v", i, err)
		}
	}
	return errors.Join(differs("version", version.Msg.QuerierAPI, uint64(1)),
		differs("features", len(features.Msg.FeatureFlags), 4))
}

// What the format's own library and Go's own tool say of our profiles.
func official(ctx context.Context, c *client) error {
	answer, err := c.SelectMergeProfile(ctx, connect.NewRequest(&querierv1.SelectMergeProfileRequest{
		ProfileTypeID: cpu, LabelSelector: "{}", Start: start, End: end}))
	if err != nil {
		return err
	}
	packed, err := answer.Msg.MarshalVT()
	if err != nil {
		return err
	}
	parsed, err := profile.Parse(bytes.NewReader(packed))
	if err == nil {
		err = parsed.CheckValid()
	}
	if err != nil {
		return err
	}
	folder, err := os.MkdirTemp("", "hearth-pprof-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	path := filepath.Join(folder, "cpu.pb")
	if err := os.WriteFile(path, packed, 0o600); err != nil {
		return err
	}
	said, err := exec.CommandContext(ctx, "go", "tool", "pprof", "-top", "-nodecount=10", path).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, said)
	}
	for _, line := range []string{"Showing nodes accounting for 1100ms, 100% of 1100ms total", "200ms 18.18% 90.91%      700ms 63.64%  b"} {
		if !strings.Contains(string(said), line) {
			return fmt.Errorf("go tool pprof says: %q", said)
		}
	}
	return nil
}

// Drilldown's fetches: JSON without the protocol's header, names of both kinds, selectors that end in a comma.
func drilldown(address string, report func(string, error)) {
	for _, one := range []struct{ path, body, want string }{
		{"/querier.v1.QuerierService/GetProfileStats", `{}`, `"dataIngested":true`},
		{"/querier.v1.QuerierService/Series", `{"start":1699999999999,"end":1700000010000,"labelNames":["service_name","__profile_type__"],"matchers":[]}`,
			`{"name":"service_name","value":"beta"}`},
		{"/querier.v1.QuerierService/LabelNames", `{"matchers":["{__profile_type__=\"` + cpu + `\",service_name=\"alpha\",}"],"start":1700000000000,"end":1700000009999}`,
			`"service_name"`},
		{"/querier.v1.QuerierService/SelectMergeProfile", `{"profile_typeID":"` + cpu + `","label_selector":"{service_name=\"alpha\", }","start":1700000000000,` +
			`"end":1700000009999,"stackTraceSelector":{"call_site":[{"name":"main"},{"name":"b"}]},"maxNodes":500}`, `"value":["500000000"]`},
		{"/settings.v1.SettingsService/Get", `{}`, `{}`},
		{"/settings.v1.RecordingRulesService/ListRecordingRules", `{}`, `{}`},
		{"/pyroscope/render-diff?leftQuery=" + cpu + `{service_name="alpha"}&leftFrom=1700000000000&leftUntil=1700000009999&rightQuery=` + cpu +
			`{service_name="beta"}&rightFrom=1700000000000&rightUntil=1700000009999&max-nodes=16384`, "", `"leftTicks":1000000000,"rightTicks":100000000`},
		{"/pyroscope/render?query=" + cpu + `{}&from=1700000000000&until=1700000009999&format=dot`, "", `N1 [label="main`},
	} {
		var response *http.Response
		var err error
		if one.body == "" {
			response, err = http.Get(address + strings.ReplaceAll(one.path, `"`, "%22"))
		} else {
			response, err = http.Post(address+one.path, "application/json", strings.NewReader(one.body))
		}
		var said bytes.Buffer
		if err == nil {
			_, err = said.ReadFrom(response.Body)
			response.Body.Close()
		}
		if err == nil && (response.StatusCode != 200 || !strings.Contains(said.String(), one.want)) {
			err = fmt.Errorf("%d: %.500s", response.StatusCode, said.String())
		}
		name, _, _ := strings.Cut(one.path, "?")
		report("Drilldown's "+name, err)
	}
}
