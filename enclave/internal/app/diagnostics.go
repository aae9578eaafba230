package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/diagnostics"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/operator"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/nsm"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/telemetry"
	"github.com/unforeseen-consequences/containment-chamber/shared/wire"
)

// serveDiagnostics adds the routes for incidents: the log level, and the support bundle.
func (s *signer) serveDiagnostics(mux api.Router) {
	diagnostics.New(diagnostics.Options{
		Level: func() diagnostics.Level { return levelNow(s.logs.Level()) },
		SetLevel: func(level string, d time.Duration, caller string) diagnostics.Level {
			return levelNow(s.logs.SetLevelFor(levelOf(level), d, caller))
		},
		Files: s.supportFiles(), Log: s.log.Named("diagnostics"),
	}).Register(mux)
}

func levelNow(l telemetry.Level) diagnostics.Level {
	out := diagnostics.Level{Level: l.Now.String(), Configured: l.Configured.String()}
	if !l.Until.IsZero() {
		out.Until = l.Until.UTC().Truncate(time.Second)
	}
	return out
}

// supportFiles are what this process puts into a support bundle: what it was told, what it is, and what it did.
func (s *signer) supportFiles() []diagnostics.File {
	serving := time.Now()
	first := func() []byte { first, _ := s.logs.Kept(); return first }
	var status answered
	operator.New(s.operatorOptions()).Register(&status)
	return []diagnostics.File{
		{
			Name: "build.json", About: "release, platform, digest of the configuration, and the modules that the program is built from",
			Make: func(context.Context) ([]byte, error) { return s.buildFile() },
		},
		{
			Name: "configuration.txt", About: "the configuration in force, defaults included",
			Make: func(context.Context) ([]byte, error) { return []byte(s.cfg.Effective()), nil },
		},
		{
			Name: "status.json", About: "what \"operator status\" shows",
			Make: func(ctx context.Context) ([]byte, error) { return statusFile(ctx, status.handler) },
		},
		{
			Name: "clock.json", About: "the time, and what is known of the clock",
			Make: func(ctx context.Context) ([]byte, error) { return s.clockFile(ctx, serving) },
		},
		{
			Name: "timings.json", About: "how long the stages of the start took (at log.level debug or info), and quantiles of the metrics",
			Make: func(context.Context) ([]byte, error) { return s.timingsFile(first()) },
		},
		{Name: "metrics.txt", About: "all metrics in the text form of Prometheus", Make: s.metricsFile},
		{Name: "log-start.jsonl", About: "the first lines of the log", Make: func(context.Context) ([]byte, error) { return first(), nil }},
		{
			Name: "log.jsonl", About: "the last lines of the log, also those that were lost on their way out",
			Make: func(context.Context) ([]byte, error) { _, last := s.logs.Kept(); return last, nil },
		},
	}
}

func (s *signer) buildFile() ([]byte, error) {
	out := struct {
		Release  string   `json:"release"`
		Platform string   `json:"platform"`
		Network  string   `json:"network"`
		Digest   string   `json:"config_digest"` // SHA-384 of the measured keys, also where nobody measures them
		Measured bool     `json:"config_measured"`
		Go       string   `json:"go"`
		Program  string   `json:"program"`
		Modules  []string `json:"modules"`
	}{Release: wire.Release, Platform: s.options.Platform.Name, Network: s.cfg.Network, Digest: fmt.Sprintf("%x", s.cfg.Digest()), Measured: s.device != nil}
	if info, ok := debug.ReadBuildInfo(); ok {
		out.Go, out.Program = info.GoVersion, info.Path
		for _, m := range info.Deps {
			out.Modules = append(out.Modules, m.Path+" "+m.Version)
		}
	}
	return indented(out)
}

// clockSource is where Linux says what it takes the time from.
const clockSource = "/sys/devices/system/clocksource/clocksource0/current_clocksource"

func (s *signer) clockFile(ctx context.Context, serving time.Time) ([]byte, error) {
	now := time.Now()
	steady := now.Sub(serving) // by the monotonic clock
	out := struct {
		Now     time.Time `json:"now"`
		Serving float64   `json:"serving_for_seconds"`
		Stepped float64   `json:"wall_clock_moved_seconds"` // against the monotonic clock, since then
		Source  string    `json:"clock_source,omitempty"`
		Offset  *float64  `json:"ahead_of_security_module_seconds,omitempty"` // not there without one
	}{Now: now.UTC(), Serving: steady.Seconds(), Stepped: (now.Round(0).Sub(serving.Round(0)) - steady).Round(time.Microsecond).Seconds()}
	if source, err := os.ReadFile(clockSource); err == nil {
		out.Source = strings.TrimSpace(string(source))
	}
	var fault error
	if s.device != nil {
		offset, err := nsm.CheckClock(ctx, s.device, s.roots, time.Now)
		if seconds := offset.Seconds(); err == nil {
			out.Offset = &seconds
		}
		fault = err
	}
	text, err := indented(out)
	return text, errors.Join(fault, err)
}

// stageTime is how long a stage of the start took.
type stageTime struct {
	Stage    string `json:"stage"`
	Duration string `json:"duration"`
	Done     string `json:"done"`
}

func (s *signer) timingsFile(first []byte) ([]byte, error) {
	out := struct {
		Stages  []stageTime        `json:"stages"`
		Timings []telemetry.Timing `json:"timings"`
	}{Stages: []stageTime{}}
	for line := range bytes.Lines(first) {
		var l struct{ Message, Timestamp, Stage, Duration string }
		if json.Unmarshal(line, &l) == nil && l.Message == "stage done" {
			out.Stages = append(out.Stages, stageTime{l.Stage, l.Duration, l.Timestamp})
		}
	}
	var fault error
	out.Timings, fault = telemetry.Timings(s.registry)
	text, err := indented(out)
	return text, errors.Join(fault, err)
}

func (s *signer) metricsFile(ctx context.Context) ([]byte, error) {
	return ask(ctx, telemetry.Handler(s.registry).ServeHTTP)
}

func statusFile(ctx context.Context, handler http.HandlerFunc) ([]byte, error) {
	text, err := ask(ctx, handler)
	if err != nil {
		return text, err
	}
	var out bytes.Buffer
	err = json.Indent(&out, text, "", "  ")
	return out.Bytes(), err
}

func indented(v any) ([]byte, error) {
	text, err := json.MarshalIndent(v, "", "  ")
	return append(text, '\n'), err
}

// ask has a handler answer whoever the context is of.
func ask(ctx context.Context, handler http.HandlerFunc) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "/", http.NoBody)
	if err != nil {
		return nil, err
	}
	a := answered{header: http.Header{}, code: http.StatusOK}
	handler(&a, r)
	if a.code != http.StatusOK {
		return a.body.Bytes(), fmt.Errorf("the answer is %d", a.code)
	}
	return a.body.Bytes(), nil
}

// answered takes the answer of a handler, and the handler of the one route of a room.
type answered struct {
	handler http.HandlerFunc
	header  http.Header
	code    int
	body    bytes.Buffer
}

func (a *answered) HandleFunc(_ string, h func(http.ResponseWriter, *http.Request)) { a.handler = h }

func (a *answered) Header() http.Header         { return a.header }
func (a *answered) WriteHeader(code int)        { a.code = code }
func (a *answered) Write(b []byte) (int, error) { return a.body.Write(b) }
