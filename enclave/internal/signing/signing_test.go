package signing

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/auth"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keystore"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/problem"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/storetest"
)

func checkProblem(t *testing.T, sig bls.Signature, err error, kind problem.Kind, words string) {
	t.Helper()
	if err == nil {
		t.Errorf("signed, want %v %q", kind, words)
		return
	}
	if sig != (bls.Signature{}) {
		t.Error("an error and a signature")
	}
	if p := problem.Of(err); p.Kind != kind || !strings.Contains(p.Public, words) {
		t.Errorf("%v %q, want %v with %q", p.Kind, p.Public, kind, words)
	}
}

// untouched is a store that must not be asked.
func untouched(t *testing.T) slashing.Store {
	return &storetest.Liar{Before: func(context.Context, []slashing.Claim) error {
		t.Error("the slashing store was asked")
		return slashing.ErrUnavailable
	}}
}

func TestSign(t *testing.T) {
	h := open(t, storetest.NewMemory(), 0, 0)
	other := fork()
	other.ValidatorsRoot[31] = 0xff
	for _, step := range []struct {
		name  string
		req   eth2.Request
		kind  problem.Kind
		words string
	}{
		{"attestation", vote(5, 6, 0), 0, ""},
		{"identical", vote(5, 6, 0), 0, ""},
		{"double", vote(5, 6, 1), problem.Slashable, "double vote: target 6"},
		{"surrounding", vote(4, 7, 0), problem.Slashable, "surrounds the vote source 5 target 6 on record"},
		{"block", proposal(9, 0), 0, ""},
		{"double proposal", proposal(9, 1), problem.Slashable, "double proposal: slot 9"},
		{"duty", eth2.NewRandaoReveal(fork(), 3), 0, ""},
		{"kind without network", eth2.NewDeposit(eth2.DepositMessage{}), 0, ""},
		{"duty of another network", eth2.NewRandaoReveal(other, 3), problem.Forbidden, "network testnet"},
	} {
		t.Run(step.name, func(t *testing.T) { h.checkSign(t, step.req, step.kind, step.words) })
	}
}

// TestNothingIsWrittenFor: what is refused before the store's turn leaves no record.
func TestNothingIsWrittenFor(t *testing.T) {
	h := open(t, untouched(t), 0, 0)
	other := fork()
	other.ValidatorsRoot = eth2.Root{0xaa}
	foreign := eth2.NewAttestation(other, eth2.AttestationData{})
	stranger := bls.PublicKey{0xbb}
	for _, tc := range []struct {
		name  string
		grant auth.Grant
		req   eth2.Request
		kind  problem.Kind
		words []string
	}{
		{"zero grant", auth.Grant{}, vote(5, 6, 0), problem.Forbidden, []string{"nothing was granted"}},
		{"grant of another kind", grant(h.key, eth2.Block), vote(5, 6, 0), problem.Forbidden, []string{"another kind"}},
		{"another network", grant(h.key, eth2.Attestation), foreign, problem.Forbidden, []string{
			"0xaa00000000000000000000000000000000000000000000000000000000000000",
			"0x1122000000000000000000000000000000000000000000000000000000000000",
		}},
		{"unknown key", grant(stranger, eth2.Attestation), vote(5, 6, 0), problem.UnknownKey, []string{stranger.String()}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			sig, err := h.Sign(t.Context(), tc.grant, tc.req)
			for _, words := range tc.words {
				checkProblem(t, sig, err, tc.kind, words)
			}
		})
	}
}

func TestStoreFails(t *testing.T) {
	memory := storetest.NewMemory()
	h := open(t, memory, 0, 0)
	if err := memory.Close(); err != nil {
		t.Fatal(err)
	}
	h.checkSign(t, vote(5, 6, 0), problem.StoreUnavailable, "slashing protection store is unavailable")
	h.checkSign(t, eth2.NewRandaoReveal(fork(), 3), 0, "") // duties go on
	memory.Reopen()
	h.checkSign(t, vote(5, 6, 1), 0, "")
}

// TestKeyDroppedAfterThePermit: the record stays, nothing is signed, and the caller learns that the key is gone.
func TestKeyDroppedAfterThePermit(t *testing.T) {
	memory := storetest.NewMemory()
	h := open(t, memory, 0, 0)
	h.testHookPermitted = func() { h.keys.Replace(keystore.Memory, nil) }
	h.checkSign(t, vote(5, 6, 0), problem.UnknownKey, "is loaded any more")
	conflict := slashing.Attestation{Source: 5, Target: 6}
	outcomes, err := memory.Advance(t.Context(), []slashing.Claim{{Key: h.key, Vote: conflict}})
	if err != nil || outcomes[0].Standing == nil || outcomes[0].Standing == slashing.Vote(conflict) {
		t.Errorf("on record: %+v, %v", outcomes, err)
	}
}

// TestHangUpBetweenPermitAndSignature: the answer is still right for whoever reads it.
func TestHangUpBetweenPermitAndSignature(t *testing.T) {
	h := open(t, storetest.NewMemory(), 0, 0)
	ctx, hangUp := context.WithCancel(t.Context())
	h.testHookPermitted = hangUp
	req := vote(5, 6, 0)
	sig, err := h.Sign(ctx, grant(h.key, eth2.Attestation), req)
	if err != nil || !bls.Verify(h.key, req.SigningRoot(), sig) {
		t.Errorf("%v, %v", sig, err)
	}
	h.testHookPermitted = nil
	h.checkSign(t, vote(5, 6, 1), problem.Slashable, "double vote")
}

func TestNewRefuses(t *testing.T) {
	good := Options{Network: network(), Keys: keystore.New(), Guard: slashing.NewGuard(storetest.NewMemory(), time.Second), Registry: prometheus.NewRegistry()}
	if _, err := New(good); err != nil {
		t.Fatal(err)
	}
	for words, change := range map[string]func(*Options){
		"network, keys, guard and registry are needed": func(o *Options) { o.Keys = nil },
		"cannot be negative":                           func(o *Options) { o.Concurrency = -1 },
		"duplicate metrics collector":                  func(*Options) {}, // the same registry again
	} {
		o := good
		change(&o)
		if s, err := New(o); s != nil || err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%v, %v; want %q", s, err, words)
		}
	}
}
