package interchange_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/interchange"
)

// from calls its argument with records, as a Ledger's Each does.
func from(records ...slashing.Record) func(func(slashing.Record) error) error {
	return func(f func(slashing.Record) error) error {
		for _, r := range records {
			if err := f(r); err != nil {
				return err
			}
		}
		return nil
	}
}

func TestWrite(t *testing.T) {
	key := "0x01" + strings.Repeat("00", 47)
	const head = `{
  "metadata": {
    "interchange_format_version": "5",
    "genesis_validators_root": "0xaabb000000000000000000000000000000000000000000000000000000000000"
  },
  "data": [`
	for _, test := range []struct {
		name    string
		records []slashing.Record
		want    string
	}{
		{"empty", nil, head + "]\n}\n"},
		{
			"known, zero and unknown roots",
			[]slashing.Record{
				{Attestation: &slashing.Attestation{Source: 1, Target: 2}, Block: &slashing.Block{Slot: 3, Root: eth2.Root{0xff}}},
				{Key: bls.PublicKey{1}, Attestation: &slashing.Attestation{Source: 4, Target: slashing.MaxHeight, RootUnknown: true}},
			},
			head + `
    {"pubkey": "0x` + strings.Repeat("00", 48) + `", "signed_blocks": [{"slot": "3", "signing_root": "0xff` + strings.Repeat("00", 31) +
				`"}], "signed_attestations": [{"source_epoch": "1", "target_epoch": "2", "signing_root": "0x` + strings.Repeat("00", 32) + `"}]},
    {"pubkey": "` + key + `", "signed_blocks": [], "signed_attestations": [{"source_epoch": "4", "target_epoch": "9223372036854775807"}]}
  ]
}
`,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			var out bytes.Buffer
			if err := interchange.Write(&out, network, from(test.records...)); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, out.String()); diff != "" {
				t.Error(diff)
			}
			back, err := interchange.Read(&out, network)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.records, back.Records); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// full takes so many bytes and no more.
type full struct{ room int }

var errFull = errors.New("no space left")

func (f *full) Write(b []byte) (int, error) {
	n := min(len(b), f.room)
	f.room -= n
	if n < len(b) {
		return n, errFull
	}
	return n, nil
}

// TestWriteFails: an export that did not arrive as a whole is not taken for one that did.
func TestWriteFails(t *testing.T) {
	records := slices.Repeat([]slashing.Record{{Block: &slashing.Block{Slot: 3}}}, 100)
	var out bytes.Buffer
	if err := interchange.Write(&out, network, from(records...)); err != nil {
		t.Fatal(err)
	}
	for room := 0; room < out.Len(); room += 97 {
		if err := interchange.Write(&full{room}, network, from(records...)); !errors.Is(err, errFull) {
			t.Fatalf("with room for %d of %d bytes: %v", room, out.Len(), err)
		}
	}
	gone := errors.New("store gone")
	if err := interchange.Write(&out, network, func(func(slashing.Record) error) error { return gone }); !errors.Is(err, gone) {
		t.Errorf("with a failing store: %v", err)
	}
}
