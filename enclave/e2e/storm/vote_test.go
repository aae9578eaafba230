package storm

import (
	"fmt"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
)

// vote is one message that a key can be asked to sign: its request, and what stays of it on record.
type vote struct {
	request eth2.Request
	body    string        // of the HTTP request
	record  slashing.Vote // nil for what cannot be slashed
}

// chain is the network of every test: one of its own, whose genesis can be moved.
func chain() (*eth2.Network, eth2.ForkInfo) {
	n := &eth2.Network{
		Name: "custom", ValidatorsRoot: eth2.Root{0x57, 0x08}, GenesisForkVersion: eth2.Version{0x10, 0, 0, 0x57},
		SlotsPerEpoch: slotsPerEpoch, SecondsPerSlot: secondsPerSlot,
	}
	return n, eth2.ForkInfo{Previous: n.GenesisForkVersion, Current: n.GenesisForkVersion, ValidatorsRoot: n.ValidatorsRoot}
}

const (
	slotsPerEpoch  = 32
	secondsPerSlot = 12
)

// attestation is a vote whose root depends on side: two of one target and different sides are a double vote.
func attestation(source, target uint64, side byte) vote {
	_, fork := chain()
	data := eth2.AttestationData{
		Slot: target * slotsPerEpoch, BeaconBlockRoot: eth2.Root{side},
		Source: eth2.Checkpoint{Epoch: source, Root: eth2.Root{1}}, Target: eth2.Checkpoint{Epoch: target, Root: eth2.Root{2}},
	}
	req := eth2.NewAttestation(fork, data)
	return vote{
		request: req, record: slashing.Attestation{Source: source, Target: target, Root: req.SigningRoot()},
		body: fmt.Sprintf(`{"type":"ATTESTATION",%s,"signingRoot":"0x%x","attestation":{"slot":"%d","index":"0","beacon_block_root":"0x%x",`+
			`"source":{"epoch":"%d","root":"0x%x"},"target":{"epoch":"%d","root":"0x%x"}}}`,
			forkInfo(fork), req.SigningRoot(), data.Slot, data.BeaconBlockRoot, source, data.Source.Root, target, data.Target.Root),
	}
}

// block is a proposal whose root depends on side.
func block(slot uint64, side byte) vote {
	network, fork := chain()
	header := eth2.BlockHeader{Slot: slot, ProposerIndex: 7, ParentRoot: eth2.Root{1}, StateRoot: eth2.Root{2}, BodyRoot: eth2.Root{side}}
	req := network.NewBlock(fork, header)
	return vote{
		request: req, record: slashing.Block{Slot: slot, Root: req.SigningRoot()},
		body: fmt.Sprintf(`{"type":"BLOCK_V2",%s,"signingRoot":"0x%x","beacon_block":{"version":"BELLATRIX","block_header":{"slot":"%d",`+
			`"proposer_index":"7","parent_root":"0x%x","state_root":"0x%x","body_root":"0x%x"}}}`,
			forkInfo(fork), req.SigningRoot(), slot, header.ParentRoot, header.StateRoot, header.BodyRoot),
	}
}

// selection is a message that nobody is slashed for, so that no store is asked.
func selection(slot uint64) vote {
	network, fork := chain()
	req := network.NewAggregationSlot(fork, slot)
	return vote{
		request: req,
		body: fmt.Sprintf(`{"type":"AGGREGATION_SLOT",%s,"signingRoot":"0x%x","aggregation_slot":{"slot":"%d"}}`,
			forkInfo(fork), req.SigningRoot(), slot),
	}
}

func forkInfo(f eth2.ForkInfo) string {
	return fmt.Sprintf(`"fork_info":{"fork":{"previous_version":"%s","current_version":"%s","epoch":"%d"},"genesis_validators_root":"0x%x"}`,
		f.Previous, f.Current, f.Epoch, f.ValidatorsRoot)
}

// height is what a record of the vote rises to: its target or its slot.
func (v vote) height() uint64 {
	_, height := v.heights()
	return height
}

// heights are source and target, or twice a block's slot.
func (v vote) heights() (low, high uint64) {
	switch r := v.record.(type) {
	case slashing.Attestation:
		return r.Source, r.Target
	case slashing.Block:
		return r.Slot, r.Slot
	}
	return 0, 0
}

// rivals are votes that conflict with an attestation or a block: double votes, one that surrounds it, one that it surrounds.
func (v vote) rivals() []vote {
	const side = 9 // nobody else's
	low, high := v.heights()
	if _, is := v.record.(slashing.Block); is {
		return []vote{block(high, side)}
	}
	all := []vote{attestation(low, high, side), attestation(low-1, high, side), attestation(low-1, high+1, side)}
	if low+1 < high {
		all = append(all, attestation(low+1, high-1, side))
	}
	return all
}

// String names the heights and the root.
func (v vote) String() string {
	root := v.request.SigningRoot()
	switch r := v.record.(type) {
	case slashing.Attestation:
		return fmt.Sprintf("attestation %d to %d of root %x", r.Source, r.Target, root[:4])
	case slashing.Block:
		return fmt.Sprintf("block %d of root %x", r.Slot, root[:4])
	}
	return fmt.Sprintf("message of root %x", root[:4])
}
