package slashing

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/auth"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/auth/authtest"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/admin"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// desk is the calls over a store in memory, which belongs to hoodi.
type desk struct {
	t     *testing.T
	store *storetest.Memory
	api   *API
	mux   *http.ServeMux
	lines *observer.ObservedLogs
	root  string
	// caller is who asks.
	caller auth.Caller
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	store := storetest.NewMemory()
	return deskOf(t, store, store)
}

func deskOf(t *testing.T, ledger slashing.Ledger, store *storetest.Memory) *desk {
	t.Helper()
	n, err := eth2.NetworkByName("hoodi")
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Pin(t.Context(), n.ValidatorsRoot); err != nil {
		t.Fatal(err)
	}
	core, lines := observer.New(zapcore.InfoLevel)
	d := &desk{t: t, store: store, lines: lines, mux: http.NewServeMux(), caller: authtest.Management(), root: fmt.Sprintf("0x%x", n.ValidatorsRoot[:])}
	d.api = New(admin.New(ledger, n, "memory"), zap.New(core))
	d.api.Register(d.mux)
	return d
}

func (d *desk) ask(method, path, body string) *httptest.ResponseRecorder {
	d.t.Helper()
	var r io.Reader
	if body != "" {
		r = strings.NewReader(body)
	}
	w := httptest.NewRecorder()
	api.Routes(d.mux).ServeHTTP(w, api.WithCaller(httptest.NewRequestWithContext(d.t.Context(), method, path, r), d.caller))
	return w
}

// json asks for what is answered with JSON.
func (d *desk) json(method, path, body string) any {
	d.t.Helper()
	w := d.ask(method, path, body)
	var v any
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil || w.Code != http.StatusOK || w.Header().Get("Content-Type") != "application/json; charset=utf-8" {
		d.t.Errorf("%s %s: %d %s %s: %v", method, path, w.Code, w.Header().Get("Content-Type"), w.Body, err)
	}
	return v
}

func (d *desk) same(got any, want string) {
	d.t.Helper()
	var v any
	if err := json.Unmarshal([]byte(want), &v); err != nil {
		d.t.Fatal(err)
	}
	if diff := cmp.Diff(v, got); diff != "" {
		d.t.Errorf("want -, got +\n%s", diff)
	}
}

// file is an interchange file of hoodi.
func (d *desk) file(entries ...string) string {
	return `{"metadata": {"interchange_format_version": "5", "genesis_validators_root": "` + d.root + `"}, "data": [` + strings.Join(entries, ",") + `]}`
}

func history(key byte, blocks, attestations string) string {
	return `{"pubkey": "` + public(key) + `", "signed_blocks": [` + blocks + `], "signed_attestations": [` + attestations + `]}`
}

func public(key byte) string { return bls.PublicKey{key}.String() }

