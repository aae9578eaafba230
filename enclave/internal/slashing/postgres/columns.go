package postgres

import "github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"

// attestationColumns are the arguments of the statement that records attestations.
type attestationColumns struct {
	keys             [][]byte
	sources, targets []int64
	roots            [][]byte
	knownOnly        []bool
}

func (a *attestationColumns) add(c slashing.Claim, v slashing.Attestation) {
	a.keys, a.roots, a.knownOnly = append(a.keys, c.Key[:]), append(a.roots, v.Root[:]), append(a.knownOnly, c.KnownOnly)
	a.sources, a.targets = append(a.sources, int64(v.Source)), append(a.targets, int64(v.Target))
}

// blockColumns are the arguments of the statement that records blocks.
type blockColumns struct {
	keys      [][]byte
	slots     []int64
	roots     [][]byte
	knownOnly []bool
}

func (b *blockColumns) add(c slashing.Claim, v slashing.Block) {
	b.keys, b.roots, b.knownOnly = append(b.keys, c.Key[:]), append(b.roots, v.Root[:]), append(b.knownOnly, c.KnownOnly)
	b.slots = append(b.slots, int64(v.Slot))
}
