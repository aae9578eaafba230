package storetest

import (
	"fmt"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
)

// History is everything that was ever signed. It knows nothing of watermarks: it compares each vote with all others,
// by the conditions that a chain slashes for (EIP-3076, "conditions").
type History struct {
	attestations map[bls.PublicKey][]slashing.Attestation
	blocks       map[bls.PublicKey][]slashing.Block
	count        int
}

// NewHistory makes an empty history.
func NewHistory() *History {
	return &History{
		attestations: make(map[bls.PublicKey][]slashing.Attestation),
		blocks:       make(map[bls.PublicKey][]slashing.Block),
	}
}

// Signed says how many votes Add took.
func (h *History) Signed() int { return h.count }

// Add appends a vote that was signed. It returns an error if the vote and an earlier one of the key are slashable.
func (h *History) Add(key bls.PublicKey, vote slashing.Vote) error {
	h.count++
	switch v := vote.(type) {
	case slashing.Attestation:
		for _, old := range h.attestations[key] {
			if conflict := attestationsConflict(old, v); conflict != "" {
				return fmt.Errorf("%s signed %+v and %+v: %s", key.Short(), old, v, conflict)
			}
		}
		h.attestations[key] = append(h.attestations[key], v)
	case slashing.Block:
		for _, old := range h.blocks[key] {
			if old.Slot == v.Slot && old.Root != v.Root {
				return fmt.Errorf("%s signed %+v and %+v: double proposal", key.Short(), old, v)
			}
		}
		h.blocks[key] = append(h.blocks[key], v)
	default:
		return fmt.Errorf("not a vote: %T", vote)
	}
	return nil
}

func attestationsConflict(a, b slashing.Attestation) string {
	switch {
	case b.Source > b.Target:
		return "source above target"
	case a.Target == b.Target && a != b:
		return "double vote"
	case a.Source < b.Source && b.Target < a.Target:
		return "the first surrounds the second"
	case b.Source < a.Source && a.Target < b.Target:
		return "the second surrounds the first"
	}
	return ""
}
