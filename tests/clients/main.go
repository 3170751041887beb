// SPDX-License-Identifier: Apache-2.0

// Asks a hearth that replays tests/system/test_clients.c's recording, as Grafana's data source does: by the client that is
// generated from Pyroscope's own definitions, in every combination of encoding and compression. TAP; the arguments are the
// address of the server, which speaks TLS there, too, and the file of its certificate.
package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"reflect"
	"strings"
	"time"

	"connectrpc.com/connect"
	profilev1 "github.com/grafana/pyroscope/api/gen/proto/go/google/v1"
	querierv1 "github.com/grafana/pyroscope/api/gen/proto/go/querier/v1"
	"github.com/grafana/pyroscope/api/gen/proto/go/querier/v1/querierv1connect"
	typesv1 "github.com/grafana/pyroscope/api/gen/proto/go/types/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	_ "google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/status"
)

const (
	cpu   = "process_cpu:cpu:nanoseconds:cpu:nanoseconds"
	start = 1700000000000
	end   = start + 9999
	// What one sample weighs in all ten windows.
	weight = 100_000_000
)

type client struct {
	querierv1connect.QuerierServiceClient
	isJSON  bool
	packed  int // answers that came with Content-Encoding: gzip
	under   *http.Client
	address string
	options []connect.ClientOption
}

// Grafana's data source always accepts gzip, and Go's transport hides that an answer was packed.
type transport struct {
	client *client
	under  http.RoundTripper
}

func (t transport) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := t.under.RoundTrip(request)
	if err == nil && response.Header.Get("Content-Encoding") == "gzip" {
		t.client.packed++
	}
	return response, err
}

func newClient(address string, isJSON bool, options ...connect.ClientOption) *client {
	return newClientOver(http.DefaultTransport, address, isJSON, options...)
}

func newClientOver(under http.RoundTripper, address string, isJSON bool, options ...connect.ClientOption) *client {
	c := &client{isJSON: isJSON, address: address, options: options}
	c.under = &http.Client{Transport: transport{c, under}, Timeout: 20 * time.Second}
	c.QuerierServiceClient = querierv1connect.NewQuerierServiceClient(c.under, address, options...)
	return c
}

// HTTP/2 from the first byte on, without TLS.
func http2() http.RoundTripper {
	t := &http.Transport{Protocols: new(http.Protocols)}
	t.Protocols.SetUnencryptedHTTP2(true)
	return t
}

// Over TLS, by HTTP/1.1 alone or by what ALPN agrees on; only this certificate is trusted.
func overTLS(trusted *x509.CertPool, isHTTP2 bool) http.RoundTripper {
	t := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trusted}, Protocols: new(http.Protocols)}
	t.Protocols.SetHTTP2(isHTTP2)
	t.Protocols.SetHTTP1(!isHTTP2)
	return t
}

// grpc-go itself: answers, codes and deadlines.
func grpcGo(address string, security credentials.TransportCredentials, report func(string, error)) {
	target := strings.TrimPrefix(address, "http://")
	connection, err := grpc.NewClient(target, grpc.WithTransportCredentials(security))
	if err != nil {
		report("grpc-go", err)
		return
	}
	by := " by grpc-go over " + security.Info().SecurityProtocol
	defer connection.Close()
	c := querierv1.NewQuerierServiceClient(connection)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()

	for _, options := range [][]grpc.CallOption{nil, {grpc.UseCompressor("gzip")}} {
		answer, err := c.LabelValues(ctx, &typesv1.LabelValuesRequest{
			Name: "service_name", Matchers: []string{"{}"}, Start: start, End: end}, options...)
		if err == nil {
			err = differs("values", answer.Names, []string{"alpha", "beta"})
		}
		report(fmt.Sprintf("LabelValues%s, %d options", by, len(options)), err)
	}
	_, err = c.LabelValues(ctx, &typesv1.LabelValuesRequest{Start: start, End: end})
	report("a wrong question"+by, differs("status", []any{status.Code(err), status.Convert(err).Message()},
		[]any{codes.InvalidArgument, "name is required"}))
	err = connection.Invoke(ctx, "/querier.v1.QuerierService/NoSuch", &typesv1.LabelValuesRequest{}, &typesv1.LabelValuesResponse{})
	report("an unknown method"+by, differs("status", status.Code(err), codes.Unimplemented))
	late, stop := context.WithTimeout(context.Background(), time.Nanosecond)
	defer stop()
	_, err = c.LabelValues(late, &typesv1.LabelValuesRequest{Name: "service_name"})
	report("a deadline"+by, differs("status", status.Code(err), codes.DeadlineExceeded))

	// A crowd on one connection: all answered, or told to come again.
	err = nil
	failures := make(chan error, 1000)
	for worker := 0; worker < 16; worker++ {
		go func() {
			for i := 0; i < 50; i++ {
				_, err := c.ProfileTypes(ctx, &querierv1.ProfileTypesRequest{Start: start, End: end})
				failures <- err
			}
		}()
	}
	for i := 0; i < 16*50; i++ {
		if one := <-failures; one != nil {
			err = one
		}
	}
	report("800 questions at once"+by, err)
}

