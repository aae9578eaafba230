package eth2

// NewAggregationSlot is a request to sign a slot, the proof of having been selected as its aggregator.
func (n *Network) NewAggregationSlot(f ForkInfo, slot uint64) *DutyRequest {
	return &DutyRequest{onChain(AggregationSlot, number(slot), f.version(n.EpochOf(slot)), &f)}
}

// NewRandaoReveal is a request to sign an epoch, a proposer's share of the chain's randomness.
func NewRandaoReveal(f ForkInfo, epoch uint64) *DutyRequest {
	return &DutyRequest{onChain(RandaoReveal, number(epoch), f.version(epoch), &f)}
}

// Exit is a validator's wish to leave, from an epoch on.
type Exit struct {
	Epoch, ValidatorIndex uint64
}

// NewVoluntaryExit is a request to sign an exit. Since Deneb an exit is always signed for Capella (EIP-7044), and
// clients disagree about who sees to it: some send Capella's version, some the current one. So every version
// from Deneb on becomes Capella's, and an older one is used as it was sent. A version that the network's table does
// not have may be on either side of Deneb: it is used as sent, unless claimed, the caller's own signing root or nil,
// is that of Capella's.
func (n *Network) NewVoluntaryExit(f ForkInfo, e Exit, claimed *Root) *DutyRequest {
	v := f.version(e.Epoch)
	object := pair(number(e.Epoch), number(e.ValidatorIndex))
	asSent := onChain(VoluntaryExit, object, v, &f)
	if len(n.Versions) <= int(Capella-Phase0) {
		return &DutyRequest{asSent}
	}
	pinned := onChain(VoluntaryExit, object, n.Versions[Capella-Phase0], &f)
	fork := n.fork(v)
	if fork >= Deneb || fork == 0 && claimed != nil && *claimed == pinned.signingRoot {
		return &DutyRequest{pinned}
	}
	return &DutyRequest{asSent}
}

// NewSyncCommitteeMessage is a request to sign a block root as a member of the sync committee.
func (n *Network) NewSyncCommitteeMessage(f ForkInfo, slot uint64, beaconBlockRoot Root) *DutyRequest {
	return &DutyRequest{onChain(SyncCommitteeMessage, beaconBlockRoot, f.version(n.EpochOf(slot)), &f)}
}

// NewSyncCommitteeSelectionProof is a request to sign the proof of having been selected as aggregator of a
// subcommittee.
func (n *Network) NewSyncCommitteeSelectionProof(f ForkInfo, slot, subcommittee uint64) *DutyRequest {
	object := pair(number(slot), number(subcommittee))
	return &DutyRequest{onChain(SyncCommitteeSelectionProof, object, f.version(n.EpochOf(slot)), &f)}
}

// ContributionAndProof is what the aggregator of a sync subcommittee publishes.
type ContributionAndProof struct {
	AggregatorIndex       uint64
	Slot                  uint64
	BeaconBlockRoot       Root
	SubcommitteeIndex     uint64
	AggregationBits       [16]byte // 128 bits, least significant first
	ContributionSignature [96]byte
	SelectionProof        [96]byte
}

// NewContributionAndProof is a request to sign a sync committee contribution.
func (n *Network) NewContributionAndProof(f ForkInfo, c ContributionAndProof) *DutyRequest {
	contribution := container(number(c.Slot), c.BeaconBlockRoot, number(c.SubcommitteeIndex),
		short(c.AggregationBits[:]), signatureRoot(&c.ContributionSignature))
	object := container(number(c.AggregatorIndex), contribution, signatureRoot(&c.SelectionProof))
	return &DutyRequest{onChain(SyncCommitteeContributionAndProof, object, f.version(n.EpochOf(c.Slot)), &f)}
}

// DepositMessage is what a new validator signs before the deposit is made.
type DepositMessage struct {
	PublicKey             [48]byte
	WithdrawalCredentials [32]byte
	Amount                uint64 // Gwei
	GenesisForkVersion    Version
}

// NewDeposit is a request to sign a deposit. It is valid on the chain that has the message's genesis fork version.
func NewDeposit(d DepositMessage) *DutyRequest {
	return &DutyRequest{offChain(Deposit, d.Root(), d.GenesisForkVersion)}
}

// Root is the message's hash-tree root.
func (d *DepositMessage) Root() Root {
	return container(pubkeyRoot(&d.PublicKey), d.WithdrawalCredentials, number(d.Amount))
}

// DataRoot is the hash-tree root of DepositData, the message with its signature.
func (d *DepositMessage) DataRoot(signature [96]byte) Root {
	return container(pubkeyRoot(&d.PublicKey), d.WithdrawalCredentials, number(d.Amount), signatureRoot(&signature))
}

// Registration tells block builders a validator's wishes (builder specification, ValidatorRegistrationV1).
type Registration struct {
	FeeRecipient [20]byte
	GasLimit     uint64
	Timestamp    uint64 // Unix seconds
	PublicKey    [48]byte
}

// NewValidatorRegistration is a request to sign a registration for this network.
func (n *Network) NewValidatorRegistration(r Registration) *DutyRequest {
	object := container(short(r.FeeRecipient[:]), number(r.GasLimit), number(r.Timestamp), pubkeyRoot(&r.PublicKey))
	return &DutyRequest{offChain(ValidatorRegistration, object, n.GenesisForkVersion)}
}
