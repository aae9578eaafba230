package keystore_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keystore"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/problem"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/secret"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/noop"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newKey always makes the same key of n, each time in memory of its own.
func newKey(t *testing.T, n byte) *keystore.Key {
	t.Helper()
	seed := make([]byte, 32)
	seed[0] = n
	scalar, err := bls.SecretKeyFromSeed(seed)
	if err != nil {
		t.Fatal(err)
	}
	return keystore.NewKey(scalar)
}

func permit(t *testing.T, key bls.PublicKey) (slashing.Permit, eth2.Root) {
	t.Helper()
	duty := eth2.NewRandaoReveal(eth2.ForkInfo{}, 7)
	p, err := slashing.NewGuard(noop.Open(), time.Second).Permit(t.Context(), key, duty)
	if err != nil {
		t.Fatal(err)
	}
	return p, duty.SigningRoot()
}

// signs says whether the key still has its secret.
func signs(t *testing.T, key *keystore.Key) error {
	t.Helper()
	p, root := permit(t, key.PublicKey())
	sig, err := key.Sign(p, bls.NewMessages(1))
	if err == nil && !bls.Verify(key.PublicKey(), root, sig) {
		t.Error("the signature does not verify")
	}
	return err
}

func TestSignRedeemsThePermit(t *testing.T) {
	key, other := newKey(t, 1), newKey(t, 2)
	p, root := permit(t, key.PublicKey())
	if _, err := other.Sign(p, bls.NewMessages(1)); !errors.Is(err, slashing.ErrPermitOfAnotherKey) {
		t.Errorf("another key: %v", err)
	}
	sig, err := key.Sign(p, bls.NewMessages(1))
	if err != nil || !bls.Verify(key.PublicKey(), root, sig) {
		t.Errorf("signature %s, %v", sig, err)
	}
	for name, used := range map[string]slashing.Permit{"used": p, "zero": {}} {
		if sig, err := key.Sign(used, bls.NewMessages(1)); err == nil || sig != (bls.Signature{}) {
			t.Errorf("%s permit: %s, %v", name, sig, err)
		}
	}
	if text := fmt.Sprintf("%v %+v %#v", key, *key, struct{ k *keystore.Key }{key}); !strings.Contains(text, secret.Mark) {
		t.Errorf("a key prints as %s", text)
	}
}

func TestFindAndList(t *testing.T) {
	k := keystore.New()
	missing := newKey(t, 9).PublicKey()
	var keys []*keystore.Key
	for n := range byte(5) {
		keys = append(keys, newKey(t, n))
	}
	if c := k.Replace(keystore.Filesystem, keys[:3]); len(c.Added) != 3 || len(c.Duplicates) != 0 {
		t.Errorf("%+v", c)
	}
	if c := k.Replace(keystore.Memory, keys[3:]); len(c.Added) != 2 || len(c.Duplicates) != 0 {
		t.Errorf("%+v", c)
	}
	for _, want := range keys {
		if got, err := k.Find(want.PublicKey()); err != nil || got != want {
			t.Errorf("Find: %v, %v", got, err)
		}
	}
	_, err := k.Find(missing)
	if p := problem.Of(err); p.Kind != problem.UnknownKey || !strings.Contains(p.Public, missing.String()) {
		t.Errorf("an unknown key: %v", err)
	}
	list := k.PublicKeys()
	if len(list) != 5 || k.Len() != 5 || !slices.IsSortedFunc(list, func(a, b bls.PublicKey) int { return bytes.Compare(a[:], b[:]) }) {
		t.Errorf("listed: %v", list)
	}
	list[0] = bls.PublicKey{} // the caller's own
	if k.PublicKeys()[0] == (bls.PublicKey{}) {
		t.Error("the list is shared")
	}
	if f, m, s := k.Count(keystore.Filesystem), k.Count(keystore.Memory), k.Count(keystore.Stored); f != 3 || m != 2 || s != 0 {
		t.Errorf("counts %d %d %d, want 3 2 0", f, m, s)
	}
}

