package eth2

// Checkpoint is an epoch and the root of its first block.
type Checkpoint struct {
	Epoch uint64
	Root  Root
}

func (c *Checkpoint) root() Root { return pair(number(c.Epoch), c.Root) }

// AttestationData is a vote, the same in every fork.
type AttestationData struct {
	Slot, Index     uint64
	BeaconBlockRoot Root
	Source, Target  Checkpoint
}

func (d *AttestationData) root() Root {
	return container(number(d.Slot), number(d.Index), d.BeaconBlockRoot, d.Source.root(), d.Target.root())
}

// NewAttestation is a request to sign a vote, in the domain of its target's epoch.
func NewAttestation(f ForkInfo, d AttestationData) *AttestationRequest {
	return &AttestationRequest{
		common: onChain(Attestation, d.root(), f.version(d.Target.Epoch), &f),
		Source: d.Source.Epoch,
		Target: d.Target.Epoch,
	}
}

// BlockHeader stands for a block of any fork: its hash-tree root is the block's.
type BlockHeader struct {
	Slot, ProposerIndex             uint64
	ParentRoot, StateRoot, BodyRoot Root
}

// NewBlock is a request to sign a block, in the domain of its slot's epoch.
func (n *Network) NewBlock(f ForkInfo, h BlockHeader) *BlockRequest {
	object := container(number(h.Slot), number(h.ProposerIndex), h.ParentRoot, h.StateRoot, h.BodyRoot)
	return &BlockRequest{
		common: onChain(Block, object, f.version(n.EpochOf(h.Slot)), &f),
		Slot:   h.Slot,
	}
}
