package eth2

import "fmt"

// MaxExtraData is the most bytes in a payload's extra data (MAX_EXTRA_DATA_BYTES).
const MaxExtraData = 32

// Envelope carries the payload that a bid promised (EIP-7732, ExecutionPayloadEnvelope).
type Envelope struct {
	Payload               Payload
	ExecutionRequests     ExecutionRequests
	BuilderIndex          uint64
	BeaconBlockRoot       Root
	ParentBeaconBlockRoot Root
}

// Payload is the ExecutionPayload of Gloas. Its lists stand as their roots, so that a large payload need not be held.
type Payload struct {
	ParentHash        Root
	FeeRecipient      [20]byte
	StateRoot         Root
	ReceiptsRoot      Root
	LogsBloom         [256]byte
	PrevRandao        Root
	BlockNumber       uint64
	GasLimit, GasUsed uint64
	Timestamp         uint64   // Unix seconds
	ExtraData         []byte   // at most MaxExtraData bytes
	BaseFeePerGas     [32]byte // Wei, little-endian
	BlockHash         Root
	Transactions      Root // of the ProgressiveList of the transactions, each a ProgressiveByteList
	Withdrawals       Root // of the ProgressiveList of Withdrawal
	BlobGasUsed       uint64
	ExcessBlobGas     uint64
	BlockAccessList   Root   // of the ProgressiveByteList (EIP-7928)
	SlotNumber        uint64 // EIP-7843
}

// NewExecutionPayloadEnvelope is a request to sign an envelope, in the domain of its payload's slot. claimed, the caller's
// own signing root or nil, is needed for a fork version that the network does not know. An error says that, or that the
// extra data is too long.
func (n *Network) NewExecutionPayloadEnvelope(f ForkInfo, e Envelope, claimed *Root) (*DutyRequest, error) {
	v := f.version(n.EpochOf(e.Payload.SlotNumber))
	if err := n.mayGrow(v, claimed); err != nil {
		return nil, err
	}
	if size := len(e.Payload.ExtraData); size > MaxExtraData {
		return nil, fmt.Errorf("payload.extra_data: %d bytes are more than %d", size, MaxExtraData)
	}
	object := progressiveContainer(e.Payload.root(), e.ExecutionRequests.root(), number(e.BuilderIndex),
		e.BeaconBlockRoot, e.ParentBeaconBlockRoot)
	return &DutyRequest{onChain(ExecutionPayloadEnvelope, object, v, &f)}, nil
}

func (p *Payload) root() Root {
	return progressiveContainer(p.ParentHash, short(p.FeeRecipient[:]), p.StateRoot, p.ReceiptsRoot,
		bloomRoot(&p.LogsBloom), p.PrevRandao, number(p.BlockNumber), number(p.GasLimit), number(p.GasUsed),
		number(p.Timestamp), bytelist(p.ExtraData, MaxExtraData), p.BaseFeePerGas, p.BlockHash, p.Transactions,
		p.Withdrawals, number(p.BlobGasUsed), number(p.ExcessBlobGas), p.BlockAccessList, number(p.SlotNumber))
}

// Withdrawal moves a validator's balance to the execution layer.
type Withdrawal struct {
	Index, ValidatorIndex uint64
	Address               [20]byte
	Amount                uint64 // Gwei
}

// Root is the hash-tree root.
func (w *Withdrawal) Root() Root {
	return container(number(w.Index), number(w.ValidatorIndex), short(w.Address[:]), number(w.Amount))
}

// ExecutionRequests are what the execution layer asks of the consensus layer in Gloas. Each list stands as the root of
// a ProgressiveList of the type that has its name.
type ExecutionRequests struct {
	Deposits        Root
	Withdrawals     Root
	Consolidations  Root
	BuilderDeposits Root // EIP-8282
	BuilderExits    Root // EIP-8282
}

func (r *ExecutionRequests) root() Root {
	return progressiveContainer(r.Deposits, r.Withdrawals, r.Consolidations, r.BuilderDeposits, r.BuilderExits)
}

// DepositRequest is a validator's deposit (EIP-6110).
type DepositRequest struct {
	PublicKey             [48]byte
	WithdrawalCredentials Root
	Amount                uint64 // Gwei
	Signature             [96]byte
	Index                 uint64
}

// Root is the hash-tree root.
func (r *DepositRequest) Root() Root {
	return container(pubkeyRoot(&r.PublicKey), r.WithdrawalCredentials, number(r.Amount), signatureRoot(&r.Signature),
		number(r.Index))
}

// WithdrawalRequest asks for a validator's balance or exit (EIP-7002).
type WithdrawalRequest struct {
	SourceAddress [20]byte
	PublicKey     [48]byte
	Amount        uint64 // Gwei
}

// Root is the hash-tree root.
func (r *WithdrawalRequest) Root() Root {
	return container(short(r.SourceAddress[:]), pubkeyRoot(&r.PublicKey), number(r.Amount))
}

// ConsolidationRequest asks to move one validator's balance to another (EIP-7251).
type ConsolidationRequest struct {
	SourceAddress                    [20]byte
	SourcePublicKey, TargetPublicKey [48]byte
}

// Root is the hash-tree root.
func (r *ConsolidationRequest) Root() Root {
	return container(short(r.SourceAddress[:]), pubkeyRoot(&r.SourcePublicKey), pubkeyRoot(&r.TargetPublicKey))
}

// BuilderDepositRequest is a builder's deposit (EIP-8282).
type BuilderDepositRequest struct {
	PublicKey             [48]byte
	WithdrawalCredentials Root
	Amount                uint64 // Gwei
	Signature             [96]byte
}

// Root is the hash-tree root.
func (r *BuilderDepositRequest) Root() Root {
	return container(pubkeyRoot(&r.PublicKey), r.WithdrawalCredentials, number(r.Amount), signatureRoot(&r.Signature))
}

// BuilderExitRequest asks for a builder's exit (EIP-8282).
type BuilderExitRequest struct {
	SourceAddress [20]byte
	PublicKey     [48]byte
}

// Root is the hash-tree root.
func (r *BuilderExitRequest) Root() Root {
	return container(short(r.SourceAddress[:]), pubkeyRoot(&r.PublicKey))
}
