package kmstest

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/kms/envelope"
)

func TestEnvelope(t *testing.T) {
	const (
		sha     = "30{06[608648016503040201]05[]}"
		before  = "30*{06[2a864886f70d010703]a0*{30*{02[02]31{30{02[02]80[32]30{06[2a864886f70d010107]30{a0{" + sha + "}a1{30{06[2a864886f70d010108]" + sha + "}}}}04[256]}}30*{06[2a864886f70d010701]30{06[60864801650304012a]04[16]}"
		after   = "}}}}"
		content = "a 32-byte share of a master key."
	)
	for name, tc := range map[string]struct {
		as        form
		plaintext string
		want      string
	}{
		"pieces":      {form{}, content, "a0*{04[48]}"},
		"many pieces": {form{chunk: 20}, content, "a0*{04[20]04[20]04[8 bytes]}"},
		"one piece":   {form{primitive: true}, content, "80[48]"},
		"long":        {form{}, strings.Repeat(content, 128), "a0*{04[1000]04[1000]04[1000]04[1000]04[112]}"},
		"empty":       {form{}, "", "a0*{04[16]}"},
	} {
		raw, err := seal([]byte(tc.plaintext), &enclaveKey().PublicKey, tc.as)
		if err != nil {
			t.Fatal(err)
		}
		got, structure := openEnvelope(t, raw, enclaveKey())
		if string(got) != tc.plaintext {
			t.Errorf("%s: opened as %q", name, got)
		}
		if got, err := envelope.Open(enclaveKey(), raw); string(got) != tc.plaintext || err != nil {
			t.Errorf("%s: the product opens it as %q, %v", name, got, err)
		}
		if i := strings.LastIndex(structure, "04["); name == "many pieces" && i >= 0 { // its bytes differ each time
			structure = structure[:i] + "04[8 bytes]}" + after
		}
		if diff := cmp.Diff(before+tc.want+after, structure); diff != "" {
			t.Errorf("%s: -want +got:\n%s", name, diff)
		}
		// As far as the recipient's key id it is always the same, as sealed answers of AWS begin.
		if want := "\x30\x80\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x03\xa0\x80\x30\x80\x02\x01\x02\x31\x82\x01\x6b\x30\x82\x01\x67\x02\x01\x02\x80\x20"; !strings.HasPrefix(string(raw), want) {
			t.Errorf("%s begins with %x", name, raw[:len(want)])
		}
	}
}
