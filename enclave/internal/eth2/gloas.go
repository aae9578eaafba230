package eth2

import "fmt"

// MaxRequestAuthData is the most bytes in the data of a RequestAuth (builder specification, MAX_BUILDER_AUTH_DATA_SIZE).
const MaxRequestAuthData = 4096

// Bid is a builder's offer to deliver the payload of a block (EIP-7732, ExecutionPayloadBid).
type Bid struct {
	ParentBlockHash, ParentBlockRoot Root
	BlockHash, PrevRandao            Root
	FeeRecipient                     [20]byte
	GasLimit                         uint64
	BuilderIndex                     uint64
	Slot                             uint64
	Value, ExecutionPayment          uint64 // Gwei
	BlobKZGCommitments               Root   // of the ProgressiveList of the commitments' roots
	ExecutionRequestsRoot            Root
}

// NewExecutionPayloadBid is a request to sign a bid. claimed, the caller's own signing root or nil, is needed for a fork
// version that the network does not know: Heze's bid has one field more (EIP-7805).
func (n *Network) NewExecutionPayloadBid(f ForkInfo, b Bid, claimed *Root) (*DutyRequest, error) {
	v := f.version(n.EpochOf(b.Slot))
	if err := n.mayGrow(v, claimed); err != nil {
		return nil, err
	}
	object := progressiveContainer(b.ParentBlockHash, b.ParentBlockRoot, b.BlockHash, b.PrevRandao,
		short(b.FeeRecipient[:]), number(b.GasLimit), number(b.BuilderIndex), number(b.Slot), number(b.Value),
		number(b.ExecutionPayment), b.BlobKZGCommitments, b.ExecutionRequestsRoot)
	return &DutyRequest{onChain(ExecutionPayloadBid, object, v, &f)}, nil
}

// mayGrow refuses Gloas's progressive container for a version that may be a later fork's, unless the caller has a signing
// root to compare: such containers are made to get more fields (EIP-7495).
func (n *Network) mayGrow(v Version, claimed *Root) error {
	if claimed == nil && n.fork(v) == 0 {
		return fmt.Errorf("signingRoot: is missing, and without it gloas's container cannot be told from that of fork version %s, which is not known", v)
	}
	return nil
}

// CommitmentRoot is the root of a KZG commitment, an element of Bid.BlobKZGCommitments.
func CommitmentRoot(c *[48]byte) Root { return pubkeyRoot(c) }

// PayloadAttestation is the vote of a member of the payload timeliness committee (EIP-7732, PayloadAttestationData).
// It is not slashable.
type PayloadAttestation struct {
	BeaconBlockRoot   Root
	Slot              uint64
	PayloadPresent    bool
	BlobDataAvailable bool
}

// NewPayloadAttestation is a request to sign such a vote.
func (n *Network) NewPayloadAttestation(f ForkInfo, a PayloadAttestation) *DutyRequest {
	object := container(a.BeaconBlockRoot, number(a.Slot), boolean(a.PayloadPresent), boolean(a.BlobDataAvailable))
	return &DutyRequest{onChain(PayloadAttestationMessage, object, f.version(n.EpochOf(a.Slot)), &f)}
}

// Preferences tell builders what the proposer of a slot wishes (EIP-7732, ProposerPreferences).
type Preferences struct {
	DependentRoot  Root
	ProposalSlot   uint64
	ValidatorIndex uint64
	FeeRecipient   [20]byte
	TargetGasLimit uint64
}

// NewProposerPreferences is a request to sign preferences, in the domain of the proposal's epoch.
func (n *Network) NewProposerPreferences(f ForkInfo, p Preferences) *DutyRequest {
	object := container(p.DependentRoot, number(p.ProposalSlot), number(p.ValidatorIndex),
		short(p.FeeRecipient[:]), number(p.TargetGasLimit))
	return &DutyRequest{onChain(ProposerPreferences, object, f.version(n.EpochOf(p.ProposalSlot)), &f)}
}

// RequestAuth shows a builder who asks (builder specification, RequestAuth).
type RequestAuth struct {
	Data []byte // at most MaxRequestAuthData bytes
	Slot uint64
}

// NewBuilderRequestAuth is a request to sign it, for this network's genesis fork version and no chain's validators. An
// error says that the data is too long.
func (n *Network) NewBuilderRequestAuth(a RequestAuth) (*DutyRequest, error) {
	if len(a.Data) > MaxRequestAuthData {
		return nil, fmt.Errorf("data: %d bytes are more than %d", len(a.Data), MaxRequestAuthData)
	}
	object := pair(bytelist(a.Data, MaxRequestAuthData), number(a.Slot))
	return &DutyRequest{offChain(BuilderRequestAuth, object, n.GenesisForkVersion)}, nil
}
