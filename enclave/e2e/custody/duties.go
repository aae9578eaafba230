package main

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
)

// fork is what duties are signed for: hoodi, on Fulu.
func fork() (*eth2.Network, eth2.ForkInfo) {
	n, err := eth2.NetworkByName("hoodi")
	if err != nil {
		panic(err) // a name in this file
	}
	electra, fulu := n.Versions[eth2.Electra-eth2.Phase0], n.Versions[eth2.Fulu-eth2.Phase0]
	return n, eth2.ForkInfo{Previous: electra, Current: fulu, Epoch: 50688, ValidatorsRoot: n.ValidatorsRoot}
}

// firstEpoch is one that leaves room for more votes than the story has, and is not before the fork.
func firstEpoch() uint64 {
	n, _ := fork()
	seconds := uint64(time.Now().Unix()) - n.GenesisTime
	return seconds/(n.SecondsPerSlot*n.SlotsPerEpoch) - 1000
}

// vote is the body of an ATTESTATION request.
func vote(source, target uint64) map[string]any {
	n, f := fork()
	data := eth2.AttestationData{
		Slot: target * n.SlotsPerEpoch, BeaconBlockRoot: blockRoot(target),
		Source: eth2.Checkpoint{Epoch: source, Root: blockRoot(source)}, Target: eth2.Checkpoint{Epoch: target, Root: blockRoot(target)},
	}
	root := eth2.NewAttestation(f, data).SigningRoot()
	checkpoint := func(c eth2.Checkpoint) map[string]any {
		return map[string]any{"epoch": number(c.Epoch), "root": text(c.Root)}
	}
	return map[string]any{
		"type": "ATTESTATION", "fork_info": forkInfo(), "signingRoot": text(root),
		"attestation": map[string]any{
			"slot": number(data.Slot), "index": "0", "beacon_block_root": text(data.BeaconBlockRoot),
			"source": checkpoint(data.Source), "target": checkpoint(data.Target),
		},
	}
}

// reveal is the body of a RANDAO_REVEAL request, which cannot be slashed.
func reveal(epoch uint64) map[string]any {
	return map[string]any{"type": "RANDAO_REVEAL", "fork_info": forkInfo(), "randao_reveal": map[string]any{"epoch": number(epoch)}}
}

func forkInfo() map[string]any {
	_, f := fork()
	return map[string]any{
		"fork": map[string]any{
			"previous_version": f.Previous.String(), "current_version": f.Current.String(), "epoch": number(f.Epoch),
		},
		"genesis_validators_root": text(f.ValidatorsRoot),
	}
}

// blockRoot stands for the root of a block.
func blockRoot(n uint64) eth2.Root {
	var r eth2.Root
	copy(r[:], "block of the story "+number(n))
	return r
}

func number(n uint64) string { return strconv.FormatUint(n, 10) }

func text(r eth2.Root) string { return "0x" + hex.EncodeToString(r[:]) }

// verify checks a signature over the signing root that the request names, which was computed here.
func verify(key string, request map[string]any, signature string) error {
	public, err := bls.ParsePublicKey(key)
	if err != nil {
		return err
	}
	raw, err := hex.DecodeString(strings.TrimPrefix(signature, "0x"))
	if err != nil || len(raw) != len(bls.Signature{}) {
		return fmt.Errorf("%q is not a signature", signature)
	}
	root, err := hex.DecodeString(strings.TrimPrefix(request["signingRoot"].(string), "0x"))
	if err != nil {
		return err
	}
	if !bls.Verify(public, [32]byte(root), bls.Signature(raw)) {
		return fmt.Errorf("the signature of the %v does not verify under key %s", request["type"], public.Short())
	}
	return nil
}
