package signing

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/auth"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/auth/authtest"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keystore"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/problem"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
)

// network is a chain of the tests' own.
func network() *eth2.Network {
	return &eth2.Network{Name: "testnet", ValidatorsRoot: eth2.Root{0x11, 0x22}, SlotsPerEpoch: 32}
}

func fork() eth2.ForkInfo { return eth2.ForkInfo{ValidatorsRoot: network().ValidatorsRoot} }

func vote(source, target uint64, variant byte) *eth2.AttestationRequest {
	return eth2.NewAttestation(fork(), eth2.AttestationData{
		BeaconBlockRoot: eth2.Root{variant},
		Source:          eth2.Checkpoint{Epoch: source},
		Target:          eth2.Checkpoint{Epoch: target},
	})
}

func proposal(slot uint64, variant byte) *eth2.BlockRequest {
	return network().NewBlock(fork(), eth2.BlockHeader{Slot: slot, BodyRoot: eth2.Root{variant}})
}

// house is a signer with all rooms real but the store.
type house struct {
	*Signer
	keys     *keystore.Keystore
	registry *prometheus.Registry
	key      bls.PublicKey   // the first of all
	all      []bls.PublicKey // eight
}

// newHouse holds eight keys, always the same. The child of the crash test uses it too.
func newHouse(store slashing.Store, concurrency int, wait time.Duration) (*house, error) {
	h := &house{keys: keystore.New(), registry: prometheus.NewRegistry()}
	var keys []*keystore.Key
	for i := range byte(8) {
		scalar, err := bls.SecretKeyFromSeed(append(make([]byte, 31), i+1))
		if err != nil {
			return nil, err
		}
		h.all = append(h.all, scalar.PublicKey())
		keys = append(keys, keystore.NewKey(scalar))
	}
	h.key = h.all[0]
	h.keys.Replace(keystore.Memory, keys)
	var err error
	h.Signer, err = New(Options{
		Network: network(), Keys: h.keys, Guard: slashing.NewGuard(store, time.Minute),
		Concurrency: concurrency, Wait: wait, Registry: h.registry,
	})
	return h, err
}

func open(t *testing.T, store slashing.Store, concurrency int, wait time.Duration) *house {
	t.Helper()
	h, err := newHouse(store, concurrency, wait)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// grant is what an open policy gives for the house's key.
func grant(key bls.PublicKey, kind eth2.Kind) auth.Grant {
	g, _ := authtest.Open().Grant(key, kind) // refused, it is the zero Grant, which Sign refuses
	return g
}

// grants are what an open policy gives for several keys.
func grants(kind eth2.Kind, keys ...bls.PublicKey) []auth.Grant {
	all := make([]auth.Grant, len(keys))
	for i, key := range keys {
		all[i] = grant(key, kind)
	}
	return all
}

// checkSign wants a valid signature, or a problem of a kind with words.
func (h *house) checkSign(t *testing.T, req eth2.Request, kind problem.Kind, words string) {
	t.Helper()
	sig, err := h.Sign(t.Context(), grant(h.key, req.Kind()), req)
	if words == "" {
		if err != nil {
			t.Errorf("refused: %v", err)
		} else if !bls.Verify(h.key, req.SigningRoot(), sig) {
			t.Error("the signature does not verify")
		}
		return
	}
	checkProblem(t, sig, err, kind, words)
}
