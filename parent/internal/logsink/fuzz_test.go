package logsink

import (
	"bytes"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/unforeseen-consequences/containment-chamber/parent/internal/accept"
	"github.com/unforeseen-consequences/containment-chamber/parent/internal/lines"
	"github.com/unforeseen-consequences/containment-chamber/parent/internal/logging"
)

func FuzzPass(f *testing.F) {
	for _, seed := range []string{`{"a":1}`, "", "{}{}", "\x1b]0;x\a", "{\"a\":\"\xff\"}", `{"process":"parent"`, "a\rb"} {
		f.Add([]byte(seed), 0)
		f.Add([]byte(seed), 7)
	}
	f.Fuzz(func(t *testing.T, line []byte, missing int) {
		var out output
		w := lines.New(&out)
		log, err := logging.New(w, "info")
		if err != nil {
			t.Fatal(err)
		}
		registry := prometheus.NewRegistry()
		s := New(Config{}, w, log, accept.NewMetrics(registry), registry)
		s.pass(bytes.Clone(line), missing, nil)
		got := out.take()
		if len(got) != 1 || !isObject([]byte(got[0])) {
			t.Fatalf("%q became %q, want one JSON object", line, got)
		}
	})
}
