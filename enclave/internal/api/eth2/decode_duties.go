package eth2

import (
	"fmt"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
)

func checkpoint(o *object) eth2.Checkpoint {
	return eth2.Checkpoint{Epoch: o.number("epoch"), Root: o.root("root")}
}

func attestationData(o *object) eth2.AttestationData {
	return eth2.AttestationData{
		Slot:            o.number("slot"),
		Index:           o.number("index"),
		BeaconBlockRoot: o.root("beacon_block_root"),
		Source:          checkpoint(o.object("source")),
		Target:          checkpoint(o.object("target")),
	}
}

// blockHeader reads the header that stands for a block, in every fork since Bellatrix and those to come. Full blocks were
// sent only before, and no network is there any more.
func blockHeader(o *object) eth2.BlockHeader {
	const full = "is a full block; only BLOCK_V2 with beacon_block.block_header is signed"
	if !o.has("beacon_block") && o.has("block") {
		o.fail("block", full)
	}
	b := o.object("beacon_block")
	if !b.has("block_header") && b.has("block") {
		b.fail("block", full)
	}
	version(b, eth2.Bellatrix)
	h := b.object("block_header")
	return eth2.BlockHeader{
		Slot:          h.number("slot"),
		ProposerIndex: h.number("proposer_index"),
		ParentRoot:    h.root("parent_root"),
		StateRoot:     h.root("state_root"),
		BodyRoot:      h.root("body_root"),
	}
}

// aggregateAndProof reads either shape under either type name, as clients send them: bare, or in data beside a
// version. The version is not read: which container it is follows from the fork version.
func aggregateAndProof(n *eth2.Network, o *object, claimed *eth2.Root) (eth2.Request, error) {
	f, p := forkInfo(o), o.object("aggregate_and_proof")
	if p.has("data") {
		if p.has("aggregate") {
			p.fail("data", "is given beside aggregate")
		}
		p = p.object("data")
	}
	g := p.object("aggregate")
	a := eth2.Aggregate{
		AggregatorIndex: p.number("aggregator_index"),
		AggregationBits: g.hexUpTo("aggregation_bits", eth2.MaxAggregationBits),
		Data:            attestationData(g.object("data")),
	}
	g.hex("signature", a.Signature[:])
	if g.has("committee_bits") {
		a.CommitteeBits = new([8]byte)
		g.hex("committee_bits", a.CommitteeBits[:])
	}
	p.hex("selection_proof", a.SelectionProof[:])
	req, err := n.NewAggregateAndProof(f, a, claimed)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", g.path(), err)
	}
	return req, nil
}

func exit(o *object) eth2.Exit {
	return eth2.Exit{Epoch: o.number("epoch"), ValidatorIndex: o.number("validator_index")}
}

// contributionAndProof reads aggregation bits that may be short: test networks have smaller committees.
func contributionAndProof(o *object) (c eth2.ContributionAndProof) {
	n := o.object("contribution")
	c.AggregatorIndex = o.number("aggregator_index")
	c.Slot = n.number("slot")
	c.BeaconBlockRoot = n.root("beacon_block_root")
	c.SubcommitteeIndex = n.number("subcommittee_index")
	copy(c.AggregationBits[:], n.hexUpTo("aggregation_bits", len(c.AggregationBits)))
	n.hex("signature", c.ContributionSignature[:])
	o.hex("selection_proof", c.SelectionProof[:])
	return c
}

func deposit(o *object) (d eth2.DepositMessage) {
	o.hex("pubkey", d.PublicKey[:])
	o.hex("withdrawal_credentials", d.WithdrawalCredentials[:])
	d.Amount = o.number("amount")
	o.hex("genesis_fork_version", d.GenesisForkVersion[:])
	return d
}

func registration(o *object) (r eth2.Registration) {
	o.hex("fee_recipient", r.FeeRecipient[:])
	r.GasLimit = o.number("gas_limit")
	r.Timestamp = o.number("timestamp")
	o.hex("pubkey", r.PublicKey[:])
	return r
}
