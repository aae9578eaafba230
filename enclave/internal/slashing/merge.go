package slashing

import "github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"

// Merged is the least record that refuses all that either record refuses. Heights are the greater ones. A root survives only
// if one of the two has every greatest height, and the other is the same vote or of a lower target or slot; else it is unknown.
// The key is a's.
func Merged(a, b Record) Record {
	return Record{Key: a.Key, Attestation: mergedAttestations(a.Attestation, b.Attestation), Block: mergedBlocks(a.Block, b.Block)}
}

func mergedAttestations(a, b *Attestation) *Attestation {
	if a == nil || b == nil {
		return either(a, b)
	}
	m := Attestation{Source: max(a.Source, b.Source), Target: max(a.Target, b.Target), RootUnknown: true}
	for _, pair := range [2][2]*Attestation{{a, b}, {b, a}} {
		one, other := pair[0], pair[1]
		if one.Source == m.Source && one.Target == m.Target && !one.RootUnknown && (other.Target < m.Target || *other == *one) {
			m.Root, m.RootUnknown = one.Root, false
		}
	}
	return &m
}

func mergedBlocks(a, b *Block) *Block {
	if a == nil || b == nil {
		return either(a, b)
	}
	m := Block{Slot: max(a.Slot, b.Slot)}
	switch {
	case a.Slot > b.Slot:
		m.Root, m.RootUnknown = a.Root, a.RootUnknown
	case a.Slot < b.Slot:
		m.Root, m.RootUnknown = b.Root, b.RootUnknown
	case a.RootUnknown || b.RootUnknown || a.Root != b.Root:
		m.Root, m.RootUnknown = eth2.Root{}, true
	default:
		m.Root = a.Root
	}
	return &m
}

// either is a copy of the one that is there.
func either[T any](a, b *T) *T {
	if a == nil {
		a = b
	}
	if a == nil {
		return nil
	}
	v := *a
	return &v
}
