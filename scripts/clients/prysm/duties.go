package main

import (
	"github.com/OffchainLabs/go-bitfield"
	"github.com/OffchainLabs/prysm/v7/beacon-chain/core/signing"
	"github.com/OffchainLabs/prysm/v7/config/params"
	"github.com/OffchainLabs/prysm/v7/consensus-types/primitives"
	eth "github.com/OffchainLabs/prysm/v7/proto/prysm/v1alpha1"
	validatorpb "github.com/OffchainLabs/prysm/v7/proto/prysm/v1alpha1/validator-client"
	"github.com/OffchainLabs/prysm/v7/time/slots"
	fssz "github.com/prysmaticlabs/fastssz"
)

// duty is one message to be signed.
type duty struct {
	row     string // in the table
	request *validatorpb.SignRequest
	object  fssz.HashRoot
	kind    [4]byte // domain type
	slot    primitives.Slot
	exit    bool   // its domain follows EIP-7044
	genesis bool   // its domain is of no chain
	astray  bool   // sent with another network's validators root
	refused string // words of the refusal, where there must be one
}

// domain is what a beacon node answers when Prysm's validator asks it for the domain.
func (d duty) domain() ([]byte, error) {
	cfg := params.BeaconConfig()
	if d.genesis {
		return signing.ComputeDomain(d.kind, nil, nil)
	}
	epoch := slots.ToEpoch(d.slot)
	f, err := params.Fork(epoch)
	if err != nil {
		return nil, err
	}
	if d.exit && epoch >= cfg.DenebForkEpoch {
		f = &eth.Fork{PreviousVersion: cfg.CapellaForkVersion, CurrentVersion: cfg.CapellaForkVersion, Epoch: cfg.CapellaForkEpoch}
	}
	root := cfg.GenesisValidatorsRoot[:]
	if d.astray {
		root = otherValidatorsRoot()
	}
	return signing.Domain(f, epoch, d.kind, root)
}

// duties are those of the fork, with what must be refused at the end.
func duties(f fork, key [48]byte) []duty {
	cfg := params.BeaconConfig()
	slot := cfg.SlotsPerEpoch.Mul(uint64(f.epoch)) + 1
	exit := fill(&eth.VoluntaryExit{Epoch: f.epoch, ValidatorIndex: 7})
	selection, epoch := primitives.SSZUint64(slot), primitives.SSZUint64(f.epoch)
	list := []duty{
		{
			row: "AGGREGATION_SLOT", slot: slot, kind: cfg.DomainSelectionProof, object: &selection,
			request: &validatorpb.SignRequest{Object: &validatorpb.SignRequest_Slot{Slot: slot}},
		},
		aggregate(f),
		vote(f, 3),
		{
			row: "RANDAO_REVEAL", slot: slot, kind: cfg.DomainRandao, object: &epoch,
			request: &validatorpb.SignRequest{Object: &validatorpb.SignRequest_Epoch{Epoch: f.epoch}},
		},
		{
			row: "VOLUNTARY_EXIT", slot: slot, kind: cfg.DomainVoluntaryExit, object: exit, exit: true,
			request: &validatorpb.SignRequest{Object: &validatorpb.SignRequest_Exit{Exit: exit}},
		},
	}
	list = append(list, blocks(f, slot)...)
	if f.from("altair") {
		list = append(list, syncDuties(slot)...)
	}
	if f.from("bellatrix") {
		list = append(list, registration(slot, key))
	}
	double := vote(f, 99)
	double.row, double.refused = "(double vote)", "double vote"
	astray := vote(fork{name: f.name, epoch: f.epoch + 2}, 3)
	astray.row, astray.refused, astray.astray = "(other network)", "genesis validators root", true
	return append(list, double, astray)
}

