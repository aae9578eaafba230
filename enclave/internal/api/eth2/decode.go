package eth2

import (
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/problem"
)

// decode reads the body of a signing request. The request is nil if there is an error, a problem.Malformed that names
// the field; the kind is set as soon as the type is known. Fields that are not read are ignored, as the API promises.
func decode(n *eth2.Network, body []byte) (eth2.Kind, eth2.Request, error) {
	doc, o := parse(body)
	kind, ok := eth2.ParseKind(string(o.text("type")))
	if !ok {
		o.fail("type", "is not a known signing type")
	}
	if doc.err != nil {
		return 0, nil, malformed(doc.err)
	}
	req, err := build(n, o, kind)
	if doc.err == nil && err == nil {
		compareRoot(o, req)
	}
	if doc.err != nil { // first: what was built after it was built from zeros
		err = doc.err
	}
	if err != nil {
		return kind, nil, malformed(err)
	}
	return kind, req, nil
}

func malformed(err error) error { return problem.New(problem.Malformed, "%s", err) }

// compareRoot refuses a signing root that differs from ours. It is the caller's claim, never what is signed.
func compareRoot(o *object, req eth2.Request) {
	name := o.spelling("signingRoot", "signing_root")
	if !o.has(name) {
		return
	}
	var claimed eth2.Root
	o.hex(name, claimed[:])
	if computed := req.SigningRoot(); claimed != computed {
		o.fail(name, "differs from the signing root of this request, 0x"+hex.EncodeToString(computed[:]))
	}
}

// build reads the payload of one kind. Its result is of no use if the document has an error.
func build(n *eth2.Network, o *object, kind eth2.Kind) (eth2.Request, error) {
	switch kind {
	case eth2.Attestation:
		return eth2.NewAttestation(forkInfo(o), attestationData(o.object("attestation"))), nil
	case eth2.Block:
		return eth2.NewBlock(forkInfo(o), blockHeader(o)), nil
	case eth2.AggregationSlot:
		return eth2.NewAggregationSlot(forkInfo(o), o.object("aggregation_slot").number("slot")), nil
	case eth2.AggregateAndProof:
		return aggregateAndProof(n, o)
	case eth2.Deposit:
		return eth2.NewDeposit(deposit(o.object("deposit"))), nil
	case eth2.RandaoReveal:
		return eth2.NewRandaoReveal(forkInfo(o), o.object("randao_reveal").number("epoch")), nil
	case eth2.VoluntaryExit:
		f, e := forkInfo(o), o.object("voluntary_exit")
		return n.NewVoluntaryExit(f, eth2.Exit{Epoch: e.number("epoch"), ValidatorIndex: e.number("validator_index")}), nil
	case eth2.SyncCommitteeMessage:
		f, m := forkInfo(o), o.object("sync_committee_message")
		return eth2.NewSyncCommitteeMessage(f, m.number("slot"), m.root("beacon_block_root")), nil
	case eth2.SyncCommitteeSelectionProof:
		f, s := forkInfo(o), o.object("sync_aggregator_selection_data")
		return eth2.NewSyncCommitteeSelectionProof(f, s.number("slot"), s.number("subcommittee_index")), nil
	case eth2.SyncCommitteeContributionAndProof:
		return eth2.NewContributionAndProof(forkInfo(o), contributionAndProof(o.object("contribution_and_proof"))), nil
	case eth2.ValidatorRegistration:
		return n.NewValidatorRegistration(registration(o.object("validator_registration"))), nil
	}
	return nil, fmt.Errorf("type: %s cannot be signed", kind)
}

// root reads 32 bytes.
func (o *object) root(name string) (r eth2.Root) {
	o.hex(name, r[:])
	return r
}

// forkInfo reads what most requests name beside their payload. The versions come in two spellings: the API's own
// examples have the second.
func forkInfo(o *object) (f eth2.ForkInfo) {
	info := o.object("fork_info")
	fork := info.object("fork")
	fork.hex(fork.spelling("previous_version", "previousVersion"), f.Previous[:])
	fork.hex(fork.spelling("current_version", "currentVersion"), f.Current[:])
	f.Epoch = fork.number("epoch")
	f.ValidatorsRoot = info.root("genesis_validators_root")
	return f
}

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

// blockHeader reads the header that stands for a block. Full blocks were sent only before Bellatrix, and no
// network is there any more.
func blockHeader(o *object) eth2.BlockHeader {
	const full = "is a full block; only BLOCK_V2 with beacon_block.block_header is signed"
	if !o.has("beacon_block") && o.has("block") {
		o.fail("block", full)
	}
	b := o.object("beacon_block")
	if !b.has("block_header") && b.has("block") {
		b.fail("block", full)
	}
	if !hasHeaders(string(b.text("version"))) {
		b.fail("version", "is not a fork from BELLATRIX to GLOAS")
	}
	h := b.object("block_header")
	return eth2.BlockHeader{
		Slot:          h.number("slot"),
		ProposerIndex: h.number("proposer_index"),
		ParentRoot:    h.root("parent_root"),
		StateRoot:     h.root("state_root"),
		BodyRoot:      h.root("body_root"),
	}
}

// hasHeaders reports whether name is a fork whose blocks are sent as headers.
func hasHeaders(name string) bool {
	for f := eth2.Bellatrix; f <= eth2.Gloas; f++ {
		if strings.EqualFold(name, f.String()) {
			return true
		}
	}
	return false
}

// aggregateAndProof reads either shape under either type name, as clients send them: bare, or in data beside a
// version. The version is not read: which container it is follows from the fork version.
func aggregateAndProof(n *eth2.Network, o *object) (eth2.Request, error) {
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
		AggregationBits: g.hexAny("aggregation_bits"),
		Data:            attestationData(g.object("data")),
	}
	g.hex("signature", a.Signature[:])
	if g.has("committee_bits") {
		a.CommitteeBits = new([8]byte)
		g.hex("committee_bits", a.CommitteeBits[:])
	}
	p.hex("selection_proof", a.SelectionProof[:])
	req, err := n.NewAggregateAndProof(f, a)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", g.path(), err)
	}
	return req, nil
}

// contributionAndProof reads aggregation bits that may be short: test networks have smaller committees.
func contributionAndProof(o *object) (c eth2.ContributionAndProof) {
	n := o.object("contribution")
	c.AggregatorIndex = o.number("aggregator_index")
	c.Slot = n.number("slot")
	c.BeaconBlockRoot = n.root("beacon_block_root")
	c.SubcommitteeIndex = n.number("subcommittee_index")
	n.hexUpTo("aggregation_bits", c.AggregationBits[:])
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
