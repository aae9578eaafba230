package telemetry

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/secret"
	"github.com/unforeseen-consequences/containment-chamber/shared/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// line is what the tests look at in a log line.
type line struct {
	Timestamp, Level, Logger, Message, Process string

	BootID        string `json:"boot_id"`
	EnclaveID     string `json:"enclave_id"`
	DroppedBefore uint64 `json:"dropped_before"`
	Seq           uint64
	CutFromBytes  int    `json:"cut_from_bytes"`
	CutLine       string `json:"cut_line"`
}

func parse(t *testing.T, text []byte) line {
	t.Helper()
	var l line
	if err := json.Unmarshal(text, &l); err != nil {
		t.Fatalf("line %q: %v", text, err)
	}
	return l
}

func newLogs(t *testing.T, out Output) *Logs {
	t.Helper()
	l, err := NewLogs(Options{Process: ProcessEnclave, Output: out, Registry: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestNewLogsRefuses(t *testing.T) {
	taken := prometheus.NewRegistry()
	if _, err := NewLogs(Options{Process: ProcessSigner, Output: Direct(io.Discard), Registry: taken}); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name, want string
		options    Options
	}{
		{
			"process", `process "parent" is neither "enclave" nor "signer"`,
			Options{Process: "parent", Output: Direct(io.Discard), Registry: prometheus.NewRegistry()},
		},
		{"output", "no output", Options{Process: ProcessSigner, Registry: prometheus.NewRegistry()}},
		{"registry", "no registry", Options{Process: ProcessSigner, Output: Direct(io.Discard)}},
		{
			"registered twice", "containment_enclave_log_events_dropped_total",
			Options{Process: ProcessSigner, Output: Direct(io.Discard), Registry: taken},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l, err := NewLogs(tc.options)
			if err == nil || l != nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("got %v, %v; want an error with %q", l, err, tc.want)
			}
		})
	}
}

func TestLineShape(t *testing.T) {
	var out bytes.Buffer
	l := newLogs(t, Direct(&out))
	l.Logger().Named("boot").With(zap.String("stage", "nsm")).Warn("slow", zap.Namespace("inner"), zap.Int("seq", 99))
	l.SetEnclaveID(`i-0123-enc"4567`)
	l.Logger().Info("known")

	first, rest, _ := bytes.Cut(out.Bytes(), []byte("\n"))
	shape := regexp.MustCompile(`^\{"level":"warn","timestamp":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z",` +
		`"logger":"boot","message":"slow","stage":"nsm","inner":\{"seq":99\},` +
		`"process":"enclave","boot_id":"[A-Z2-7]{26}","seq":1\}$`)
	if !shape.Match(first) {
		t.Errorf("line is %s", first)
	}
	second := parse(t, rest)
	want := line{
		Timestamp: second.Timestamp, Level: "info", Message: "known", Process: "enclave",
		BootID: parse(t, first).BootID, EnclaveID: `i-0123-enc"4567`, Seq: 2,
	}
	if diff := cmp.Diff(want, second); diff != "" {
		t.Error(diff)
	}
}

func TestBootIDIsOfOneProcess(t *testing.T) {
	var out bytes.Buffer
	newLogs(t, Direct(&out)).Logger().Info("a")
	newLogs(t, Direct(&out)).Logger().Info("b")
	a, b, _ := bytes.Cut(out.Bytes(), []byte("\n"))
	if parse(t, a).BootID == parse(t, b).BootID {
		t.Error("two boots have one identity")
	}
}

func TestEnclaveIDIsBounded(t *testing.T) {
	var out bytes.Buffer
	l := newLogs(t, Direct(&out))
	l.SetEnclaveID(strings.Repeat("\x01", 1<<20))
	l.Logger().Info("short")
	if out.Len() > tailReserve+200 {
		t.Errorf("line of %d bytes", out.Len())
	}
	parse(t, out.Bytes())
}

func TestSeqIsTheOrderOfTheStream(t *testing.T) {
	var out bytes.Buffer
	l := newLogs(t, Direct(&out))
	var writers sync.WaitGroup
	for range 8 {
		writers.Go(func() {
			for range 100 {
				l.Logger().Info("hello")
			}
		})
	}
	writers.Wait()
	lines := bytes.Split(bytes.TrimSuffix(out.Bytes(), []byte("\n")), []byte("\n"))
	if len(lines) != 800 {
		t.Fatalf("%d lines, want 800", len(lines))
	}
	for i, text := range lines {
		if got := parse(t, text).Seq; got != uint64(i+1) {
			t.Fatalf("line %d has seq %d", i, got)
		}
	}
}

func TestSetLevel(t *testing.T) {
	var out bytes.Buffer
	l := newLogs(t, Direct(&out))
	child := l.Logger().With(zap.Int("n", 1))
	child.Debug("hidden")
	l.SetLevel(zapcore.DebugLevel)
	child.Debug("shown")
	l.SetLevel(zapcore.ErrorLevel)
	child.Warn("hidden")
	if got := parse(t, out.Bytes()); got.Message != "shown" || got.Seq != 1 || got.Level != "debug" {
		t.Errorf("got %+v", got)
	}
}

