package main

import (
	"github.com/OffchainLabs/prysm/v7/config/params"
	"github.com/OffchainLabs/prysm/v7/consensus-types/primitives"
	eth "github.com/OffchainLabs/prysm/v7/proto/prysm/v1alpha1"
	validatorpb "github.com/OffchainLabs/prysm/v7/proto/prysm/v1alpha1/validator-client"
	fssz "github.com/prysmaticlabs/fastssz"
)

// fullBlock is in the refusal of what no live network has any more: a block without its header.
const fullBlock = "full block"

// blocks are a block of the fork and, where there are builders, a blinded one of the next slot.
func blocks(f fork, slot primitives.Slot) []duty {
	switch f.name {
	case "phase0":
		b := fill(&eth.BeaconBlock{Slot: slot})
		return []duty{proposal("BLOCK", slot, b, &validatorpb.SignRequest{Object: &validatorpb.SignRequest_Block{Block: b}}, fullBlock)}
	case "altair":
		b := fill(&eth.BeaconBlockAltair{Slot: slot})
		return []duty{proposal("BLOCK_V2", slot, b, &validatorpb.SignRequest{Object: &validatorpb.SignRequest_BlockAltair{BlockAltair: b}}, fullBlock)}
	case "bellatrix":
		b, blind := fill(&eth.BeaconBlockBellatrix{Slot: slot}), fill(&eth.BlindedBeaconBlockBellatrix{Slot: slot + 1})
		return both(slot, b, &validatorpb.SignRequest{Object: &validatorpb.SignRequest_BlockBellatrix{BlockBellatrix: b}},
			blind, &validatorpb.SignRequest{Object: &validatorpb.SignRequest_BlindedBlockBellatrix{BlindedBlockBellatrix: blind}})
	case "capella":
		b, blind := fill(&eth.BeaconBlockCapella{Slot: slot}), fill(&eth.BlindedBeaconBlockCapella{Slot: slot + 1})
		return both(slot, b, &validatorpb.SignRequest{Object: &validatorpb.SignRequest_BlockCapella{BlockCapella: b}},
			blind, &validatorpb.SignRequest{Object: &validatorpb.SignRequest_BlindedBlockCapella{BlindedBlockCapella: blind}})
	case "deneb":
		b, blind := fill(&eth.BeaconBlockDeneb{Slot: slot}), fill(&eth.BlindedBeaconBlockDeneb{Slot: slot + 1})
		return both(slot, b, &validatorpb.SignRequest{Object: &validatorpb.SignRequest_BlockDeneb{BlockDeneb: b}},
			blind, &validatorpb.SignRequest{Object: &validatorpb.SignRequest_BlindedBlockDeneb{BlindedBlockDeneb: blind}})
	case "electra":
		b, blind := fill(&eth.BeaconBlockElectra{Slot: slot}), fill(&eth.BlindedBeaconBlockElectra{Slot: slot + 1})
		return both(slot, b, &validatorpb.SignRequest{Object: &validatorpb.SignRequest_BlockElectra{BlockElectra: b}},
			blind, &validatorpb.SignRequest{Object: &validatorpb.SignRequest_BlindedBlockElectra{BlindedBlockElectra: blind}})
	}
	b, blind := fill(&eth.BeaconBlockElectra{Slot: slot}), fill(&eth.BlindedBeaconBlockFulu{Slot: slot + 1})
	return both(slot, b, &validatorpb.SignRequest{Object: &validatorpb.SignRequest_BlockFulu{BlockFulu: b}},
		blind, &validatorpb.SignRequest{Object: &validatorpb.SignRequest_BlindedBlockFulu{BlindedBlockFulu: blind}})
}

func both(slot primitives.Slot, b fssz.HashRoot, r *validatorpb.SignRequest, blind fssz.HashRoot, blindR *validatorpb.SignRequest) []duty {
	return []duty{proposal("BLOCK_V2", slot, b, r, ""), proposal("BLOCK_V2 (blinded)", slot+1, blind, blindR, "")}
}

func proposal(row string, slot primitives.Slot, block fssz.HashRoot, r *validatorpb.SignRequest, refused string) duty {
	return duty{row: row, slot: slot, kind: params.BeaconConfig().DomainBeaconProposer, object: block, request: r, refused: refused}
}
