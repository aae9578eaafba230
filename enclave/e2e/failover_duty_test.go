package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/storetest"
)

// duty is one message that a key is asked to sign, and what stays of it on record.
type duty struct {
	key  bls.PublicKey
	body string // of the request
	vote slashing.Vote
}

// hoodi is the network of the tests, and its fork.
func hoodi(t *testing.T) (*eth2.Network, eth2.ForkInfo) {
	t.Helper()
	n, err := eth2.NetworkByName("hoodi")
	if err != nil {
		t.Fatal(err)
	}
	return n, eth2.ForkInfo{
		Previous: n.Versions[eth2.Electra-eth2.Phase0], Current: n.Versions[eth2.Fulu-eth2.Phase0], Epoch: 50688, ValidatorsRoot: n.ValidatorsRoot,
	}
}

func forkInfo(f eth2.ForkInfo) string {
	return fmt.Sprintf(`"fork_info":{"fork":{"previous_version":"%s","current_version":"%s","epoch":"%d"},"genesis_validators_root":"0x%x"}`,
		f.Previous, f.Current, f.Epoch, f.ValidatorsRoot)
}

// attests is a vote for one of two sides of a fork of the chain.
func attests(t *testing.T, key bls.PublicKey, source, target uint64, side byte) duty {
	t.Helper()
	n, fork := hoodi(t)
	data := eth2.AttestationData{
		Slot: target * n.SlotsPerEpoch, BeaconBlockRoot: eth2.Root{side},
		Source: eth2.Checkpoint{Epoch: source, Root: eth2.Root{1}}, Target: eth2.Checkpoint{Epoch: target, Root: eth2.Root{side}},
	}
	root := eth2.NewAttestation(fork, data).SigningRoot()
	return duty{key, fmt.Sprintf(`{"type":"ATTESTATION",%s,"signingRoot":"0x%x","attestation":{"slot":"%d","index":"0","beacon_block_root":"0x%x",`+
		`"source":{"epoch":"%d","root":"0x%x"},"target":{"epoch":"%d","root":"0x%x"}}}`,
		forkInfo(fork), root, data.Slot, data.BeaconBlockRoot, source, data.Source.Root, target, data.Target.Root,
	), slashing.Attestation{Source: source, Target: target, Root: root}}
}

// proposes is a block on one of two sides of a fork of the chain.
func proposes(t *testing.T, key bls.PublicKey, slot uint64, side byte) duty {
	t.Helper()
	n, fork := hoodi(t)
	header := eth2.BlockHeader{Slot: slot, ProposerIndex: 7, ParentRoot: eth2.Root{1}, StateRoot: eth2.Root{2}, BodyRoot: eth2.Root{side}}
	root := n.NewBlock(fork, header).SigningRoot()
	return duty{key, fmt.Sprintf(`{"type":"BLOCK_V2",%s,"signingRoot":"0x%x","beacon_block":{"version":"FULU","block_header":{"slot":"%d",`+
		`"proposer_index":"7","parent_root":"0x%x","state_root":"0x%x","body_root":"0x%x"}}}`,
		forkInfo(fork), root, slot, header.ParentRoot, header.StateRoot, header.BodyRoot,
	), slashing.Block{Slot: slot, Root: root}}
}

// outcome is what became of duties.
type outcome struct {
	statuses  map[int]int // how many answers of each status
	conflicts int         // signatures that conflict with an earlier one
	example   string      // a body of an answer that was not 200
}

// ask asks a signer for all duties, those of one key in their order and the keys at once. What is signed goes into the history.
func ask(t *testing.T, url string, history *storetest.History, duties []duty) outcome {
	t.Helper()
	byKey := make(map[bls.PublicKey][]duty)
	for _, d := range duties {
		byKey[d.key] = append(byKey[d.key], d)
	}
	client := newClient(t)
	o := outcome{statuses: make(map[int]int)}
	var (
		mu     sync.Mutex // held while o, history or failed is used
		failed error
		asking sync.WaitGroup
	)
	for _, ds := range byKey {
		asking.Go(func() {
			for _, d := range ds {
				status, body, err := request(t.Context(), client, url, d)
				mu.Lock()
				o.statuses[status]++
				switch {
				case err != nil:
					failed = errors.Join(failed, err)
				case status != http.StatusOK:
					o.example = body
				case history.Add(d.key, d.vote) != nil:
					o.conflicts++
				}
				mu.Unlock()
			}
		})
	}
	asking.Wait()
	if failed != nil {
		t.Fatal(failed)
	}
	return o
}

func request(ctx context.Context, client *http.Client, url string, d duty) (status int, body string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/api/v1/eth2/sign/"+d.key.String(), strings.NewReader(d.body))
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("Accept", "application/json")
	res, err := client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(res.Body)
	return res.StatusCode, string(answer), err
}

// check wants n answers, all of one status, and so many conflicts among the signatures.
func (o outcome) check(t *testing.T, what string, status, n, conflicts int) {
	t.Helper()
	if o.statuses[status] != n || len(o.statuses) != 1 || o.conflicts != conflicts {
		t.Fatalf("%s: statuses %v and %d conflicts, want %d answers of status %d and %d conflicts; a refusal: %s",
			what, o.statuses, o.conflicts, n, status, conflicts, o.example)
	}
}
