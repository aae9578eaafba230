package rig

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
)

// Hoodi is the network that duties are signed for, on Fulu.
func Hoodi() (*eth2.Network, eth2.ForkInfo) {
	n, err := eth2.NetworkByName("hoodi")
	if err != nil {
		panic(err) // a name in this file
	}
	electra, fulu := n.Versions[eth2.Electra-eth2.Phase0], n.Versions[eth2.Fulu-eth2.Phase0]
	return n, eth2.ForkInfo{Previous: electra, Current: fulu, Epoch: 50688, ValidatorsRoot: n.ValidatorsRoot}
}

// CurrentEpoch is the epoch that hoodi is in.
func CurrentEpoch() uint64 {
	n, _ := Hoodi()
	seconds := uint64(time.Now().Unix()) - n.GenesisTime
	return seconds / (n.SecondsPerSlot * n.SlotsPerEpoch)
}

// Vote is the body of an ATTESTATION request, as a validator client would send it.
func Vote(source, target uint64) map[string]any {
	n, fork := Hoodi()
	data := eth2.AttestationData{
		Slot: target * n.SlotsPerEpoch, BeaconBlockRoot: blockRoot(target),
		Source: eth2.Checkpoint{Epoch: source, Root: blockRoot(source)}, Target: eth2.Checkpoint{Epoch: target, Root: blockRoot(target)},
	}
	checkpoint := func(c eth2.Checkpoint) map[string]any {
		return map[string]any{"epoch": number(c.Epoch), "root": hexRoot(c.Root)}
	}
	return map[string]any{
		"type": "ATTESTATION", "fork_info": forkInfo(), "signingRoot": hexRoot(eth2.NewAttestation(fork, data).SigningRoot()),
		"attestation": map[string]any{
			"slot": number(data.Slot), "index": "0", "beacon_block_root": hexRoot(data.BeaconBlockRoot),
			"source": checkpoint(data.Source), "target": checkpoint(data.Target),
		},
	}
}

// BlockHeader is the body of a BLOCK_V2 request.
func BlockHeader(slot uint64) map[string]any {
	n, fork := Hoodi()
	header := eth2.BlockHeader{
		Slot: slot, ProposerIndex: 7,
		ParentRoot: blockRoot(slot - 1), StateRoot: blockRoot(slot), BodyRoot: blockRoot(slot + 1),
	}
	return map[string]any{
		"type": "BLOCK_V2", "fork_info": forkInfo(), "signingRoot": hexRoot(n.NewBlock(fork, header).SigningRoot()),
		"beacon_block": map[string]any{
			"version": "FULU",
			"block_header": map[string]any{
				"slot": number(slot), "proposer_index": number(header.ProposerIndex),
				"parent_root": hexRoot(header.ParentRoot), "state_root": hexRoot(header.StateRoot), "body_root": hexRoot(header.BodyRoot),
			},
		},
	}
}

// Reveal is the body of a RANDAO_REVEAL request, which cannot be slashed.
func Reveal(epoch uint64) map[string]any {
	return map[string]any{"type": "RANDAO_REVEAL", "fork_info": forkInfo(), "randao_reveal": map[string]any{"epoch": number(epoch)}}
}

func forkInfo() map[string]any {
	_, fork := Hoodi()
	return map[string]any{
		"fork": map[string]any{
			"previous_version": fork.Previous.String(), "current_version": fork.Current.String(), "epoch": number(fork.Epoch),
		},
		"genesis_validators_root": hexRoot(fork.ValidatorsRoot),
	}
}

// blockRoot stands for the root of a block: the same number gives the same root, so that a second run within an
// epoch asks for the identical signature.
func blockRoot(n uint64) eth2.Root {
	var r eth2.Root
	copy(r[:], "demonstration block "+number(n))
	return r
}

func number(n uint64) string { return strconv.FormatUint(n, 10) }

func hexRoot(r eth2.Root) string { return "0x" + hex.EncodeToString(r[:]) }

// Verify checks a signature over the signing root that the request names, which was computed here.
func Verify(key string, request map[string]any, signature string) error {
	public, err := bls.ParsePublicKey(key)
	if err != nil {
		return err
	}
	raw, err := hex.DecodeString(strings.TrimPrefix(signature, "0x"))
	if err != nil || len(raw) != len(bls.Signature{}) {
		return fmt.Errorf("%q is not a signature", signature)
	}
	named, ok := request["signingRoot"].(string)
	root, err := hex.DecodeString(strings.TrimPrefix(named, "0x"))
	if err != nil || !ok || len(root) != len(eth2.Root{}) {
		return fmt.Errorf("the %v names no signing root", request["type"])
	}
	if !bls.Verify(public, [32]byte(root), bls.Signature(raw)) {
		return fmt.Errorf("the signature of the %v does not verify under key %s", request["type"], public.Short())
	}
	return nil
}
