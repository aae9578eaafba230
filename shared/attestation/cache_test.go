package attestation_test

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
	"github.com/unforeseen-consequences/containment-chamber/shared/attestation/issuer"
)

// TestCacheKnowsBytes: one bit more or less is another document, also in the signature.
func TestCacheKnowsBytes(t *testing.T) {
	raw, trusted := hostile{}.make(t)
	opts := attestation.Options{Roots: []*x509.Certificate{trusted}, Now: now}
	cache := attestation.NewCache(0)
	if _, err := cache.Verify(raw, opts); err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(raw); i += len(raw) / 20 {
		changed := bytes.Clone(raw)
		changed[i] ^= 1
		if doc, err := cache.Verify(changed, opts); err == nil || doc != nil {
			t.Errorf("byte %d flipped: accepted", i)
		}
	}
	if doc, err := cache.Verify(make([]byte, 1<<20), opts); err == nil || doc != nil {
		t.Error("a megabyte: accepted")
	}
}

// TestCacheChecksTheRest: what may differ from one time to the next is looked at each time.
func TestCacheChecksTheRest(t *testing.T) {
	h := hostile{fields: func(f *issuer.Fields) { f.Nonce = []byte("nonce") }}
	raw, trusted := h.make(t)
	_, stranger := hostile{}.make(t)
	roots := []*x509.Certificate{trusted}
	for name, test := range map[string]struct {
		opts  attestation.Options
		step  attestation.Step // zero: accepted
		words string
	}{
		"same":             {attestation.Options{Roots: roots, Now: now}, 0, ""},
		"at the end":       {attestation.Options{Roots: roots, Now: now.Add(3 * time.Hour)}, 0, ""},
		"after the end":    {attestation.Options{Roots: roots, Now: now.Add(3*time.Hour + time.Second)}, attestation.StepChain, "is after"},
		"clock behind":     {attestation.Options{Roots: roots, Now: now.Add(-3*time.Second - attestation.Leeway)}, 0, ""},
		"before the begin": {attestation.Options{Roots: roots, Now: now.Add(-4*time.Second - attestation.Leeway)}, attestation.StepChain, "is before"},
		"local clock":      {attestation.Options{Roots: roots}, attestation.StepChain, "is after"},
		"young":            {attestation.Options{Roots: roots, Now: now.Add(time.Minute), MaxAge: time.Minute}, 0, ""},
		"old":              {attestation.Options{Roots: roots, Now: now.Add(61 * time.Second), MaxAge: time.Minute}, attestation.StepFreshness, "1m1s ago"},
		"nonce":            {attestation.Options{Roots: roots, Now: now, Nonce: []byte("nonce")}, 0, ""},
		"other nonce":      {attestation.Options{Roots: roots, Now: now, Nonce: []byte("Nonce")}, attestation.StepFreshness, "not the one that was asked for"},
		"AWS root":         {attestation.Options{Now: now}, attestation.StepChain, "unknown authority"},
		"other root":       {attestation.Options{Roots: []*x509.Certificate{stranger}, Now: now}, attestation.StepChain, "unknown authority"},
		"both roots":       {attestation.Options{Roots: []*x509.Certificate{stranger, trusted}, Now: now}, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			cache := attestation.NewCache(4)
			if _, err := cache.Verify(raw, attestation.Options{Roots: roots, Now: now}); err != nil {
				t.Fatal(err)
			}
			doc, err := cache.Verify(raw, test.opts)
			if test.step != 0 {
				refusedAt(t, doc, err, test.step, test.words)
			} else if err != nil {
				t.Error(err)
			}
			_, plain := attestation.Verify(raw, test.opts)
			if fmt.Sprint(plain) != fmt.Sprint(err) && test.opts.Now != (time.Time{}) {
				t.Errorf("without a cache %v, with one %v", plain, err)
			}
		})
	}
}

func TestCacheHandsOutCopies(t *testing.T) {
	h := hostile{fields: func(f *issuer.Fields) { f.PublicKey, f.UserData, f.Nonce = []byte("key"), []byte("data"), []byte{} }}
	raw, trusted := h.make(t)
	opts := attestation.Options{Roots: []*x509.Certificate{trusted}, Now: now}
	want, err := attestation.Verify(raw, opts)
	if err != nil {
		t.Fatal(err)
	}
	cache := attestation.NewCache(1)
	for range 3 {
		doc, err := cache.Verify(raw, opts)
		if diff := cmp.Diff(want, doc); err != nil || diff != "" {
			t.Fatalf("%v %s", err, diff)
		}
		doc.PCRs[0] = attestation.PCR{}
		for _, b := range append([][]byte{doc.Certificate, doc.PublicKey, doc.UserData}, doc.CABundle...) {
			clear(b)
		}
		doc.CABundle[0] = nil
	}
}

func TestCacheConcurrently(t *testing.T) {
	var documents [][]byte
	var roots []*x509.Certificate
	for range 3 {
		raw, trusted := hostile{}.make(t)
		documents, roots = append(documents, raw), append(roots, trusted)
	}
	cache := attestation.NewCache(2)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range 12 {
				if _, err := cache.Verify(documents[(i+j)%3], attestation.Options{Roots: roots, Now: now}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
}
