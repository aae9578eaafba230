//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package atls_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/shared/atls"
	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
	"github.com/unforeseen-consequences/containment-chamber/shared/attestation/issuer"
)

// TestTrustOnFirstUse is the life of a record: nothing is accepted before somebody says so, then that alone, until somebody says so again.
func TestTrustOnFirstUse(t *testing.T) {
	a := newAuthority(t)
	store := newStore(t)
	trusting := atls.Options{Roots: a.options().Roots, Now: a.options().Now, Trust: &atls.Trust{Store: store, Name: "signer"}}
	refused := func(what, address string) error {
		t.Helper()
		_, err := get(t, transport(t, map[string]atls.Options{address: trusting}), "https://"+address+"/")
		if e, ok := errors.AsType[*atls.Error](err); !ok || e.Check != atls.CheckTrust {
			t.Errorf("%s: got %v", what, err)
		}
		return err
	}
	accepted := func(what, address string) {
		t.Helper()
		if _, err := get(t, transport(t, map[string]atls.Options{address: trusting}), "https://"+address+"/"); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}

	v1 := (&signer{authority: a}).start(t)
	if err := refused("before the first use", v1.address); !errors.Is(err, atls.ErrNotRemembered) {
		t.Errorf("got %v", err)
	}
	peer, err := atls.Observe(t.Context(), v1.address, a.observing(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := refused("looked at, not remembered", v1.address); !errors.Is(err, atls.ErrNotRemembered) {
		t.Errorf("got %v", err)
	}
	if err := store.Remember("signer", peer); err != nil {
		t.Fatal(err)
	}
	accepted("remembered", v1.address)

	v2 := (&signer{authority: a, server: server{
		payload: func(p *issuer.Payload) { p.PCRs = map[int]attestation.PCR{0: {11}, 1: {2}, 2: {13}} },
		binding: func(b *atls.Binding) { b.Build = "v2" },
	}}).start(t)
	err = refused("another program", v2.address)
	if e, ok := errors.AsType[*atls.TrustError](err); !ok || e.Was.Build != "v1" || e.Is.Build != "v2" || !strings.Contains(err.Error(), "PCR2  was 03") {
		t.Errorf("got %v", err)
	}
	t.Log(err)
	if peer, err = atls.Observe(t.Context(), v2.address, a.observing(), nil); err != nil {
		t.Fatal(err)
	}
	if err := store.Replace("signer", peer); err != nil {
		t.Fatal(err)
	}
	accepted("replaced", v2.address)
	if e, ok := errors.AsType[*atls.TrustError](refused("the old program", v1.address)); !ok || e.Was.Build != "v2" {
		t.Errorf("got %v", e)
	}
}

// TestTrustBesidePolicy: if both are given, both must hold.
func TestTrustBesidePolicy(t *testing.T) {
	a := newAuthority(t)
	store := newStore(t)
	s := (&signer{authority: a}).start(t)
	peer, err := atls.Observe(t.Context(), s.address, a.observing(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Remember("signer", peer); err != nil {
		t.Fatal(err)
	}
	alone := a.observing()
	alone.Trust = &atls.Trust{Store: store, Name: "signer"}
	if _, err := dial(t, server{}.start(t, a), clientConfig(t, alone)); err != nil {
		t.Errorf("without a Transport: %v", err)
	}
	other := attestation.Policy{Sets: []attestation.Set{{PCRs: attestation.Measurements{0: {9}}}}}
	digest := attestation.Policy{ConfigDigest: &[48]byte{8}}
	for name, test := range map[string]struct {
		policy attestation.Policy
		check  atls.Check
	}{"both": {policy, 0}, "no sets": {attestation.Policy{}, 0}, "another set": {other, atls.CheckPolicy}, "no sets, but a digest": {digest, atls.CheckPolicy}} {
		o := a.observing()
		o.Policy, o.Trust = test.policy, &atls.Trust{Store: store, Name: "signer"}
		_, err := get(t, transport(t, map[string]atls.Options{s.address: o}), "https://"+s.address+"/")
		e, _ := errors.AsType[*atls.Error](err)
		if (err == nil) != (test.check == 0) || e != nil && e.Check != test.check {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func (a *authority) observing() atls.Options {
	o := a.options()
	o.Policy = attestation.Policy{}
	return o
}

func TestObserve(t *testing.T) {
	a := newAuthority(t)
	honest := (&signer{authority: a}).start(t)
	debug := (&signer{authority: a, server: server{payload: func(p *issuer.Payload) { p.PCRs = map[int]attestation.PCR{0: {}, 1: {}, 2: {}} }}}).start(t)
	o := a.observing()
	o.Policy.Proof = attestation.ProofPerConnection
	var verified []atls.Peer
	o.OnVerified = func(p atls.Peer) { verified = append(verified, p) }
	peer, err := atls.Observe(t.Context(), honest.address, o, nil)
	if err != nil || peer.Proof == nil || peer.Document.PCRs[0] != image[0] || peer.Binding.Build != "v1" || len(verified) != 1 {
		t.Errorf("got %+v, %v, verified %d", peer, err, len(verified))
	}
	stranger := newAuthority(t)
	named := a.options()
	named.Policy.Sets = []attestation.Set{{PCRs: attestation.Measurements{0: {9}}}}
	for name, test := range map[string]struct {
		address string
		options atls.Options
		check   atls.Check
		words   string
	}{
		"debug mode":      {debug.address, a.observing(), atls.CheckPolicy, "PCR0 is zero: the enclave runs in debug mode"},
		"another root":    {honest.address, stranger.observing(), atls.CheckDocument, "unknown authority"},
		"not a named set": {honest.address, named, atls.CheckPolicy, "PCR0 is 01"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := atls.Observe(t.Context(), test.address, test.options, nil)
			if e, ok := errors.AsType[*atls.Error](err); !ok || e.Check != test.check || !strings.Contains(err.Error(), test.words) {
				t.Errorf("got %v, want %q", err, test.words)
			}
		})
	}
	o.Policy.Proof = "none"
	if _, err := atls.Observe(t.Context(), honest.address, o, nil); err == nil || !strings.Contains(err.Error(), `proof: "none"`) {
		t.Errorf("got %v", err)
	}
}
