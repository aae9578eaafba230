package logging

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"

	"github.com/unforeseen-consequences/containment-chamber/parent/internal/lines"
)

func TestLineHasTheAgreedKeys(t *testing.T) {
	var out bytes.Buffer
	log, err := New(lines.New(&out), "info")
	if err != nil {
		t.Fatal(err)
	}
	log.Named("boot").Warn("enclave gone", zap.Int("beats", 3))
	log.Debug("not at this level")
	var line map[string]any
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatalf("%q: %v", out.String(), err)
	}
	stamp, _ := line["timestamp"].(string)
	if at, err := time.Parse(time.RFC3339Nano, stamp); err != nil || at.Location() != time.UTC || len(stamp) != len("2006-01-02T15:04:05.000000000Z") {
		t.Errorf("timestamp %q is not RFC 3339 with nanoseconds in UTC: %v", stamp, err)
	}
	delete(line, "timestamp")
	want := map[string]any{"level": "warn", "logger": "boot", "message": "enclave gone", "process": "parent", "beats": 3.0}
	if diff := cmp.Diff(want, line); diff != "" {
		t.Errorf("keys %v:\n%s", slices.Sorted(maps.Keys(line)), diff)
	}
}

func TestUnknownLevel(t *testing.T) {
	_, err := New(lines.New(&bytes.Buffer{}), "loud")
	if err == nil || !strings.Contains(err.Error(), `unknown level "loud", want debug, info, warn or error`) {
		t.Errorf("New with level loud = %v", err)
	}
}
