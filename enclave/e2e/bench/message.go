package main

import (
	"fmt"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
)

// chain is what every message is signed for: hoodi, on Fulu.
type chain struct {
	network *eth2.Network
	fork    eth2.ForkInfo
}

func newChain() (chain, error) {
	n, err := eth2.NetworkByName("hoodi")
	if err != nil {
		return chain{}, err
	}
	return chain{n, eth2.ForkInfo{
		Previous: n.Versions[eth2.Electra-eth2.Phase0], Current: n.Versions[eth2.Fulu-eth2.Phase0],
		Epoch: 50688, ValidatorsRoot: n.ValidatorsRoot,
	}}, nil
}

// message is what one or more keys are asked to sign.
type message struct {
	root eth2.Root // the signing root, computed here
	body []byte    // the JSON body of the request for one key
}

// attestation is a vote for a block that number names, one epoch wide.
func (c chain) attestation(target, number uint64) message {
	vote := c.data(target, number)
	root := eth2.NewAttestation(c.fork, vote).SigningRoot()
	return message{root, fmt.Appendf(nil,
		`{"type":"ATTESTATION",%s,"signingRoot":"0x%x","attestation":{"slot":"%d","index":"0","beacon_block_root":"0x%x",`+
			`"source":{"epoch":"%d","root":"0x%x"},"target":{"epoch":"%d","root":"0x%x"}}}`,
		c.forkInfo(), root, vote.Slot, vote.BeaconBlockRoot,
		vote.Source.Epoch, vote.Source.Root, vote.Target.Epoch, vote.Target.Root)}
}

// vote is the same as the signer sees it.
func (c chain) vote(target, number uint64) *eth2.AttestationRequest {
	return eth2.NewAttestation(c.fork, c.data(target, number))
}

func (c chain) data(target, number uint64) eth2.AttestationData {
	return eth2.AttestationData{
		Slot: target * c.network.SlotsPerEpoch, BeaconBlockRoot: blockRoot(number),
		Source: eth2.Checkpoint{Epoch: target - 1, Root: blockRoot(target - 1)},
		Target: eth2.Checkpoint{Epoch: target, Root: blockRoot(target)},
	}
}

// aggregationSlot is what a validator signs to learn whether it aggregates: nothing that could be slashed, so that
// the slashing store is not asked.
func (c chain) aggregationSlot(slot uint64) message {
	root := c.network.NewAggregationSlot(c.fork, slot).SigningRoot()
	return message{root, fmt.Appendf(nil, `{"type":"AGGREGATION_SLOT",%s,"signingRoot":"0x%x","aggregation_slot":{"slot":"%d"}}`,
		c.forkInfo(), root, slot)}
}

func (c chain) forkInfo() string {
	return fmt.Sprintf(`"fork_info":{"fork":{"previous_version":"%s","current_version":"%s","epoch":"%d"},"genesis_validators_root":"0x%x"}`,
		c.fork.Previous, c.fork.Current, c.fork.Epoch, c.fork.ValidatorsRoot)
}

// blockRoot stands for the root of a block: another number gives another root.
func blockRoot(number uint64) eth2.Root {
	var r eth2.Root
	copy(r[:], fmt.Sprintf("measured block %d", number))
	return r
}

// job is one request, ready to be sent, and what its answer must be.
type job struct {
	request []byte
	root    eth2.Root
	signers []bls.PublicKey // in the order of the answer; more than one for a batch
}

// single asks one key for a signature, as a validator client does.
func (m message) single(signer bls.PublicKey) job {
	return job{post("/api/v1/eth2/sign/"+signer.String(), m.body), m.root, []bls.PublicKey{signer}}
}

// batch asks several keys for signatures over the same message in one request.
func (m message) batch(signers []bls.PublicKey) job {
	body := []byte(`{"identifiers":[`)
	for i, s := range signers {
		if i > 0 {
			body = append(body, ',')
		}
		body = fmt.Appendf(body, "%q", s)
	}
	body = append(body, `],"signing_request":`...)
	body = append(append(body, m.body...), '}')
	return job{post("/api/v1/eth2/sign", body), m.root, signers}
}

func post(path string, body []byte) []byte {
	head := fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: signer\r\nUser-Agent: bench\r\nAccept: application/json\r\n"+
		"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n", path, len(body))
	return append(head, body...)
}