func TestReplace(t *testing.T) {
	k := keystore.New()
	a, b, c := newKey(t, 1), newKey(t, 2), newKey(t, 3)
	k.Replace(keystore.Filesystem, []*keystore.Key{a, b})

	// The same key from elsewhere, and twice: the first stays.
	aAgain, cAgain := newKey(t, 1), newKey(t, 3)
	change := k.Replace(keystore.Memory, []*keystore.Key{aAgain, c, cAgain, c})
	errs := change.Duplicates
	if len(errs) != 3 || !slices.Equal(change.Added, []bls.PublicKey{c.PublicKey()}) || change.Removed != nil {
		t.Fatalf("%+v, want 3 duplicates", change)
	}
	for i, want := range []string{
		a.PublicKey().String() + " of memory: the key is loaded already, from filesystem",
		c.PublicKey().String() + " of memory: the key is loaded already, from memory",
		c.PublicKey().String() + " of memory: the key is loaded already, from memory",
	} {
		if errs[i].Error() != want || !errors.Is(errs[i], keystore.ErrDuplicate) {
			t.Errorf("error %q, want %q", errs[i], want)
		}
	}
	check := func(when string, live, gone []*keystore.Key) {
		t.Helper()
		for i, key := range live {
			if got, err := k.Find(key.PublicKey()); err != nil || got != key {
				t.Errorf("%s: key %d is not found: %v", when, i, err)
			}
			if err := signs(t, key); err != nil {
				t.Errorf("%s: key %d: %v", when, i, err)
			}
		}
		for i, key := range gone {
			if err := signs(t, key); !errors.Is(err, secret.ErrWiped) {
				t.Errorf("%s: dropped key %d: %v, want ErrWiped", when, i, err)
			}
		}
	}
	check("duplicates", []*keystore.Key{a, b, c}, []*keystore.Key{aAgain, cAgain})

	// A reload: b is gone, a is the same and stays.
	reloaded := newKey(t, 1)
	change = k.Replace(keystore.Filesystem, []*keystore.Key{reloaded})
	if diff := cmp.Diff(keystore.Change{Removed: []bls.PublicKey{b.PublicKey()}}, change); diff != "" {
		t.Error(diff)
	}
	check("reload", []*keystore.Key{a, c}, []*keystore.Key{b, reloaded})

	// A key of the source itself may come back, and is not wiped.
	held, ok := k.Held(keystore.Filesystem, a.PublicKey())
	if _, elsewhere := k.Held(keystore.Filesystem, c.PublicKey()); !ok || held != a || elsewhere {
		t.Errorf("held %v %v, and one of another source %v", held, ok, elsewhere)
	}
	if diff := cmp.Diff(keystore.Change{}, k.Replace(keystore.Filesystem, []*keystore.Key{held})); diff != "" {
		t.Error(diff)
	}
	check("itself", []*keystore.Key{a, c}, nil)

	k.Wipe()
	check("wiped", nil, []*keystore.Key{a, c})
	if n := len(k.PublicKeys()); n != 0 {
		t.Errorf("%d keys after Wipe", n)
	}
	k.Wipe()
}

// TestReadersDuringChanges: a reader sees the old keys or the new ones, never a mixture.
func TestReadersDuringChanges(t *testing.T) {
	k := keystore.New()
	k.Replace(keystore.Memory, []*keystore.Key{newKey(t, 0)})
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				list := k.PublicKeys()
				if len(list) != 1 {
					t.Errorf("%d keys at once, want 1", len(list))
					return
				}
				if key, err := k.Find(list[0]); err == nil && key.PublicKey() != list[0] {
					t.Error("found another key")
				}
			}
		})
	}
	for n := range byte(50) {
		k.Replace(keystore.Memory, []*keystore.Key{newKey(t, n%3)})
	}
	close(done)
	readers.Wait()
}

func TestSources(t *testing.T) {
	labels := ""
	for _, s := range keystore.Sources() {
		labels += s.String() + " "
	}
	if labels += keystore.Source(0).String(); labels != "filesystem stored memory unknown" {
		t.Errorf("labels: %s", labels)
	}
}
