package eth2

import "fmt"

// Most bits in an aggregate's bit list: one committee before Electra, all committees of a slot since (EIP-7549).
const (
	maxCommittee      = 2048
	maxSlotCommittees = 64 * maxCommittee
)

// Aggregate is what the aggregator of a committee publishes.
type Aggregate struct {
	AggregatorIndex uint64
	AggregationBits []byte // serialised bit list
	Data            AttestationData
	CommitteeBits   *[8]byte // 64 bits; nil in the forks before Electra
	Signature       [96]byte
	SelectionProof  [96]byte
}

// NewAggregateAndProof is a request to sign an aggregate. Which container it is follows from the fork version in
// force; if the network does not know that version, from whether there are committee bits. An error says what is
// wrong with the aggregate.
func (n *Network) NewAggregateAndProof(f ForkInfo, a Aggregate) (*DutyRequest, error) {
	v := f.version(epochOf(a.Data.Slot))
	fork := n.fork(v)
	switch {
	case fork == Gloas:
		return nil, fmt.Errorf("aggregates of gloas (fork version %s) cannot be signed yet", v)
	case fork >= Electra && a.CommitteeBits == nil:
		return nil, fmt.Errorf("committee_bits is missing, and fork version %s is that of %s", v, fork)
	case fork != 0 && fork < Electra && a.CommitteeBits != nil:
		return nil, fmt.Errorf("committee_bits is given, but fork version %s is that of %s", v, fork)
	}
	aggregate, err := a.attestation()
	if err != nil {
		return nil, fmt.Errorf("aggregation_bits: %w", err)
	}
	object := container(number(a.AggregatorIndex), aggregate, signatureRoot(&a.SelectionProof))
	return &DutyRequest{onChain(AggregateAndProof, object, v, &f)}, nil
}

// attestation is the root of the aggregate itself: with committee bits Electra's container, else phase0's.
func (a *Aggregate) attestation() (Root, error) {
	if a.CommitteeBits == nil {
		bits, err := bitlist(a.AggregationBits, maxCommittee)
		return container(bits, a.Data.root(), signatureRoot(&a.Signature)), err
	}
	bits, err := bitlist(a.AggregationBits, maxSlotCommittees)
	return container(bits, a.Data.root(), signatureRoot(&a.Signature), short(a.CommitteeBits[:])), err
}
