package eth2_test

import (
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
)

// TestVersionInForce: an epoch before the fork's takes the previous version, whatever the kind calls its epoch.
func TestVersionInForce(t *testing.T) {
	hoodi := network(t, "hoodi")
	electra, fulu := eth2.Version{0x60, 0, 9, 0x10}, eth2.Version{0x70, 0, 9, 0x10}
	const epoch, slot = 100, 100 * 32
	for name, build := range map[string]func(f eth2.ForkInfo, before uint64) eth2.Request{
		"attestation by target": func(f eth2.ForkInfo, before uint64) eth2.Request {
			return eth2.NewAttestation(f, eth2.AttestationData{Target: eth2.Checkpoint{Epoch: epoch - before}})
		},
		"block by slot": func(f eth2.ForkInfo, before uint64) eth2.Request {
			return hoodi.NewBlock(f, eth2.BlockHeader{Slot: slot - before})
		},
		"aggregation slot": func(f eth2.ForkInfo, before uint64) eth2.Request {
			return hoodi.NewAggregationSlot(f, slot-before)
		},
		"randao by epoch": func(f eth2.ForkInfo, before uint64) eth2.Request {
			return eth2.NewRandaoReveal(f, epoch-before)
		},
		"sync message by slot": func(f eth2.ForkInfo, before uint64) eth2.Request {
			return hoodi.NewSyncCommitteeMessage(f, slot-before, root(1))
		},
		"sync selection by slot": func(f eth2.ForkInfo, before uint64) eth2.Request {
			return hoodi.NewSyncCommitteeSelectionProof(f, slot-before, 1)
		},
		"bid by slot": func(f eth2.ForkInfo, before uint64) eth2.Request {
			req, err := hoodi.NewExecutionPayloadBid(f, eth2.Bid{Slot: slot - before}, nil)
			if err != nil {
				t.Fatal(err)
			}
			return req
		},
		"envelope by payload's slot": func(f eth2.ForkInfo, before uint64) eth2.Request {
			req, err := hoodi.NewExecutionPayloadEnvelope(f, eth2.Envelope{Payload: eth2.Payload{SlotNumber: slot - before}}, nil)
			if err != nil {
				t.Fatal(err)
			}
			return req
		},
		"payload attestation by slot": func(f eth2.ForkInfo, before uint64) eth2.Request {
			return hoodi.NewPayloadAttestation(f, eth2.PayloadAttestation{Slot: slot - before})
		},
		"preferences by proposal's slot": func(f eth2.ForkInfo, before uint64) eth2.Request {
			return hoodi.NewProposerPreferences(f, eth2.Preferences{ProposalSlot: slot - before})
		},
		"contribution by slot": func(f eth2.ForkInfo, before uint64) eth2.Request {
			return hoodi.NewContributionAndProof(f, eth2.ContributionAndProof{Slot: slot - before})
		},
		"aggregate by data.slot": func(f eth2.ForkInfo, before uint64) eth2.Request {
			req, err := hoodi.NewAggregateAndProof(f, eth2.Aggregate{
				AggregationBits: []byte{1}, CommitteeBits: &[8]byte{1},
				Data: eth2.AttestationData{Slot: slot - before, Target: eth2.Checkpoint{Epoch: epoch}},
			}, nil)
			if err != nil {
				t.Fatal(err)
			}
			return req
		},
	} {
		t.Run(name, func(t *testing.T) {
			atFork := eth2.ForkInfo{Previous: electra, Current: fulu, Epoch: epoch, ValidatorsRoot: hoodi.ValidatorsRoot}
			for _, before := range []uint64{0, 1} {
				want := build(fork(hoodi, []eth2.Version{fulu, electra}[before]), before)
				if got := build(atFork, before); got.SigningRoot() != want.SigningRoot() {
					t.Errorf("%d before the fork: signing root %x, want %x", before, got.SigningRoot(), want.SigningRoot())
				}
			}
		})
	}
}
