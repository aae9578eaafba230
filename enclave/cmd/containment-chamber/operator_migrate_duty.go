package main

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/operator"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
)

// farSlot is the least slot that is asked for: in 100,000 years at the earliest, so that the signature has no use on any chain. It and what
// is added to it stay below 2^53, which every reader of JSON understands.
const farSlot = 1 << 40

// comparedDuty is what both signers are asked to sign.
type comparedDuty struct {
	network string
	root    eth2.Root // genesis validators root
	slot    uint64
	body    []byte // of the request, the same for every key
	signing eth2.Root
}

// duty is an AGGREGATION_SLOT for the chain that the flags name, or else the new signer.
func (f *compareFlags) duty(ctx context.Context, signer *keySigner) (*comparedDuty, error) {
	name := *f.network
	if *f.root != "" {
		root, err := eth2.ParseRoot(*f.root)
		if err != nil {
			return nil, usageError{fmt.Errorf("--genesis-validators-root: %w", err)}
		}
		return newComparedDuty(&eth2.Network{Name: "custom", ValidatorsRoot: root, Versions: []eth2.Version{{}}})
	}
	if name == "" {
		var err error
		if name, err = signer.network(ctx); err != nil {
			return nil, err
		}
	}
	network, err := eth2.NetworkByName(name)
	if err != nil {
		return nil, usageError{fmt.Errorf("--network: %w; for another chain name its --genesis-validators-root", err)}
	}
	return newComparedDuty(network)
}

// network is the chain that a signer of this kind says it signs for.
func (s *keySigner) network(ctx context.Context) (string, error) {
	status, body, err := s.ask(ctx, http.MethodGet, operator.RouteStatus, nil, maxStatus)
	if err != nil {
		return "", fmt.Errorf("no answer of the %s: %w", s.name, err)
	}
	var said operator.Status
	switch {
	case status != http.StatusOK:
		return "", fmt.Errorf("the %s answers %s with status %d, and so does not tell its network: name it with --network", s.name, operator.RouteStatus, status)
	case json.Unmarshal(body, &said) != nil || said.Network == "":
		return "", fmt.Errorf("the %s does not tell its network: name it with --network", s.name)
	case said.Network == "custom":
		return "", usageError{errors.New("the " + s.name + " is of a chain of its own: --genesis-validators-root is needed")}
	}
	return said.Network, nil
}

// newComparedDuty takes a slot at random, so that no answer can be one of an earlier run. The fork is the latest that the table has, in
// force from epoch 0: signers take it from the request.
func newComparedDuty(n *eth2.Network) (*comparedDuty, error) {
	var b [8]byte
	_, _ = rand.Read(b[:]) // it never fails
	slot := farSlot + binary.BigEndian.Uint64(b[:])%farSlot
	last := len(n.Versions) - 1
	fork := eth2.ForkInfo{Previous: n.Versions[max(last-1, 0)], Current: n.Versions[last], ValidatorsRoot: n.ValidatorsRoot}
	root := n.NewAggregationSlot(fork, slot).SigningRoot()
	body, err := json.Marshal(map[string]any{
		"type": eth2.AggregationSlot.String(),
		"fork_info": map[string]any{
			"fork":                    map[string]string{"previous_version": fork.Previous.String(), "current_version": fork.Current.String(), "epoch": "0"},
			"genesis_validators_root": hexRoot(fork.ValidatorsRoot),
		},
		"signingRoot":      hexRoot(root),
		"aggregation_slot": map[string]string{"slot": strconv.FormatUint(slot, 10)},
	})
	return &comparedDuty{network: n.Name, root: n.ValidatorsRoot, slot: slot, body: body, signing: root}, err
}

func hexRoot(r eth2.Root) string { return "0x" + hex.EncodeToString(r[:]) }
