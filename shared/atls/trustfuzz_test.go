package atls

import (
	"bytes"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
)

// FuzzParseTrust: one content has one form, and what is accepted could have been remembered.
func FuzzParseTrust(f *testing.F) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	pcrs := attestation.Measurements{0: {1}, 1: {2}, 2: {3}, 3: {}, 16: {7}}
	for _, all := range []map[string]TrustRecord{
		{},
		{"a": {PCRs: pcrs, FirstSeen: now, Build: "0.1.0"}},
		{"b<>&\u2028": {PCRs: pcrs, FirstSeen: now}, "a": {PCRs: pcrs, FirstSeen: now, Build: "\u00fc"}},
	} {
		text, err := marshalTrust(all)
		if err != nil {
			f.Fatal(err)
		}
		if again, err := parseTrust(text, now); len(all) < 2 && (err != nil || !cmp.Equal(all, again)) {
			f.Fatalf("%v: %v", again, err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		all, err := parseTrust(text, now)
		if err != nil {
			if all != nil {
				t.Errorf("error %v with %v", err, all)
			}
			return
		}
		if again, err := marshalTrust(all); err != nil || !bytes.Equal(again, text) {
			t.Errorf("accepted %q, written as %q, %v", text, again, err)
		}
		for name, r := range all {
			if checkName(name) != nil || r.FirstSeen.After(now.Add(attestation.Leeway)) || r.PCRs[0].IsZero() || r.PCRs[1].IsZero() || r.PCRs[2].IsZero() {
				t.Errorf("accepted %q: %+v", name, r)
			}
		}
	})
}

// TestTrustFileIsNotWrittenTooLarge to be read again.
func TestTrustFileIsNotWrittenTooLarge(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	all := map[string]TrustRecord{}
	for i := range 5000 {
		all[strconv.Itoa(i)] = TrustRecord{PCRs: attestation.Measurements{0: {1}, 1: {2}, 2: {3}}, FirstSeen: now}
	}
	if text, err := marshalTrust(all); err == nil || text != nil || !strings.Contains(err.Error(), "5000 signers do not fit into 1048576 bytes") {
		t.Errorf("%d bytes, %v", len(text), err)
	}
}
