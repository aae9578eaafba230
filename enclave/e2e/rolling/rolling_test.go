package rolling

import (
	"crypto/x509"
	"errors"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/e2e/rig"
	"github.com/unforeseen-consequences/containment-chamber/shared/atls"

	routes "github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/chamber"
)

// TestRolling: clients that keep their connections, and send no request twice, lose none of them while both replicas are upgraded, nor
// while they are rolled back, whether a replica's enclave can be told to stop or not. A replica that is killed costs what it was asked at that
// moment, and nothing is signed twice. Afterwards the old release is refused by KMS and by clients.
func TestRolling(t *testing.T) {
	before, after := newImage(t, "before", 1), newImage(t, "after", 2)
	s := newSite(t, before)
	a, b := s.replicas[0], s.replicas[1]
	for _, r := range s.replicas {
		r.start(t, before)
	}
	s.trusts(t, before)
	keys := s.initialize(t)

	t.Log("both releases are allowed, by KMS and by clients")
	s.allow(t, before, after)
	s.trusts(t, before, after)
	service := startService(t, a, b)
	l := newLoad(t, s, service, s.policy, keys)
	l.begin(t)

	roll := func(title string, next image, stop func(*replica, *testing.T), replicas ...*replica) {
		t.Helper()
		for _, r := range replicas {
			began := time.Now()
			stop(r, t)
			stopped := time.Now()
			r.start(t, next)
			r.awaitReady(t)
			t.Logf("replica %s: stopped in %v, ready after %v", r.name, stopped.Sub(began).Round(time.Millisecond), time.Since(stopped).Round(time.Millisecond))
			await(t, "the service to know both replicas", func() (bool, error) { return service.knows(2) })
		}
		met := l.met()
		t.Logf("%s: %d new connections to the old release, %d to the new one", title, met[before.pcr0], met[after.pcr0])
		if met[next.pcr0] == 0 {
			t.Errorf("%s: nobody has connected to release %s", title, next.name)
		}
	}
	roll("upgraded", after, (*replica).stopAsNitro, a, b)
	roll("rolled back", before, (*replica).stopBoth, b, a)
	a.restartParent(t)
	await(t, "the service to know both replicas", func() (bool, error) { return service.knows(2) })
	l.end()
	for _, v := range l.lost() {
		t.Errorf("lost: %v", v.lost)
	}
	t.Logf("%d votes were signed, %d lost", l.signed.Load(), len(l.lost()))
	s.checkRecord(t, l)
	s.refuseConflicts(t, l)
	if t.Failed() {
		return
	}
	s.testKilled(t, service, l, after)
	s.testOldRefused(t, before, after)
}

// testKilled upgrades by killing: no vote is signed twice, and each that was cut off is signed when it is asked for again.
func (s *site) testKilled(t *testing.T, service *service, l *load, next image) {
	t.Helper()
	for _, v := range l.voters {
		v.pause = pauseHot
	}
	cut := 0
	for _, r := range s.replicas {
		before := l.signed.Load()
		l.begin(t)
		await(t, "votes", func() (bool, error) { return l.signed.Load() > before+int64(len(l.voters)), nil })
		r.kill(t)
		await(t, "the service to know that a replica is gone", func() (bool, error) { return service.knows(1) })
		l.end()
		for _, v := range l.lost() {
			why := v.lost
			v.lost = nil
			if v.vote(t.Context()); v.lost != nil {
				t.Errorf("asked again after %v: %v", why, v.lost)
			}
			cut++
		}
		s.checkRecord(t, l)
		r.start(t, next)
		r.awaitReady(t)
		await(t, "the service to know both replicas", func() (bool, error) { return service.knows(2) })
	}
	t.Logf("killed: %d votes were cut off, and signed when they were asked for again", cut)
	if cut == 0 {
		t.Error("no vote was under way")
	}
	s.refuseConflicts(t, l)
}

// testOldRefused ends the upgrade: what allowed the old release is taken back.
func (s *site) testOldRefused(t *testing.T, before, after image) {
	t.Helper()
	s.allow(t, after)
	s.trusts(t, after)
	r := s.replicas[1]
	r.stopBoth(t)
	from := len(r.lines(1 << 30))
	r.start(t, before)
	await(t, "KMS to refuse the old release", func() (bool, error) {
		return strings.Contains(strings.Join(r.lines(1 << 30)[from:], "\n"), "AccessDeniedException"), nil
	})
	c, err := rig.NewClient(r.api, s.policy, s.root)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	await(t, "a client to refuse the old release", func() (bool, error) {
		_, err := c.Handshake(t.Context()) // there may be no listener yet
		if err == nil {
			t.Fatal("a client that trusts the new release alone takes the old one")
		}
		return errors.As(err, new(*atls.Error)), err
	})
	if code, body, err := rig.Get(t.Context(), r.health+"/readyz"); err != nil || code != http.StatusServiceUnavailable {
		t.Errorf("/readyz of the old release: %d %s, %v", code, body, err)
	}
}

// initialize makes a chamber with keys, which both replicas then have.
func (s *site) initialize(t *testing.T) (keys []string) {
	t.Helper()
	await(t, "a chamber that can be made", func() (bool, error) {
		var done routes.Initialized
		err := s.operator.Run(t.Context(), &done, "init", "--kms-threshold", "2", "--kms-key-arns", strings.Join(rig.ShareKeys(), ","))
		s.operator.RootToken = done.RootToken
		return err == nil, err
	})
	dir := s.path("keys")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for range keyCount {
		key, err := rig.MakeKeystore(dir)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key)
	}
	var imported rig.Imported
	if err := s.operator.Run(t.Context(), &imported, "import-keys", dir); err != nil || imported.Imported != keyCount {
		t.Fatalf("%+v, %v", imported, err)
	}
	for _, r := range s.replicas {
		r.awaitReady(t)
		c, err := rig.NewClient(r.api, s.policy, s.root)
		if err != nil {
			t.Fatal(err)
		}
		await(t, "the keys on replica "+r.name, func() (bool, error) {
			c.OperatorToken = s.operator.RootToken
			status, err := c.Status(t.Context())
			return err == nil && status.Keys.Total == keyCount, err
		})
		c.Close()
	}
	return keys
}

// trusts has everybody trust these images from now on.
func (s *site) trusts(t *testing.T, images ...image) {
	t.Helper()
	s.policy = s.trust(t, images...)
	if err := rig.WritePolicy(s.operator.Policy, s.policy); err != nil {
		t.Fatal(err)
	}
}

func (s *site) roots() []*x509.Certificate { return []*x509.Certificate{s.root} }

func await(t *testing.T, what string, ask func() (bool, error)) {
	t.Helper()
	if err := rig.Await(t.Context(), what, ask); err != nil {
		t.Fatal(err)
	}
}
