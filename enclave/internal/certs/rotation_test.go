package certs_test

import (
	"errors"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/certs"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/nsm"
)

// TestRotationOverADay looks every quarter of an hour for 30 hours: the certificate in service is valid, ends before its
// evidence, and a client accepts it. The hypervisor renews as AWS does.
func TestRotationOverADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newHouse(t, newHypervisor(t, time.Now().Add(3*time.Hour)))
		w.h.life = 3 * time.Hour
		w.run()
		keys := map[string]bool{}
		for range 30 * 4 {
			synctest.Wait()
			cert, err := w.GetCertificate(nil)
			if err != nil || w.Healthy() != nil {
				t.Fatalf("at %s: %v, health %v", time.Now(), err, w.Healthy())
			}
			if time.Since(cert.Leaf.NotBefore) > 62*time.Minute || time.Until(cert.Leaf.NotAfter) < 9*time.Minute {
				t.Errorf("at %s: certificate from %s to %s", time.Now(), cert.Leaf.NotBefore, cert.Leaf.NotAfter)
			}
			keys[string(cert.Leaf.RawSubjectPublicKeyInfo)] = true
			if err := w.connect(); err != nil {
				t.Fatalf("at %s: client: %v", time.Now(), err)
			}
			<-time.After(15 * time.Minute)
		}
		if n := w.metric("containment_tls_rotations_total"); len(keys) < 30 || n < 30 || n > 45 {
			t.Errorf("%d keys seen, %v rotations in 30 hours", len(keys), n)
		}
		if n := w.metric("containment_tls_rotation_failures_total"); n != 0 {
			t.Errorf("%v failures", n)
		}
	})
}

// TestDeviceGoneAndBack: the old certificate is served to its end and not a second longer; a device that comes back heals.
func TestDeviceGoneAndBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newHouse(t, newHypervisor(t, time.Now().Add(3*time.Hour)))
		w.run()
		_, notAfter := w.Current()
		if left := time.Until(notAfter); left != 3*time.Hour-time.Minute {
			t.Errorf("certificate is good for %s, want a minute less than its document", left)
		}
		w.h.fail(&nsm.CodeError{Op: "Attestation", Code: "InternalError"})
		<-time.After(time.Until(notAfter) - time.Second)
		if err := w.connect(); err != nil || w.Healthy() != nil {
			t.Errorf("a second before the end: %v, health %v", err, w.Healthy())
		}
		// Two hours of failures, at first a second apart, then a minute ±20 %.
		if n := w.metric("containment_tls_rotation_failures_total"); n < 100 || n > 170 {
			t.Errorf("%v attempts in two hours", n)
		}
		<-time.After(time.Second)
		if err := w.connect(); err == nil {
			t.Error("an expired certificate was served")
		}
		err := w.Healthy()
		if code, ok := errors.AsType[*nsm.CodeError](err); !ok || code.Code != "InternalError" || !strings.Contains(err.Error(), "attested certificate expired at 2000-01-01T02:59:00Z; last attempt: ") {
			t.Errorf("health = %v", err)
		}
		if _, e := w.GetCertificate(nil); e == nil || e.Error() != err.Error() {
			t.Errorf("GetCertificate = %v", e)
		}
		w.h.fail(nil)
		w.h.renew(time.Now().Add(3 * time.Hour))
		<-time.After(73 * time.Second)
		if err := w.connect(); err != nil || w.Healthy() != nil {
			t.Errorf("after the device is back: %v, health %v", err, w.Healthy())
		}
	})
}

// TestShortLivedEvidence: a document with too little time left starts the signer, but does not replace what is good.
func TestShortLivedEvidence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		end := time.Now().Add(5 * time.Minute)
		w := newHouse(t, newHypervisor(t, end))
		w.run()
		first, notAfter := w.Current()
		if !notAfter.Equal(end.Add(-time.Minute)) {
			t.Errorf("certificate ends at %s, document at %s", notAfter, end)
		}
		<-time.After(3 * time.Minute)
		if again, _ := w.Current(); string(again) != string(first) {
			t.Error("the certificate was replaced by one that ends at the same time")
		}
		if n := w.h.attempts(); n < 4 || n > 20 {
			t.Errorf("%d attempts in three minutes", n)
		}
		if n := w.logs.FilterMessage("attestation certificate not issued").Len(); n == 0 {
			t.Error("nothing in the log about it")
		}
		w.h.renew(time.Now().Add(3 * time.Hour))
		<-time.After(73 * time.Second)
		if _, notAfter := w.Current(); time.Until(notAfter) < 2*time.Hour {
			t.Errorf("after the renewal the certificate ends at %s", notAfter)
		}
		if err := w.connect(); err != nil {
			t.Error(err)
		}
	})
}

func TestFirstCertificateNeedsSomeTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newHouse(t, newHypervisor(t, time.Now().Add(time.Minute)))
		err := w.Issue(t.Context())
		if !errors.Is(err, certs.ErrShortLived) || !strings.Contains(err.Error(), "usable for 0s, until 2000-01-01T00:00:00Z") {
			t.Errorf("Issue = %v", err)
		}
		if err := w.Healthy(); !errors.Is(err, certs.ErrNoCertificate) || !errors.Is(err, certs.ErrShortLived) {
			t.Errorf("health = %v, want that there is none, and why", err)
		}
		if document, notAfter := w.Current(); document != nil || !notAfter.IsZero() {
			t.Errorf("Current = %x, %s", document, notAfter)
		}
		if age := w.metric("containment_attestation_age_seconds"); !math.IsInf(age, 1) {
			t.Errorf("age without a document = %v", age)
		}
		if err := w.connect(); err == nil {
			t.Error("a handshake without a certificate")
		}
	})
}

// TestValidityBelowEvidence: what is configured counts when it is less, and is used for two thirds.
func TestValidityBelowEvidence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHypervisor(t, time.Now().Add(100*time.Hour))
		o := options(h)
		o.Validity = 9 * time.Minute
		a, err := certs.NewAttested(h, o)
		if err != nil {
			t.Fatal(err)
		}
		w := &house{Attested: a, t: t, h: h, registry: o.Metrics.(*prometheus.Registry)}
		w.run()
		_, notAfter := w.Current()
		if time.Until(notAfter) != 9*time.Minute {
			t.Errorf("certificate is good for %s", time.Until(notAfter))
		}
		<-time.After(time.Hour + time.Second)
		if n := w.metric("containment_tls_rotations_total"); n != 10 {
			t.Errorf("%v rotations in an hour, want one every six minutes", n)
		}
	})
}
