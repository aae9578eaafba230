package eth2

import "github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"

// maxCommitments is the most blob commitments read from a bid (MAX_BLOB_COMMITMENTS_PER_BLOCK).
const maxCommitments = 4096

// versioned reads a payload that the API puts in data beside a version, or that is bare, as Lighthouse and older
// Lodestar send it. Names are its spellings. A payload may have a data field of its own, but that is no object.
// slot is a field of the payload that must then not stand beside data. A version that is not known is read as Gloas's, so
// that a fork that changes nothing here needs no release, but only beside a signing root, which finds out one that does.
func versioned(o *object, slot, name string, aliases ...string) *object {
	p := o.object(o.spelling(name, aliases...))
	if !p.isObject("data") {
		return p
	}
	if p.has(slot) {
		p.fail("data", "is given beside "+slot)
	}
	if version(p, eth2.Gloas) == 0 && !claims(o) {
		p.fail("version", "is not a known fork, and without signingRoot its payload cannot be told from GLOAS's")
	}
	return p.object("data")
}

func bid(o *object) (b eth2.Bid) {
	p := versioned(o, "slot", "execution_payload_bid")
	b.ParentBlockHash = p.root("parent_block_hash")
	b.ParentBlockRoot = p.root("parent_block_root")
	b.BlockHash = p.root("block_hash")
	b.PrevRandao = p.root("prev_randao")
	p.hex("fee_recipient", b.FeeRecipient[:])
	b.GasLimit = p.number("gas_limit")
	b.BuilderIndex = p.number("builder_index")
	b.Slot = p.number("slot")
	b.Value = p.number("value")
	b.ExecutionPayment = p.number("execution_payment")
	var commitments eth2.ProgressiveList
	for c := range p.array("blob_kzg_commitments", maxCommitments) {
		var commitment [48]byte
		c.hex(commitment[:])
		commitments.Add(eth2.CommitmentRoot(&commitment))
	}
	b.BlobKZGCommitments = commitments.Root()
	b.ExecutionRequestsRoot = p.root("execution_requests_root")
	return b
}

func payloadAttestation(o *object) eth2.PayloadAttestation {
	p := versioned(o, "slot", "payload_attestation_message", "payload_attestation_data", "payload_attestation")
	return eth2.PayloadAttestation{
		BeaconBlockRoot:   p.root("beacon_block_root"),
		Slot:              p.number("slot"),
		PayloadPresent:    p.boolean("payload_present"),
		BlobDataAvailable: p.boolean("blob_data_available"),
	}
}

func preferences(o *object) (r eth2.Preferences) {
	p := versioned(o, "proposal_slot", "proposer_preferences")
	r.DependentRoot = p.root("dependent_root")
	r.ProposalSlot = p.number("proposal_slot")
	r.ValidatorIndex = p.number("validator_index")
	p.hex("fee_recipient", r.FeeRecipient[:])
	r.TargetGasLimit = p.number("target_gas_limit")
	return r
}

// requestAuth reads no fork_info: the domain is that of the network's genesis.
func requestAuth(o *object) eth2.RequestAuth {
	p := versioned(o, "slot", "builder_request_auth", "request_auth")
	return eth2.RequestAuth{Data: p.hexUpTo("data", eth2.MaxRequestAuthData), Slot: p.number("slot")}
}
