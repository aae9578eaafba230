package eth2

import "strings"

// String is the kind's type name in the Web3Signer eth2 API, and "UNKNOWN" for what is no kind.
func (k Kind) String() string {
	switch k {
	case Attestation:
		return "ATTESTATION"
	case Block:
		return "BLOCK_V2"
	case AggregationSlot:
		return "AGGREGATION_SLOT"
	case AggregateAndProof:
		return "AGGREGATE_AND_PROOF"
	case Deposit:
		return "DEPOSIT"
	case RandaoReveal:
		return "RANDAO_REVEAL"
	case VoluntaryExit:
		return "VOLUNTARY_EXIT"
	case SyncCommitteeMessage:
		return "SYNC_COMMITTEE_MESSAGE"
	case SyncCommitteeSelectionProof:
		return "SYNC_COMMITTEE_SELECTION_PROOF"
	case SyncCommitteeContributionAndProof:
		return "SYNC_COMMITTEE_CONTRIBUTION_AND_PROOF"
	case ValidatorRegistration:
		return "VALIDATOR_REGISTRATION"
	}
	return "UNKNOWN"
}

// ParseKind returns the kind with a type name, in either case; ok is false if there is none. BLOCK is Block and
// AGGREGATE_AND_PROOF_V2 is AggregateAndProof, so that a rule about either name holds for both.
func ParseKind(name string) (k Kind, ok bool) {
	switch {
	case strings.EqualFold(name, "BLOCK"):
		return Block, true
	case strings.EqualFold(name, "AGGREGATE_AND_PROOF_V2"):
		return AggregateAndProof, true
	}
	for k := Attestation; k <= ValidatorRegistration; k++ {
		if strings.EqualFold(name, k.String()) {
			return k, true
		}
	}
	return 0, false
}