func attestationData(f fork, b byte) *eth.AttestationData {
	return &eth.AttestationData{
		Slot:            params.BeaconConfig().SlotsPerEpoch.Mul(uint64(f.epoch + 1)),
		BeaconBlockRoot: repeat(b, 32),
		Source:          &eth.Checkpoint{Epoch: f.epoch, Root: repeat(1, 32)},
		Target:          &eth.Checkpoint{Epoch: f.epoch + 1, Root: repeat(2, 32)},
	}
}

// vote is an attestation from the fork's epoch to the next; the byte tells two votes with the same epochs apart.
func vote(f fork, b byte) duty {
	data := attestationData(f, b)
	return duty{
		row: "ATTESTATION", slot: data.Slot, kind: params.BeaconConfig().DomainBeaconAttester, object: data,
		request: &validatorpb.SignRequest{Object: &validatorpb.SignRequest_AttestationData{AttestationData: data}},
	}
}

func aggregate(f fork) duty {
	data := attestationData(f, 3)
	d := duty{row: "AGGREGATE_AND_PROOF_V2", slot: data.Slot, kind: params.BeaconConfig().DomainAggregateAndProof}
	if f.from("electra") {
		bits := bitfield.NewBitvector64()
		bits.SetBitAt(5, true)
		object := fill(&eth.AggregateAttestationAndProofElectra{
			AggregatorIndex: 7,
			Aggregate:       &eth.AttestationElectra{AggregationBits: bitfield.NewBitlist(300), Data: data, CommitteeBits: bits},
		})
		d.object = object
		d.request = &validatorpb.SignRequest{Object: &validatorpb.SignRequest_AggregateAttestationAndProofElectra{AggregateAttestationAndProofElectra: object}}
		return d
	}
	object := fill(&eth.AggregateAttestationAndProof{
		AggregatorIndex: 7,
		Aggregate:       &eth.Attestation{AggregationBits: bitfield.NewBitlist(300), Data: data},
	})
	d.object = object
	d.request = &validatorpb.SignRequest{Object: &validatorpb.SignRequest_AggregateAttestationAndProof{AggregateAttestationAndProof: object}}
	return d
}

func syncDuties(slot primitives.Slot) []duty {
	cfg := params.BeaconConfig()
	root := primitives.SSZBytes(repeat(8, 32))
	selection := &eth.SyncAggregatorSelectionData{Slot: slot, SubcommitteeIndex: 2}
	contribution := fill(&eth.ContributionAndProof{AggregatorIndex: 7, Contribution: &eth.SyncCommitteeContribution{Slot: slot, SubcommitteeIndex: 2}})
	return []duty{
		{
			row: "SYNC_COMMITTEE_MESSAGE", slot: slot, kind: cfg.DomainSyncCommittee, object: &root,
			request: &validatorpb.SignRequest{Object: &validatorpb.SignRequest_SyncMessageBlockRoot{SyncMessageBlockRoot: root}},
		},
		{
			row: "SYNC_COMMITTEE_SELECTION_PROOF", slot: slot, kind: cfg.DomainSyncCommitteeSelectionProof, object: selection,
			request: &validatorpb.SignRequest{Object: &validatorpb.SignRequest_SyncAggregatorSelectionData{SyncAggregatorSelectionData: selection}},
		},
		{
			row: "SYNC_COMMITTEE_CONTRIBUTION_AND_PROOF", slot: slot, kind: cfg.DomainContributionAndProof, object: contribution,
			request: &validatorpb.SignRequest{Object: &validatorpb.SignRequest_ContributionAndProof{ContributionAndProof: contribution}},
		},
	}
}

func registration(slot primitives.Slot, key [48]byte) duty {
	object := fill(&eth.ValidatorRegistrationV1{GasLimit: 36_000_000, Timestamp: 1_700_000_000, Pubkey: key[:]})
	return duty{
		row: "VALIDATOR_REGISTRATION", slot: slot, kind: params.BeaconConfig().DomainApplicationBuilder, object: object, genesis: true,
		request: &validatorpb.SignRequest{Object: &validatorpb.SignRequest_Registration{Registration: object}},
	}
}
