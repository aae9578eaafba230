package eth2

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/problem"
)

// TestRecord: one line and one count for each request, without anything of the body.
func TestRecord(t *testing.T) {
	const short = "0xa99a76ed"
	for name, tc := range map[string]struct {
		identifier, body string
		signErr          error
		level            zapcore.Level
		fields           map[string]any
		counts           map[string]float64
	}{
		"signed": {
			keyText, attestationBody, nil, zap.InfoLevel,
			map[string]any{"kind": "ATTESTATION", "key": short, "status": int64(200)},
			map[string]float64{
				"containment_signing_requests_total operation=ATTESTATION status=200": 1,
				"containment_signing_duration_seconds operation=ATTESTATION":          1,
				"containment_slashing_rejections_total":                               0,
				"containment_canary_signing_total":                                    0,
			},
		},
		"slashable": {
			keyText, attestationBody, problem.New(problem.Slashable, "surrounds"), zap.WarnLevel,
			map[string]any{"kind": "ATTESTATION", "key": short, "status": int64(412), "problem": "slashable", "error": "surrounds"},
			map[string]float64{
				"containment_signing_requests_total operation=ATTESTATION status=412": 1,
				"containment_signing_duration_seconds operation=ATTESTATION":          1,
				"containment_slashing_rejections_total":                               1,
				"containment_canary_signing_total":                                    0,
			},
		},
		"our fault, with its cause": {
			keyText, attestationBody, errors.New("nil pointer"), zap.ErrorLevel,
			map[string]any{"kind": "ATTESTATION", "key": short, "status": int64(500), "problem": "internal", "error": "nil pointer"},
			map[string]float64{
				"containment_signing_requests_total operation=ATTESTATION status=500": 1,
				"containment_signing_duration_seconds operation=ATTESTATION":          1,
				"containment_slashing_rejections_total":                               0,
				"containment_canary_signing_total":                                    0,
			},
		},
		"malformed, type known": {
			keyText, `{"type":"DEPOSIT","note":"bodytext"}`, nil, zap.InfoLevel,
			map[string]any{"kind": "DEPOSIT", "key": short, "status": int64(400), "problem": "malformed", "error": "deposit: is missing"},
			map[string]float64{
				"containment_signing_requests_total operation=DEPOSIT status=400": 1,
				"containment_signing_duration_seconds operation=DEPOSIT":          1,
				"containment_slashing_rejections_total":                           0,
				"containment_canary_signing_total":                                0,
			},
		},
		"malformed, type unknown": {
			keyText, `{"type":"bodytext"}`, nil, zap.InfoLevel,
			map[string]any{"kind": "UNKNOWN", "key": short, "status": int64(400), "problem": "malformed", "error": `type: "bodytext" is not a known signing type`},
			map[string]float64{
				"containment_signing_requests_total operation=UNKNOWN status=400": 1,
				"containment_signing_duration_seconds operation=UNKNOWN":          1,
				"containment_slashing_rejections_total":                           0,
				"containment_canary_signing_total":                                0,
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t)
			d.signErr = tc.signErr
			d.post(t, tc.identifier, tc.body, nil)
			lines := d.lines.All()
			if len(lines) != 1 {
				t.Fatalf("%d lines, want 1", len(lines))
			}
			got := lines[0].ContextMap()
			if _, ok := got["duration"]; !ok {
				t.Error("the line has no duration")
			}
			delete(got, "duration")
			tc.fields["route"], tc.fields["caller"] = "/api/v1/eth2/sign/{identifier}", "nobody"
			if diff := cmp.Diff(tc.fields, got); diff != "" {
				t.Error(diff)
			}
			if lines[0].Level != tc.level {
				t.Errorf("level %v, want %v", lines[0].Level, tc.level)
			}
			if diff := cmp.Diff(tc.counts, d.counts(t)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestPanicIsNoSignature: net/http ends the connection of a request that panics; the record must not say 200.
func TestPanicIsNoSignature(t *testing.T) {
	d := newDesk(t)
	d.panics = true
	func() {
		defer func() {
			if p := recover(); p != "nil pointer" {
				t.Errorf("recovered %v: the panic must reach the server", p)
			}
		}()
		d.post(t, keyText, attestationBody, nil)
	}()
	lines := d.lines.All()
	if len(lines) != 1 {
		t.Fatalf("%d lines, want 1", len(lines))
	}
	got := lines[0].ContextMap()
	if lines[0].Level != zap.ErrorLevel || got["status"] != int64(500) || got["error"] != "the request was not answered: panic" {
		t.Errorf("%v %v", lines[0].Level, got)
	}
	counts := d.counts(t)
	if counts["containment_signing_requests_total operation=ATTESTATION status=500"] != 1 || len(counts) != 4 {
		t.Errorf("counted %v", counts)
	}
}

func TestMetricsTwice(t *testing.T) {
	d := newDesk(t)
	_, err := New(Deps{Registry: d.registry})
	if err == nil || !strings.Contains(err.Error(), "register signing metrics: duplicate") {
		t.Errorf("error %v", err)
	}
}