// server serves the calls as a signer does, and returns a client of it.
func (d *desk) server() *admin.Client {
	d.t.Helper()
	limits, err := api.NewLimits(api.DefaultRequests, prometheus.NewRegistry())
	if err != nil {
		d.t.Fatal(err)
	}
	limits.Identify(func(auth.Credential) auth.Caller { return d.caller }, 0)
	l, err := new(net.ListenConfig).Listen(d.t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		d.t.Fatal(err)
	}
	server, err := api.NewServer("test", l, api.Routes(d.mux), nil, time.Minute, limits, zap.NewNop())
	if err != nil {
		d.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	transport := new(http.Transport)
	d.t.Cleanup(func() {
		transport.CloseIdleConnections()
		stop()
		if err := <-ended; err != nil {
			d.t.Error(err)
		}
	})
	return admin.NewClient(&url.URL{Scheme: "http", Host: l.Addr().String()}, &http.Client{Transport: transport})
}

func TestCalls(t *testing.T) {
	d := newDesk(t)
	zero := "0x" + strings.Repeat("00", 32)
	got := d.json("POST", "/api/v1/slashing/import", d.file(
		history(1, `{"slot": "7", "signing_root": "`+zero+`"}`, ``), history(2, ``, `{"source_epoch": "2", "target_epoch": "3"}`)))
	d.same(got, `{"keys": [
		{"pubkey": "`+public(1)+`", "result": "new", "after": {"block": {"slot": "7", "signing_root": "`+zero+`"}}},
		{"pubkey": "`+public(2)+`", "result": "new", "after": {"attestation": {"source_epoch": "2", "target_epoch": "3"}}}],
		"summary": {"dry_run": false, "attestations": 1, "blocks": 1, "new": 2, "raised": 0, "unchanged": 0}}`)
	got = d.json("POST", "/api/v1/slashing/raise?dry_run=true", ` {"keys": [ "`+public(2)[2:]+`" ], "slot": "9" } `)
	d.same(got, `{"keys": [{"pubkey": "`+public(2)+`", "result": "raised",
		"before": {"attestation": {"source_epoch": "2", "target_epoch": "3"}},
		"after": {"attestation": {"source_epoch": "2", "target_epoch": "3"}, "block": {"slot": "9"}}}],
		"summary": {"dry_run": true, "attestations": 0, "blocks": 0, "new": 0, "raised": 1, "unchanged": 0}}`)
	got = d.json("POST", "/api/v1/slashing/init?dry_run=false", `{"keys": ["`+public(3)+`", "`+public(2)+`"]}`)
	d.same(got, `{"keys": [
		{"pubkey": "`+public(3)+`", "result": "new", "after": {"attestation": {"source_epoch": "0", "target_epoch": "0"}, "block": {"slot": "0"}}},
		{"pubkey": "`+public(2)+`", "result": "unchanged", "after": {"attestation": {"source_epoch": "2", "target_epoch": "3"}}}],
		"summary": {"dry_run": false, "attestations": 0, "blocks": 0, "new": 1, "raised": 0, "unchanged": 1}}`)
	got = d.json("PUT", "/api/v1/slashing/high-watermark", `{"slot": "100"}`)
	d.same(got, `{"all": {"slot": "100"}, "keys": []}`)
	got = d.json("PUT", "/api/v1/slashing/high-watermark", `{"slot": "90", "epoch": "3", "keys": ["`+public(2)+`"]}`)
	d.same(got, `{"all": {"slot": "100"}, "keys": [{"pubkey": "`+public(2)+`", "slot": "90", "epoch": "3"}]}`)
	d.same(d.json("GET", "/api/v1/slashing/high-watermark", ""), `{"all": {"slot": "100"}, "keys": [{"pubkey": "`+public(2)+`", "slot": "90", "epoch": "3"}]}`)
	status := d.json("GET", "/api/v1/slashing/status", "").(map[string]any)
	id, _ := status["store_id"].(string)
	d.same(status, `{"backend": "memory", "store_id": "`+id+`", "network": "hoodi", "genesis_validators_root": "`+d.root+`",
		"keys": 3, "attestations": 2, "blocks": 2, "highest_source_epoch": "2", "highest_target_epoch": "3", "highest_slot": "7",
		"high_watermark": {"slot": "100"}, "high_watermark_keys": 1}`)
	d.same(d.json("DELETE", "/api/v1/slashing/high-watermark", `{"keys": ["`+public(2)+`"]}`), `{"all": {"slot": "100"}, "keys": []}`)
	d.same(d.json("DELETE", "/api/v1/slashing/high-watermark", ""), `{"all": {}, "keys": []}`)
	exported := d.json("GET", "/api/v1/slashing/export", "").(map[string]any)
	if data := exported["data"].([]any); len(data) != 3 {
		t.Errorf("exported %v", data)
	}
	if all := d.lines.FilterMessage("slashing protection request").FilterField(zap.Int("status", 200)).All(); len(all) != 10 {
		t.Errorf("%d lines, want one for each of 10 calls", len(all))
	}
	if lines := d.lines.FilterField(zap.String("route", "PUT /api/v1/slashing/high-watermark")).All(); len(lines) != 2 || fmt.Sprint(lines[1].ContextMap()["to"]) != "slot 90, epoch 3" {
		t.Errorf("what was set is not in the log: %v", lines)
	}
}

// cut is a store that fails in the middle of being read.
type cut struct {
	*storetest.Memory

	after int
	err   error
}

func (c *cut) Each(ctx context.Context, f func(slashing.Record) error) error {
	left := c.after
	return c.Memory.Each(ctx, func(r slashing.Record) error {
		if left--; left < 0 {
			return c.err
		}
		return f(r)
	})
}

// TestAnExportThatFailsIsNotWhole: before its first byte it is a refusal, after that the connection breaks.
func TestAnExportThatFailsIsNotWhole(t *testing.T) {
	store := storetest.NewMemory()
	failing := &cut{Memory: store, err: fmt.Errorf("%w: 10.0.0.7", slashing.ErrUnavailable)}
	d := deskOf(t, failing, store)
	records := make([]slashing.Record, 1000)
	for i := range records {
		records[i] = slashing.Record{Key: bls.PublicKey{byte(i), byte(i >> 8)}, Block: &slashing.Block{Slot: 1}}
	}
	if err := store.Merge(t.Context(), records); err != nil {
		t.Fatal(err)
	}
	client := d.server()
	var out strings.Builder
	_, err := client.Export(t.Context(), &out)
	if refused, ok := errors.AsType[*admin.RefusedError](err); !ok || refused.Status != 503 || refused.Message != "the slashing protection store did not answer" || out.Len() > 0 {
		t.Errorf("before the first byte: %v, %d bytes", err, out.Len())
	}
	failing.after = 900
	if _, err = client.Export(t.Context(), &out); err == nil || !strings.Contains(err.Error(), "it ends in the middle") || out.Len() == 0 {
		t.Errorf("in the middle: %v, %d bytes", err, out.Len())
	}
	failing.after = 1000
	out.Reset()
	if _, err = client.Export(t.Context(), &out); err != nil || !json.Valid([]byte(out.String())) {
		t.Errorf("whole: %v", err)
	}
	lines := d.lines.TakeAll()
	if len(lines) != 3 || lines[0].Level != zapcore.WarnLevel || lines[1].ContextMap()["status"] != int64(503) || lines[2].ContextMap()["status"] != int64(200) {
		t.Errorf("lines %v", lines)
	}
}

// TestWhoMay: each call asks for its scope, also where duties are open, and before it reads anything.
func TestWhoMay(t *testing.T) {
	d := newDesk(t)
	for _, c := range []struct {
		method, path string
		scope, other auth.Scope
	}{
		{"GET", admin.RouteStatus, auth.SlashingRead, auth.SlashingWrite},
		{"GET", admin.RouteExport, auth.SlashingRead, auth.SlashingWrite},
		{"GET", admin.RouteHighWatermark, auth.SlashingRead, auth.SlashingWrite},
		{"POST", admin.RouteImport, auth.SlashingWrite, auth.SlashingRead},
		{"POST", admin.RouteRaise, auth.SlashingWrite, auth.SlashingRead},
		{"POST", admin.RouteInit, auth.SlashingWrite, auth.SlashingRead},
		{"PUT", admin.RouteHighWatermark, auth.SlashingWrite, auth.SlashingRead},
		{"DELETE", admin.RouteHighWatermark, auth.SlashingWrite, auth.SlashingRead},
	} {
		for _, who := range []struct {
			caller auth.Caller
			want   int
		}{{authtest.Open(), 401}, {authtest.With(c.other), 403}, {authtest.With(auth.Sign), 403}} {
			d.caller = who.caller
			if w := d.ask(c.method, c.path, "junk"); w.Code != who.want {
				t.Errorf("%s %s by %v: %d, want %d", c.method, c.path, who.caller, w.Code, who.want)
			}
		}
		d.caller = authtest.With(c.scope)
		if w := d.ask(c.method, c.path, ""); w.Code == 401 || w.Code == 403 {
			t.Errorf("%s %s with %s: %d %s", c.method, c.path, c.scope, w.Code, w.Body)
		}
	}
}
