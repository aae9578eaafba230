package eth2

// domainType begins a domain and says what kind of thing is signed: phase0, altair, gloas and builder
// specifications.
type domainType [4]byte

func (k Kind) domainType() domainType {
	switch k {
	case Block:
		return domainType{0x00}
	case Attestation:
		return domainType{0x01}
	case RandaoReveal:
		return domainType{0x02}
	case Deposit:
		return domainType{0x03}
	case VoluntaryExit:
		return domainType{0x04}
	case AggregationSlot:
		return domainType{0x05}
	case AggregateAndProof:
		return domainType{0x06}
	case SyncCommitteeMessage:
		return domainType{0x07}
	case SyncCommitteeSelectionProof:
		return domainType{0x08}
	case SyncCommitteeContributionAndProof:
		return domainType{0x09}
	case ValidatorRegistration:
		return domainType{0, 0, 0, 1}
	case ExecutionPayloadBid, ExecutionPayloadEnvelope:
		return domainType{0x0b}
	case PayloadAttestationMessage:
		return domainType{0x0c}
	case ProposerPreferences:
		return domainType{0x0d}
	case BuilderRequestAuth:
		return domainType{0x0b, 0, 0, 1}
	}
	return domainType{0xff, 0xff, 0xff, 0xff} // no kind: a domain that nothing uses
}

// ForkInfo is the fork that a request names. It is the caller's word: some clients send the message's epoch as the
// fork's, so Epoch is never compared with a table.
type ForkInfo struct {
	Previous, Current Version
	Epoch             uint64
	ValidatorsRoot    Root // genesis validators root
}

// version is the one in force at epoch.
func (f *ForkInfo) version(epoch uint64) Version {
	if epoch < f.Epoch {
		return f.Previous
	}
	return f.Current
}

// signingRoot is what is signed for an object: its root together with its domain.
func signingRoot(object Root, k Kind, v Version, validatorsRoot Root) Root {
	t := k.domainType()
	forkData := pair(short(v[:]), validatorsRoot)
	var domain Root
	copy(domain[:], t[:])
	copy(domain[len(t):], forkData[:])
	return pair(object, domain)
}

// onChain is a request whose domain belongs to one chain.
func onChain(k Kind, object Root, v Version, f *ForkInfo) common {
	return common{
		kind:           k,
		signingRoot:    signingRoot(object, k, v, f.ValidatorsRoot),
		validatorsRoot: f.ValidatorsRoot,
		hasNetwork:     true,
	}
}

// offChain is a request whose domain has a zero genesis validators root.
func offChain(k Kind, object Root, v Version) common {
	return common{kind: k, signingRoot: signingRoot(object, k, v, Root{})}
}