func differs(what string, got, want any) error {
	if reflect.DeepEqual(got, want) {
		return nil
	}
	return fmt.Errorf("%s: %v, and not %v", what, got, want)
}

func profileTypes(ctx context.Context, c *client) error {
	answer, err := c.ProfileTypes(ctx, connect.NewRequest(&querierv1.ProfileTypesRequest{Start: start, End: end}))
	if err != nil {
		return err
	}
	if len(answer.Msg.ProfileTypes) != 1 {
		return fmt.Errorf("%d types", len(answer.Msg.ProfileTypes))
	}
	t := answer.Msg.ProfileTypes[0]
	if err := differs("type", []string{t.ID, t.Name, t.SampleType, t.SampleUnit, t.PeriodType, t.PeriodUnit},
		[]string{cpu, "process_cpu", "cpu", "nanoseconds", "cpu", "nanoseconds"}); err != nil {
		return err
	}
	// What Save & test asks: a range without anything is no error.
	answer, err = c.ProfileTypes(ctx, connect.NewRequest(&querierv1.ProfileTypesRequest{Start: 1000, End: 4000}))
	if err != nil {
		return err
	}
	return differs("types of 1970", len(answer.Msg.ProfileTypes), 0)
}

func labelNames(ctx context.Context, c *client) error {
	answer, err := c.LabelNames(ctx, connect.NewRequest(&typesv1.LabelNamesRequest{
		Matchers: []string{cpu + `{service_name="alpha",}`}, Start: start, End: end}))
	if err != nil {
		return err
	}
	return differs("names", answer.Msg.Names, []string{"__name__", "__period_type__", "__period_unit__", "__profile_type__",
		"__service_name__", "__type__", "__unit__", "host", "pid", "process", "process_name", "service_name", "thread_name", "tid"})
}

func labelValues(ctx context.Context, c *client) error {
	answer, err := c.LabelValues(ctx, connect.NewRequest(&typesv1.LabelValuesRequest{
		Name: "service_name", Matchers: []string{"{}"}, Start: start, End: end}))
	if err != nil {
		return err
	}
	if err := differs("values", answer.Msg.Names, []string{"alpha", "beta"}); err != nil {
		return err
	}
	_, err = c.LabelValues(ctx, connect.NewRequest(&typesv1.LabelValuesRequest{Start: start, End: end}))
	var refused *connect.Error
	if !errors.As(err, &refused) {
		return fmt.Errorf("no name: %v", err)
	}
	return differs("no name", []any{refused.Code(), refused.Message()},
		[]any{connect.CodeInvalidArgument, "name is required"})
}

func series(ctx context.Context, c *client) error {
	answer, err := c.Series(ctx, connect.NewRequest(&querierv1.SeriesRequest{
		LabelNames: []string{"service_name", "__profile_type__"}, Start: start, End: end}))
	if err != nil {
		return err
	}
	var sets [][2]string
	for _, set := range answer.Msg.LabelsSet {
		for _, label := range set.Labels {
			sets = append(sets, [2]string{label.Name, label.Value})
		}
	}
	return differs("sets", sets, [][2]string{{"__profile_type__", cpu}, {"service_name", "alpha"},
		{"__profile_type__", cpu}, {"service_name", "beta"}})
}

