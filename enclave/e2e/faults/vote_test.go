//go:build linux

package faults

import (
	"fmt"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
)

const (
	slotsPerEpoch  = 32
	secondsPerSlot = 12
	// firstHeight leaves room below.
	firstHeight = 1000
)

// vote is a message that a key can be asked to sign: its request, and what stays of it on record.
type vote struct {
	request eth2.Request
	body    string        // of the HTTP request
	record  slashing.Vote // nil for what cannot be slashed
	double  bool          // of one that was signed before
}

// chain is the network of every test, which began so long ago that no vote is ahead of its clock.
func chain() (*eth2.Network, eth2.ForkInfo) {
	n := &eth2.Network{
		Name: "custom", ValidatorsRoot: eth2.Root{0xfa, 0x17}, GenesisForkVersion: eth2.Version{0x10, 0, 0, 0xfa},
		SlotsPerEpoch: slotsPerEpoch, SecondsPerSlot: secondsPerSlot,
	}
	return n, eth2.ForkInfo{Previous: n.GenesisForkVersion, Current: n.GenesisForkVersion, ValidatorsRoot: n.ValidatorsRoot}
}

// attestation is a vote, or the double of it.
func attestation(target uint64, double bool) vote {
	_, fork := chain()
	side := byte(1)
	if double {
		side = 2
	}
	data := eth2.AttestationData{
		Slot: target * slotsPerEpoch, BeaconBlockRoot: eth2.Root{side},
		Source: eth2.Checkpoint{Epoch: target - 1, Root: eth2.Root{1}}, Target: eth2.Checkpoint{Epoch: target, Root: eth2.Root{2}},
	}
	req := eth2.NewAttestation(fork, data)
	return vote{
		request: req, double: double, record: slashing.Attestation{Source: data.Source.Epoch, Target: target, Root: req.SigningRoot()},
		body: fmt.Sprintf(`{"type":"ATTESTATION",%s,"signingRoot":"0x%x","attestation":{"slot":"%d","index":"0","beacon_block_root":"0x%x",`+
			`"source":{"epoch":"%d","root":"0x%x"},"target":{"epoch":"%d","root":"0x%x"}}}`,
			forkInfo(fork), req.SigningRoot(), data.Slot, data.BeaconBlockRoot, data.Source.Epoch, data.Source.Root, target, data.Target.Root),
	}
}

// selection is a message that nobody is slashed for, so that no store is asked.
func selection(slot uint64) vote {
	network, fork := chain()
	req := network.NewAggregationSlot(fork, slot)
	return vote{request: req, body: fmt.Sprintf(`{"type":"AGGREGATION_SLOT",%s,"signingRoot":"0x%x","aggregation_slot":{"slot":"%d"}}`,
		forkInfo(fork), req.SigningRoot(), slot)}
}

func forkInfo(f eth2.ForkInfo) string {
	return fmt.Sprintf(`"fork_info":{"fork":{"previous_version":"%s","current_version":"%s","epoch":"%d"},"genesis_validators_root":"0x%x"}`,
		f.Previous, f.Current, f.Epoch, f.ValidatorsRoot)
}
