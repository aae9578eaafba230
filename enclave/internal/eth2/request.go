// Package eth2 knows the things a validator signs: their roots, their domains, and the networks they are for.
package eth2

// Kind is what a request asks to sign. Zero is no kind.
type Kind uint8

// The kinds, as the Web3Signer eth2 API names them. AGGREGATE_AND_PROOF_V2 is AggregateAndProof too.
const (
	Attestation Kind = iota + 1
	Block
	AggregationSlot
	AggregateAndProof
	Deposit
	RandaoReveal
	VoluntaryExit
	SyncCommitteeMessage
	SyncCommitteeSelectionProof
	SyncCommitteeContributionAndProof
	ValidatorRegistration
	ExecutionPayloadBid
	ExecutionPayloadEnvelope
	PayloadAttestationMessage
	ProposerPreferences
	BuilderRequestAuth
)

// Root is the hash-tree root of something, or a signing root.
type Root [32]byte

// Request is one signable thing, parsed once: its signing root is computed and agrees with the caller's.
// The set is closed: *AttestationRequest, *BlockRequest and *DutyRequest.
type Request interface {
	Kind() Kind
	// SigningRoot is what the key signs: hash-tree root of object root and domain.
	SigningRoot() Root
	// ValidatorsRoot is the genesis validators root of the request's domain; ok is false for kinds whose
	// domain has none, which the network guard lets pass.
	ValidatorsRoot() (root Root, ok bool)

	sealed()
}

// common is what every request has.
type common struct {
	kind           Kind
	signingRoot    Root
	validatorsRoot Root
	hasNetwork     bool
}

func (c *common) Kind() Kind                   { return c.kind }
func (c *common) SigningRoot() Root            { return c.signingRoot }
func (c *common) ValidatorsRoot() (Root, bool) { return c.validatorsRoot, c.hasNetwork }
func (c *common) sealed()                      {}

// AttestationRequest is a vote: slashable.
type AttestationRequest struct {
	common
	Source uint64 // epoch
	Target uint64 // epoch
}

// BlockRequest is a proposal: slashable.
type BlockRequest struct {
	common
	Slot uint64
}

// DutyRequest is anything that cannot be slashed.
type DutyRequest struct{ common }