func selectSeries(ctx context.Context, c *client) error {
	type point struct {
		service   string
		timestamp int64
		value     float64
	}
	limit := int64(5)
	answer, err := c.SelectSeries(ctx, connect.NewRequest(&querierv1.SelectSeriesRequest{
		ProfileTypeID: cpu, LabelSelector: "{}", Start: start, End: end, Step: 4, GroupBy: []string{"service_name"},
		Limit: &limit, ExemplarType: typesv1.ExemplarType_EXEMPLAR_TYPE_NONE}))
	if err != nil {
		return err
	}
	var points []point
	for _, s := range answer.Msg.Series {
		if len(s.Labels) != 1 || s.Labels[0].Name != "service_name" {
			return fmt.Errorf("labels %v", s.Labels)
		}
		for _, p := range s.Points {
			points = append(points, point{s.Labels[0].Value, p.Timestamp, p.Value})
		}
	}
	// Windows at 0 s; 1 to 4 s; 5 to 8 s. The last, at 9 s, lies beyond the last point.
	const one = weight / 10
	return differs("points", points, []point{
		{"alpha", start, 10 * one}, {"alpha", start + 4000, 40 * one}, {"alpha", start + 8000, 40 * one},
		{"beta", start, one}, {"beta", start + 4000, 4 * one}, {"beta", start + 8000, 4 * one}})
}

// A long answer: a point a second of each thread, with all that is known of it.
func selectSeriesFinely(ctx context.Context, c *client) error {
	before := c.packed
	answer, err := c.SelectSeries(ctx, connect.NewRequest(&querierv1.SelectSeriesRequest{
		ProfileTypeID: cpu, LabelSelector: "{}", Start: start, End: end, Step: 1,
		GroupBy: []string{"service_name", "process_name", "host", "process", "thread_name", "pid", "tid"}}))
	if err != nil {
		return err
	}
	sum, count := 0.0, 0
	for _, s := range answer.Msg.Series {
		for _, p := range s.Points {
			sum += p.Value
			count++
		}
	}
	if c.isJSON && c.packed == before {
		return errors.New("it did not come packed")
	}
	return differs("points", []float64{sum, float64(count)}, []float64{11 * weight, 20})
}

func selectMergeStacktraces(ctx context.Context, c *client) error {
	nodes := int64(16384)
	answer, err := c.SelectMergeStacktraces(ctx, connect.NewRequest(&querierv1.SelectMergeStacktracesRequest{
		ProfileTypeID: cpu, LabelSelector: `{service_name=~"alpha|beta", }`, Start: start, End: end, MaxNodes: &nodes}))
	if err != nil {
		return err
	}
	graph := answer.Msg.Flamegraph
	if err := differs("names", graph.Names, []string{"total", "init", "main", "a", "b", "c"}); err != nil {
		return err
	}
	var levels [][]int64
	for _, level := range graph.Levels {
		levels = append(levels, level.Values)
	}
	const w = weight
	return errors.Join(
		differs("levels", levels, [][]int64{{0, 11 * w, 0, 0}, {0, w, w, 1, 0, 10 * w, 0, 2},
			{w, 3 * w, 3 * w, 3, 0, 7 * w, 2 * w, 4}, {6 * w, 5 * w, 5 * w, 5}}),
		differs("total", []int64{graph.Total, graph.MaxSelf}, []int64{11 * w, 5 * w}))
}

// Stacks with what they weigh, root first.
func stacks(profile *profilev1.Profile) map[string]int64 {
	found := map[string]int64{}
	for _, sample := range profile.Sample {
		var path bytes.Buffer
		for i := len(sample.LocationId) - 1; i >= 0; i-- {
			lines := profile.Location[sample.LocationId[i]-1].Line
			for l := len(lines) - 1; l >= 0; l-- {
				path.WriteString("/" + profile.StringTable[profile.Function[lines[l].FunctionId-1].Name])
			}
		}
		found[path.String()] += sample.Value[0]
	}
	return found
}

func asPprof(ctx context.Context, c *client) error {
	want := map[string]int64{"/init": weight, "/main/a": 3 * weight, "/main/b": 2 * weight, "/main/b/c": 5 * weight}
	answer, err := c.SelectMergeStacktraces(ctx, connect.NewRequest(&querierv1.SelectMergeStacktracesRequest{
		ProfileTypeID: cpu, LabelSelector: "{}", Start: start, End: end,
		Format: querierv1.ProfileFormat_PROFILE_FORMAT_PPROF}))
	if err != nil {
		return err
	}
	merged, err := c.SelectMergeProfile(ctx, connect.NewRequest(&querierv1.SelectMergeProfileRequest{
		ProfileTypeID: cpu, LabelSelector: "{}", Start: start, End: end}))
	if err != nil {
		return err
	}
	return errors.Join(differs("pprof", stacks(answer.Msg.Pprof.Profile), want),
		differs("SelectMergeProfile", stacks(merged.Msg), want))
}