func TestLongLineIsCut(t *testing.T) {
	for _, tc := range []struct {
		name    string
		message string
		field   string
		cut     bool
	}{
		{"longest that is whole", "m", strings.Repeat("x", maxBody-200), false},
		{"field", "short", strings.Repeat("x", wire.MaxLogLine), true},
		{"message", strings.Repeat("y", 2*wire.MaxLogLine), "", true},
		{"escapes", strings.Repeat("\x01", wire.MaxLogLine), strings.Repeat(`"\`, wire.MaxLogLine), true},
		{"not UTF-8", strings.Repeat("\xff", wire.MaxLogLine), "", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var out bytes.Buffer
			l := newLogs(t, Direct(&out))
			l.SetEnclaveID(strings.Repeat("\x01", 200))
			l.Logger().Named(strings.Repeat("n", len(tc.message)/4)).Info(tc.message, zap.String("field", tc.field))
			if out.Len() > wire.MaxLogLine {
				t.Errorf("line of %d bytes, limit %d", out.Len(), wire.MaxLogLine)
			}
			got := parse(t, out.Bytes())
			if cut := got.CutFromBytes > maxBody; cut != tc.cut {
				t.Errorf("cut_from_bytes is %d", got.CutFromBytes)
			}
			if tc.cut && !strings.HasPrefix(got.CutLine, `{"level":"info"`) {
				t.Errorf("cut_line is %.40q", got.CutLine)
			}
			if got.Seq != 1 || l.Dropped() != 0 {
				t.Errorf("seq %d, %d dropped", got.Seq, l.Dropped())
			}
		})
	}
}

// brokenWriter fails while it is broken.
type brokenWriter struct {
	bytes.Buffer
	broken bool
}

func (w *brokenWriter) Write(b []byte) (int, error) {
	if w.broken {
		return 0, errors.New("disk full")
	}
	return w.Buffer.Write(b)
}

func TestDirectWriterThatFails(t *testing.T) {
	out := &brokenWriter{broken: true}
	l := newLogs(t, Direct(out))
	for range 3 {
		l.Logger().Info("lost")
	}
	out.broken = false
	l.Logger().Info("seen")
	if got := parse(t, out.Bytes()); got.Seq != 4 || got.DroppedBefore != 3 || l.Dropped() != 3 {
		t.Errorf("got %+v, %d dropped", got, l.Dropped())
	}
}

// failingCore cannot write.
type failingCore struct{ zapcore.Core }

func (c failingCore) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	return ce.AddCore(e, c)
}

func (failingCore) Write(zapcore.Entry, []zapcore.Field) error { return errors.New("broken encoder") }

func TestZapsOwnErrorsAreCounted(t *testing.T) {
	var out bytes.Buffer
	l := newLogs(t, Direct(&out))
	l.Logger().WithOptions(zap.WrapCore(func(c zapcore.Core) zapcore.Core { return failingCore{c} })).Info("x")
	if out.Len() != 0 || l.internal.Load() != 1 {
		t.Errorf("wrote %q, counted %d", out.String(), l.internal.Load())
	}
}

func TestMetrics(t *testing.T) {
	registry := NewRegistry("1.2.3", "simulated")
	l, err := NewLogs(Options{Process: ProcessSigner, Output: Direct(&brokenWriter{broken: true}), Registry: registry})
	if err != nil {
		t.Fatal(err)
	}
	l.Logger().Info("lost")
	answer := httptest.NewRecorder()
	Handler(registry).ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
	for _, want := range []string{
		`containment_build_info{platform="simulated",version="1.2.3"} 1`,
		"containment_enclave_log_events_dropped_total 1",
		"containment_enclave_log_link_failures_total 0",
		"containment_enclave_log_internal_errors_total 0",
		"go_goroutines ",
	} {
		if !strings.Contains(answer.Body.String(), "\n"+want) {
			t.Errorf("no %q in the answer", want)
		}
	}
}

func TestSecretsDoNotPrint(t *testing.T) {
	const canary = "canary-0123456789"
	var out bytes.Buffer
	l := newLogs(t, Direct(&out))
	s := secret.New([]byte(canary))
	holder := struct{ Key, key any }{s, &s}
	log := l.Logger()
	log.With(zap.Any("with", s)).Info("x", zap.Any("value", s), zap.Any("pointer", &s), zap.Stringer("text", s),
		zap.Reflect("reflect", s), zap.Any("holder", holder), zap.Any("slice", []any{s}))
	log.Sugar().Infof("%v %+v %#v %s %q %x %d", s, s, s, s, s, s, s)
	log.Sugar().Infow("x", "value", s, "pointer", &holder)
	log.Sugar().Infof("%+v %#v", holder, holder)
	if n := bytes.Count(out.Bytes(), []byte("\n")); n != 4 {
		t.Fatalf("%d lines", n)
	}
	decimals := strings.Trim(fmt.Sprintf("%d", []byte(canary)), "[]")
	for _, form := range []string{canary, hex.EncodeToString([]byte(canary)), base64.StdEncoding.EncodeToString([]byte(canary)), decimals} {
		if bytes.Contains(bytes.ToLower(out.Bytes()), bytes.ToLower([]byte(form))) {
			t.Errorf("%q is in %s", form, out.Bytes())
		}
	}
}

// Whatever is logged is one line of JSON within the limit, with our fields at its end.
func FuzzLine(f *testing.F) {
	f.Add("plain", "boot", "key", "value")
	f.Add("two\nlines", "a.b", "seq", "\x00\xff\"\\")
	f.Add(strings.Repeat("long\u2028", 9000), "", "", "\x7f")
	f.Fuzz(func(t *testing.T, message, name, key, value string) {
		var out bytes.Buffer
		l := newLogs(t, Direct(&out))
		l.Logger().Named(name).Info(message, zap.String(key, value), zap.Namespace(key))
		text := out.Bytes()
		if len(text) > wire.MaxLogLine || bytes.IndexByte(text, '\n') != len(text)-1 {
			t.Fatalf("%d bytes, first newline at %d", len(text), bytes.IndexByte(text, '\n'))
		}
		if !bytes.HasSuffix(text, []byte(`,"seq":1}`+"\n")) || !json.Valid(text) {
			t.Fatalf("not JSON or no seq: %.200q", text)
		}
	})
}
