package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"github.com/fxamacker/cbor/v2"
)

// documents are real ones of AWS.
func documents(t testing.TB) (all [][]byte) {
	t.Helper()
	files, err := filepath.Glob("../../../shared/attestation/testdata/*.cose")
	if err != nil || len(files) == 0 {
		t.Fatalf("no documents: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, text)
	}
	return all
}

// FuzzDescribe: whatever can be read can be shown, as text without anything that a terminal obeys, and as JSON.
func FuzzDescribe(f *testing.F) {
	for _, document := range documents(f) {
		f.Add(document)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		e, err := parseEvidence(text)
		if err != nil {
			return
		}
		raw, err := parseRaw(e.document)
		if err != nil {
			return
		}
		shown := raw.describe()
		if _, err := json.Marshal(shown); err != nil {
			t.Error(err)
		}
		if i := strings.IndexFunc(shown.String(), func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }); i >= 0 {
			t.Errorf("%q", shown.String()[i:])
		}
	})
}

// TestDescribeHostile: what nobody verified may hold anything.
func TestDescribeHostile(t *testing.T) {
	type payload = map[string]any
	encode := func(v any) []byte {
		t.Helper()
		out, err := cbor.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	document := func(p payload) []byte {
		return encode([]any{encode(map[int]int{1: -7}), map[any]any{}, encode(p), []byte{1}})
	}
	good := payload{"module_id": "i\x1b[2J", "timestamp": uint64(1) << 63, "pcrs": map[int][]byte{0: {1}, 40: {2}}, "certificate": []byte{1}, "cabundle": [][]byte{{}}, "nonce": []byte{}}
	for name, test := range map[string]struct {
		document  []byte
		want, err string
	}{
		"escapes":          {document(good), `module      "i\x1b[2J"`, ""},
		"tagged":           {append([]byte{0xd2}, document(good)...), `module      "i\x1b[2J"`, ""},
		"far time":         {document(good), "issued      9223372036854775808 milliseconds after 1970\n", ""},
		"odd registers":    {document(good), "PCR40       02  no meaning\n", ""},
		"no certificates":  {document(good), "chain       cannot be read: missing\n            cannot be read: x509: ", ""},
		"empty nonce":      {document(good), "nonce       0 bytes \n", ""},
		"unknown field":    {document(payload{"\u009bx": 1}), `unknown     "\u009bx"`, ""},
		"no COSE":          {encode(1), "", "no attestation document: cbor: "},
		"no map":           {encode([]any{[]byte{}, map[any]any{}, encode(1), []byte{}}), "", "no attestation document: protected header: "},
		"no payload":       {encode([]any{encode(payload{}), map[any]any{}, encode(1), []byte{}}), "", "no attestation document: payload: "},
		"wrong type":       {document(payload{"module_id": 1}), "", "no attestation document: payload: "},
		"names of numbers": {encode([]any{encode(payload{}), map[any]any{}, encode(map[any]any{1: 1}), []byte{}}), "", "no attestation document: payload: "},
		"deep":             {[]byte(strings.Repeat("\x81", 100) + "\x01"), "", "no attestation document: cbor: exceeded max nested level"},
	} {
		t.Run(name, func(t *testing.T) {
			raw, err := parseRaw(test.document)
			switch {
			case test.err != "":
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Errorf("%v, want %q", err, test.err)
				}
			case err != nil || !strings.Contains(raw.describe().String(), test.want):
				t.Errorf("%v, %s, want %q", err, raw.describe(), test.want)
			}
		})
	}
}
