package interchange_test

import (
	"strings"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/interchange"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/storetest"
)

// attest is a vote of key 1; root 0 is that of 32 zero bytes.
func attest(source, target uint64, root byte) slashing.Claim {
	return slashing.Claim{Key: bls.PublicKey{1}, Vote: slashing.Attestation{Source: source, Target: target, Root: eth2.Root{31: root}}}
}

// propose is a proposal of a key.
func propose(key byte, slot uint64, root byte) slashing.Claim {
	return slashing.Claim{Key: bls.PublicKey{key}, Vote: slashing.Block{Slot: slot, Root: eth2.Root{31: root}}}
}

// rootless is a message of a file that has no signing root.
func rootless(c slashing.Claim) slashing.Claim {
	c.Vote = withoutRoot(c.Vote)
	return c
}

// TestWhatMayBeSignedAfterImports goes through the situations that clients have to get right when they import, one after the other.
func TestWhatMayBeSignedAfterImports(t *testing.T) {
	type claims = []slashing.Claim
	for _, test := range []struct {
		name             string
		files            []claims // imported one after the other
		refused, allowed claims   // tried in this order, on one store
	}{
		{"nothing imported", []claims{{}}, nil, claims{attest(0, 0, 1), attest(0, 0, 1), attest(0, 1, 0), propose(1, 0, 1)}},
		{"genesis attestation", []claims{{attest(0, 0, 0)}}, claims{attest(0, 0, 1)}, claims{attest(0, 0, 0), attest(0, 1, 0)}},
		{"identical block", []claims{{propose(1, 5, 7)}}, claims{propose(1, 5, 8), propose(1, 4, 7)}, claims{propose(1, 5, 7), propose(1, 6, 7)}},
		{"block without root", []claims{{rootless(propose(1, 5, 0))}}, claims{propose(1, 5, 0), propose(1, 5, 7)}, claims{propose(1, 6, 0)}},
		{"block with and without root", []claims{{propose(1, 5, 7), rootless(propose(1, 5, 7))}}, claims{propose(1, 5, 7)}, claims{propose(1, 6, 0)}},
		{"two blocks in one slot", []claims{{propose(1, 5, 7), propose(1, 5, 8)}}, claims{propose(1, 5, 7), propose(1, 5, 8)}, claims{propose(1, 6, 7)}},
		{"blocks out of order", []claims{{propose(1, 9, 1), propose(1, 3, 2)}}, claims{propose(1, 3, 2), propose(1, 8, 1)}, claims{propose(1, 9, 1), propose(1, 10, 1)}},
		{"identical attestation", []claims{{attest(2, 3, 7)}}, claims{attest(2, 3, 8), attest(1, 3, 7)}, claims{attest(2, 3, 7), attest(2, 4, 7)}},
		{"attestation without root", []claims{{rootless(attest(2, 3, 0))}}, claims{attest(2, 3, 0)}, claims{attest(2, 4, 0)}},
		{"surrounds what was imported", []claims{{attest(3, 4, 0)}}, claims{attest(2, 5, 0), attest(0, 9, 0)}, claims{attest(3, 5, 0)}},
		{"surrounded by what was imported", []claims{{attest(2, 9, 0)}}, claims{attest(3, 8, 0), attest(2, 8, 0)}, claims{attest(2, 10, 0)}},
		{
			"heights of two messages",
			[]claims{{attest(4, 5, 1), attest(1, 8, 1)}},
			claims{attest(3, 9, 1), attest(4, 8, 1), attest(1, 8, 1), attest(4, 5, 1)},
			claims{attest(4, 9, 1)},
		},
		{
			"a later file that is older",
			[]claims{{attest(4, 5, 1), propose(1, 9, 1)}, {attest(1, 2, 1), propose(1, 3, 1)}},
			claims{attest(1, 2, 1), propose(1, 3, 1), attest(3, 6, 1)},
			claims{attest(4, 5, 1), propose(1, 9, 1)},
		},
		{
			"a later file that surrounds",
			[]claims{{attest(4, 5, 1)}, {attest(3, 6, 1)}},
			claims{attest(3, 6, 1), attest(4, 5, 1), attest(3, 7, 1)},
			claims{attest(4, 7, 1)},
		},
		{"a file twice", []claims{{attest(4, 5, 1)}, {attest(4, 5, 1)}}, claims{attest(4, 5, 2)}, claims{attest(4, 5, 1)}},
		{
			"several validators",
			[]claims{{propose(1, 5, 1), propose(2, 5, 2)}, {propose(3, 5, 3), propose(2, 6, 2)}},
			claims{propose(1, 5, 2), propose(2, 5, 2), propose(3, 5, 1)},
			claims{propose(1, 5, 1), propose(2, 6, 2), propose(3, 5, 3), propose(4, 5, 4)},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			store := storetest.NewMemory()
			for _, file := range test.files {
				var entries []string
				for _, message := range file {
					entries = append(entries, text(message))
				}
				contents, err := interchange.Read(strings.NewReader(document(entries...)), network)
				if err != nil {
					t.Fatal(err)
				}
				if err := store.Merge(t.Context(), contents.Records); err != nil {
					t.Fatal(err)
				}
			}
			for i, c := range append(test.refused, test.allowed...) {
				outcomes, err := store.Advance(t.Context(), claims{c})
				if err != nil {
					t.Fatal(err)
				}
				if got, want := outcomes[0].Standing == c.Vote, i >= len(test.refused); got != want {
					t.Errorf("%+v: allowed is %v, want %v; on record is %+v", c.Vote, got, want, outcomes[0].Standing)
				}
			}
		})
	}
}
