package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
)

func testChain(t *testing.T) chain {
	t.Helper()
	c, err := newChain()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// bodyOf is the JSON of a request as it goes over the wire.
func bodyOf(t *testing.T, j job, path string) map[string]any {
	t.Helper()
	head, body, _ := bytes.Cut(j.request, []byte("\r\n\r\n"))
	if !strings.HasPrefix(string(head), "POST "+path+" HTTP/1.1\r\n") {
		t.Errorf("the request begins with %.120q, want a POST to %s", head, path)
	}
	var decoded map[string]any
	if err := json.Unmarshal(body, &decoded); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	return decoded
}

func TestMessages(t *testing.T) {
	c := testChain(t)
	for _, test := range []struct {
		name string
		same func(epoch, number uint64) message
	}{
		{"attestation", c.attestation},
		{"aggregation slot", func(epoch, number uint64) message { return c.aggregationSlot(32*epoch + number) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			first, again, other := test.same(100, 1), test.same(100, 1), test.same(100, 2)
			if first.root != again.root || !bytes.Equal(first.body, again.body) {
				t.Error("the same message differs from itself")
			}
			if first.root == other.root {
				t.Error("another message has the same signing root")
			}
		})
	}
}

func TestRequests(t *testing.T) {
	m := testChain(t).attestation(100, 7)
	keys := []bls.PublicKey{{1}, {2}}
	alone := bodyOf(t, m.single(keys[0]), "/api/v1/eth2/sign/"+keys[0].String())
	together := bodyOf(t, m.batch(keys), "/api/v1/eth2/sign")
	if diff := cmp.Diff(alone, together["signing_request"]); diff != "" {
		t.Errorf("a batch asks for something else (-alone +batch):\n%s", diff)
	}
	if diff := cmp.Diff([]any{keys[0].String(), keys[1].String()}, together["identifiers"]); diff != "" {
		t.Errorf("identifiers (-want +got):\n%s", diff)
	}
}

// TestVotesRise: no key votes twice for a target, in a run and across runs, whoever is asked together.
func TestVotesRise(t *testing.T) {
	c := testChain(t)
	for _, test := range []struct {
		name     string
		batch    int
		shared   bool
		perRun   int
		distinct int // messages in a run
	}{
		{"alone", 1, false, 14, 14},
		{"one message", 1, true, 14, 3},
		{"batches", 2, false, 12, 6},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := &server{keys: []bls.PublicKey{{1}, {2}, {3}, {4}, {5}}, epoch: firstEpoch}
			p := &phase{server: v, batch: test.batch, shared: test.shared, perRun: test.perRun}
			last := map[bls.PublicKey]string{}
			roots := map[[32]byte]bool{}
			for range 2 {
				for _, j := range p.jobs(c) {
					_, target, _ := strings.Cut(string(j.request), `"target":{"epoch":"`)
					target, _, _ = strings.Cut(target, `"`)
					for _, key := range j.signers {
						if target <= last[key] { // of equal length
							t.Fatalf("key %x is asked for target %s after %s", key[0], target, last[key])
						}
						last[key] = target
					}
					roots[j.root] = true
				}
			}
			if len(roots) != 2*test.distinct {
				t.Errorf("%d messages in two runs, want %d", len(roots), 2*test.distinct)
			}
		})
	}
}