func main() {
	address := os.Args[1]
	secure := strings.Replace(address, "http:", "https:", 1)
	certificate, err := os.ReadFile(os.Args[2])
	trusted := x509.NewCertPool()
	if err != nil || !trusted.AppendCertsFromPEM(certificate) {
		fmt.Printf("Bail out! %s is no certificate: %v\n", os.Args[2], err)
		os.Exit(1)
	}
	clients := []struct {
		name   string
		client *client
	}{
		{"proto", newClient(address, false)},
		{"proto, questions packed", newClient(address, false, connect.WithSendGzip())},
		{"json", newClient(address, true, connect.WithProtoJSON())},
		{"json, questions packed", newClient(address, true, connect.WithProtoJSON(), connect.WithSendGzip())},
		{"proto by HTTP/2", newClientOver(http2(), address, false)},
		{"json by HTTP/2", newClientOver(http2(), address, true, connect.WithProtoJSON())},
		{"gRPC", newClientOver(http2(), address, false, connect.WithGRPC())},
		{"gRPC, questions packed", newClientOver(http2(), address, false, connect.WithGRPC(), connect.WithSendGzip())},
		{"gRPC in json", newClientOver(http2(), address, false, connect.WithGRPC(), connect.WithProtoJSON())},
		{"gRPC-Web", newClient(address, false, connect.WithGRPCWeb())},
		{"gRPC-Web in json, questions packed", newClient(address, false, connect.WithGRPCWeb(), connect.WithProtoJSON(), connect.WithSendGzip())},
		{"gRPC-Web by HTTP/2", newClientOver(http2(), address, false, connect.WithGRPCWeb())},
		{"proto over TLS", newClientOver(overTLS(trusted, false), secure, false)},
		{"json over TLS by HTTP/2", newClientOver(overTLS(trusted, true), secure, true, connect.WithProtoJSON())},
		{"gRPC over TLS", newClientOver(overTLS(trusted, true), secure, false, connect.WithGRPC())},
		{"gRPC-Web over TLS", newClientOver(overTLS(trusted, false), secure, false, connect.WithGRPCWeb())},
	}
	calls := []struct {
		name string
		ask  func(context.Context, *client) error
	}{
		{"ProfileTypes", profileTypes}, {"LabelNames", labelNames}, {"LabelValues", labelValues}, {"Series", series},
		{"SelectSeries", selectSeries}, {"SelectSeries, finely,", selectSeriesFinely}, {"SelectMergeStacktraces", selectMergeStacktraces}, {"pprof", asPprof},
		{"exemplars", exemplars}, {"SelectMergeSpanProfile", spans}, {"SelectHeatmap", heatmap}, {"Diff", diff},
		{"GetProfileStats, AnalyzeQuery", stats}, {"settings", settings}, {"recording rules", rules}, {"ad hoc profiles", adHoc},
		{"version, features", small}, {"tree", asTree},
	}
	// These change what there is.
	brings := []struct {
		name string
		ask  func(context.Context, *client) error
	}{{"Push", push}, {"debuginfo", debuginfo}}
	number, failed := 0, 0
	report := func(name string, err error) {
		number++
		if err != nil {
			failed++
			fmt.Printf("# %v\nnot ok %d - %s\n", err, number, name)
		} else {
			fmt.Printf("ok %d - %s\n", number, name)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, c := range clients {
		for _, call := range calls {
			report(call.name+" in "+c.name, call.ask(ctx, c.client))
		}
	}
	report("pprof by its library and go tool pprof", official(ctx, clients[0].client))
	drilldown(address, report)
	grpcGo(address, insecure.NewCredentials(), report)
	grpcGo(address, credentials.NewClientTLSFromCert(trusted, ""), report)
	_, err = newClientOver(overTLS(x509.NewCertPool(), true), secure, false).LabelNames(ctx, connect.NewRequest(&typesv1.LabelNamesRequest{}))
	var unknown x509.UnknownAuthorityError
	report("who does not know the certificate asks nothing", differs("is refused by the client", errors.As(err, &unknown), true))
	for _, c := range clients {
		for _, call := range brings {
			report(call.name+" in "+c.name, call.ask(ctx, c.client))
		}
	}
	fmt.Printf("1..%d\n", number)
	if failed > 0 {
		os.Exit(1)
	}
}
