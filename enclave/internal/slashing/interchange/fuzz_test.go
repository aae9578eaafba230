package interchange_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/interchange"
)

// FuzzRead: what is accepted can be recorded, and comes back the same from an export; what is refused leaves nothing behind.
func FuzzRead(f *testing.F) {
	for _, seed := range []string{
		document(),
		document(entry(1, `{"slot": "1", "signing_root": `+signed(7)+`}`, `{"source_epoch": "1", "target_epoch": "2"}`), entry(1, `{"slot": 2}`, ``)),
		document(entry(1, ``, `{"source_epoch": "1", "target_epoch": "2", "signing_root": `+signed(0)+`, "x": [{}, null, true]}`)),
		document(entry(1, ``, `{"source_epoch": "3", "target_epoch": "2"}`)),
		document(entry(1, `{"slot": "9223372036854775808"}`, ``)),
		`{"data": null, ` + metadata + `}`,
		`{` + metadata + `,` + metadata + `}`,
		document() + "}",
		"[[[[",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := interchange.Read(bytes.NewReader(text), network)
		if err != nil {
			if diff := cmp.Diff(interchange.Contents{}, got); diff != "" || !errors.Is(err, interchange.ErrFormat) && !errors.Is(err, slashing.ErrNetwork) {
				t.Fatalf("%v %s", err, diff)
			}
			return
		}
		for _, r := range got.Records {
			if a := r.Attestation; a != nil && (a.Source > a.Target || a.Target > slashing.MaxHeight) {
				t.Errorf("accepted %+v", a)
			}
			if b := r.Block; b != nil && b.Slot > slashing.MaxHeight {
				t.Errorf("accepted %+v", b)
			}
		}
		var out bytes.Buffer
		if err := interchange.Write(&out, network, from(got.Records...)); err != nil {
			t.Fatal(err)
		}
		back, err := interchange.Read(&out, network)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(got.Records, back.Records); diff != "" {
			t.Error(diff)
		}
	})
}
