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
	case ExecutionPayloadBid:
		return "EXECUTION_PAYLOAD_BID"
	case ExecutionPayloadEnvelope:
		return "EXECUTION_PAYLOAD_ENVELOPE"
	case PayloadAttestationMessage:
		return "PAYLOAD_ATTESTATION_MESSAGE"
	case ProposerPreferences:
		return "PROPOSER_PREFERENCES"
	case BuilderRequestAuth:
		return "BUILDER_REQUEST_AUTH"
	}
	return "UNKNOWN"
}

// ParseKind returns the kind with a type name, in either case; ok is false if there is none. Some kinds have a second
// name, so that a rule about either holds for both: BLOCK and AGGREGATE_AND_PROOF_V2 in the API itself,
// PAYLOAD_ATTESTATION (Lighthouse, older Lodestar) and REQUEST_AUTH (Lighthouse) in clients.
func ParseKind(name string) (k Kind, ok bool) {
	for k := Attestation; k <= BuilderRequestAuth; k++ {
		if strings.EqualFold(name, k.String()) {
			return k, true
		}
	}
	switch {
	case strings.EqualFold(name, "BLOCK"):
		return Block, true
	case strings.EqualFold(name, "AGGREGATE_AND_PROOF_V2"):
		return AggregateAndProof, true
	case strings.EqualFold(name, "PAYLOAD_ATTESTATION"):
		return PayloadAttestationMessage, true
	case strings.EqualFold(name, "REQUEST_AUTH"):
		return BuilderRequestAuth, true
	}
	return 0, false
}
