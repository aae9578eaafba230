package eth2

import (
	"encoding/hex"
	"fmt"
)

// Most bits in an aggregate's bit list: one committee before Electra, all committees of a slot since (EIP-7549).
const (
	maxCommittee      = 2048
	maxSlotCommittees = 64 * maxCommittee
)

// MaxAggregationBits is the most bytes in a serialised bit list of an aggregate of any fork: its bits and the length bit.
const MaxAggregationBits = maxSlotCommittees/8 + 1

// Aggregate is what the aggregator of a committee publishes.
type Aggregate struct {
	AggregatorIndex uint64
	AggregationBits []byte // serialised bit list, at most MaxAggregationBits bytes
	Data            AttestationData
	CommitteeBits   *[8]byte // 64 bits; nil in the forks before Electra
	Signature       [96]byte
	SelectionProof  [96]byte
}

// NewAggregateAndProof is a request to sign an aggregate. Which container it is follows from the fork version in
// force. If the network does not know that version, an aggregate without committee bits is phase0's; with them it is
// Electra's or Gloas's, and then the one is taken whose signing root is claimed, the caller's own or nil. This guess
// cannot make anything slashable: an aggregate is none of what can be slashed. An error says what is wrong with the
// aggregate or that signingRoot, the field that claimed comes from, decides nothing.
func (n *Network) NewAggregateAndProof(f ForkInfo, a Aggregate, claimed *Root) (*DutyRequest, error) {
	v := f.version(n.EpochOf(a.Data.Slot))
	fork := n.fork(v)
	switch {
	case fork >= Electra && a.CommitteeBits == nil:
		return nil, fmt.Errorf("committee_bits is missing, and fork version %s is that of %s", v, fork)
	case fork != 0 && fork < Electra && a.CommitteeBits != nil:
		return nil, fmt.Errorf("committee_bits is given, but fork version %s is that of %s", v, fork)
	case fork == 0 && a.CommitteeBits == nil:
		fork = Phase0
	case fork == 0:
		return n.eitherAggregate(f, a, v, claimed)
	}
	return a.request(fork, v, &f)
}

// eitherAggregate chooses between the containers that have committee bits.
func (n *Network) eitherAggregate(f ForkInfo, a Aggregate, v Version, claimed *Root) (*DutyRequest, error) {
	if claimed == nil {
		return nil, fmt.Errorf("fork version %s is not known, and without signingRoot electra's container cannot be told from gloas's", v)
	}
	electra, err := a.request(Electra, v, &f)
	if err != nil {
		return nil, err
	}
	gloas, err := a.request(Gloas, v, &f)
	if err != nil {
		return nil, err
	}
	switch *claimed {
	case electra.signingRoot:
		return electra, nil
	case gloas.signingRoot:
		return gloas, nil
	}
	return nil, fmt.Errorf("fork version %s is not known, and signingRoot is neither that of electra's container, 0x%s, nor of gloas's, 0x%s",
		v, hex.EncodeToString(electra.signingRoot[:]), hex.EncodeToString(gloas.signingRoot[:]))
}

// request is the one to sign the aggregate as the container of a fork.
func (a *Aggregate) request(fork Fork, v Version, f *ForkInfo) (*DutyRequest, error) {
	aggregate, err := a.attestation(fork)
	if err != nil {
		return nil, fmt.Errorf("aggregation_bits: %w", err)
	}
	object := container(number(a.AggregatorIndex), aggregate, signatureRoot(&a.SelectionProof))
	return &DutyRequest{onChain(AggregateAndProof, object, v, f)}, nil
}

// attestation is the root of the aggregate itself: Gloas's progressive container (EIP-7688), Electra's or phase0's.
func (a *Aggregate) attestation(fork Fork) (Root, error) {
	data, signature := a.Data.root(), signatureRoot(&a.Signature)
	switch {
	case fork >= Gloas:
		bits, err := progressiveBitlist(a.AggregationBits, maxSlotCommittees)
		return progressiveContainer(bits, data, signature, short(a.CommitteeBits[:])), err
	case fork >= Electra:
		bits, err := bitlist(a.AggregationBits, maxSlotCommittees)
		return container(bits, data, signature, short(a.CommitteeBits[:])), err
	}
	bits, err := bitlist(a.AggregationBits, maxCommittee)
	return container(bits, data, signature), err
}
