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
	name := o.text("type")
	kind, ok := eth2.ParseKind(clip(name))
	if !ok {
		o.fail("type", quote(name)+" is not a known signing type")
	}
	if doc.err != nil {
		return 0, nil, malformed(doc.err)
	}
	c := readClaim(o)
	req, err := build(n, o, kind, c.rootOrNil())
	if doc.err == nil && err == nil {
		c.compare(o, req)
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

// claim is the signing root that the caller computed. It never is what is signed; where the request leaves open what
// it is for, it chooses between roots of our own.
type claim struct {
	field string // its spelling; empty if there is none
	root  eth2.Root
}

// claims reports whether the body has a signing root.
func claims(o *object) bool { return o.has("signingRoot") || o.has("signing_root") }

func readClaim(o *object) (c claim) {
	if name := o.spelling("signingRoot", "signing_root"); o.has(name) {
		c.field, c.root = name, o.root(name)
	}
	return c
}

func (c *claim) rootOrNil() *eth2.Root {
	if c.field == "" {
		return nil
	}
	return &c.root
}

// compare refuses a signing root that differs from ours.
func (c *claim) compare(o *object, req eth2.Request) {
	if computed := req.SigningRoot(); c.field != "" && c.root != computed {
		o.fail(c.field, "differs from the signing root of this request, 0x"+hex.EncodeToString(computed[:]))
	}
}

// build reads the payload of one kind. Its result is of no use if the document has an error.
func build(n *eth2.Network, o *object, kind eth2.Kind, claimed *eth2.Root) (eth2.Request, error) {
	switch kind {
	case eth2.Attestation:
		return eth2.NewAttestation(forkInfo(o), attestationData(o.object("attestation"))), nil
	case eth2.Block:
		return n.NewBlock(forkInfo(o), blockHeader(o)), nil
	case eth2.AggregationSlot:
		return n.NewAggregationSlot(forkInfo(o), o.object("aggregation_slot").number("slot")), nil
	case eth2.AggregateAndProof:
		return aggregateAndProof(n, o, claimed)
	case eth2.Deposit:
		return eth2.NewDeposit(deposit(o.object("deposit"))), nil
	case eth2.RandaoReveal:
		return eth2.NewRandaoReveal(forkInfo(o), o.object("randao_reveal").number("epoch")), nil
	case eth2.VoluntaryExit:
		return n.NewVoluntaryExit(forkInfo(o), exit(o.object("voluntary_exit")), claimed), nil
	case eth2.SyncCommitteeMessage:
		f, m := forkInfo(o), o.object("sync_committee_message")
		return n.NewSyncCommitteeMessage(f, m.number("slot"), m.root("beacon_block_root")), nil
	case eth2.SyncCommitteeSelectionProof:
		f, s := forkInfo(o), o.object("sync_aggregator_selection_data")
		return n.NewSyncCommitteeSelectionProof(f, s.number("slot"), s.number("subcommittee_index")), nil
	case eth2.SyncCommitteeContributionAndProof:
		return n.NewContributionAndProof(forkInfo(o), contributionAndProof(o.object("contribution_and_proof"))), nil
	case eth2.ValidatorRegistration:
		return n.NewValidatorRegistration(registration(o.object("validator_registration"))), nil
	case eth2.ExecutionPayloadBid:
		return n.NewExecutionPayloadBid(forkInfo(o), bid(o), claimed)
	case eth2.ExecutionPayloadEnvelope:
		return n.NewExecutionPayloadEnvelope(forkInfo(o), envelope(o), claimed)
	case eth2.PayloadAttestationMessage:
		return n.NewPayloadAttestation(forkInfo(o), payloadAttestation(o)), nil
	case eth2.ProposerPreferences:
		return n.NewProposerPreferences(forkInfo(o), preferences(o)), nil
	case eth2.BuilderRequestAuth:
		return n.NewBuilderRequestAuth(requestAuth(o))
	}
	return nil, fmt.Errorf("type: %s cannot be signed", kind)
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

// version reads the fork that a payload says it is of, in either case: none before oldest, and zero for one that this
// signer does not know. What zero means is the caller's to decide.
func version(o *object, oldest eth2.Fork) eth2.Fork {
	name := o.text("version")
	if len(name) == 0 {
		o.fail("version", "is empty")
	}
	f, known := eth2.ParseFork(clip(name))
	if known && f < oldest {
		o.fail("version", "is a fork before "+strings.ToUpper(oldest.String()))
	}
	return f
}
