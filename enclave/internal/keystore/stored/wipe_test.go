package stored

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keystore"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/secret"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/noop"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
)

func newScalar(t *testing.T, n byte) *bls.SecretKey {
	t.Helper()
	key, err := bls.NewSecretKey(append(make([]byte, bls.SecretKeySize-1), n))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// wiped says whether a key has no secret any more.
func wiped(key *bls.SecretKey) bool {
	return errors.Is(key.Use(func([]byte) error { return nil }), secret.ErrWiped)
}

// TestUnwantedIsWiped: the key of an item that was opened only to see that it is authentic.
func TestUnwantedIsWiped(t *testing.T) {
	active, inactive := newScalar(t, 1), newScalar(t, 2)
	b := newBook()
	c := b.enter([]verdict{
		{item: store.Key{PublicKey: active.PublicKey(), Version: 1, Status: store.Active}, kind: toOpen, key: keystore.NewKey(active)},
		{item: store.Key{PublicKey: inactive.PublicKey(), Version: 1, Status: store.Inactive}, kind: toOpen, key: keystore.NewKey(inactive)},
	}, func(s store.Status) bool { return s == store.Active })
	if wiped(active) || !wiped(inactive) || len(c.added) != 1 || len(c.removed) != 1 {
		t.Errorf("active wiped: %v, inactive wiped: %v; %d added, %d removed", wiped(active), wiped(inactive), len(c.added), len(c.removed))
	}
}

// signs says whether a key still has its secret.
func signs(t *testing.T, key *keystore.Key) error {
	t.Helper()
	permit, err := slashing.NewGuard(noop.Open(), time.Second).Permit(t.Context(), key.PublicKey(), eth2.NewRandaoReveal(eth2.ForkInfo{}, 7))
	if err != nil {
		t.Fatal(err)
	}
	_, err = key.Sign(permit, bls.NewMessages(1))
	return err
}

// plain opens items that are not sealed, until it is closed.
type plain struct{ left int }

var errClosed = errors.New("closed")

func (p *plain) Seal(_, _ string, _ uint64, plaintext []byte) ([]byte, error) { return plaintext, nil }

func (p *plain) Open(_, _ string, _ uint64, blob []byte) (secret.Bytes, error) {
	if p.left == 0 {
		return secret.Bytes{}, errClosed
	}
	p.left--
	return secret.New(slices.Clone(blob)), nil
}

func (*plain) Current([]byte) bool { return true }

// TestUnfinishedIsWiped: the keys of a load that the chamber's sealing ends.
func TestUnfinishedIsWiped(t *testing.T) {
	s := &Source{o: Options{Sealer: &plain{left: 3}, Closed: func(err error) bool { return errors.Is(err, errClosed) }}}
	var verdicts []verdict
	for n := range byte(5) {
		key := newScalar(t, n+1)
		verdicts = append(verdicts, verdict{kind: toOpen, item: store.Key{
			PublicKey: key.PublicKey(), Version: 1, Status: store.Active, Body: payloadOf(t, Key{Secret: key}),
		}})
	}
	if err := s.openAll(t.Context(), verdicts, 1); !errors.Is(err, errClosed) {
		t.Fatal(err)
	}
	for i, v := range verdicts {
		if (v.key != nil) != (i < 3) {
			t.Errorf("item %d is opened: %v", i, v.key != nil)
		}
		if v.key == nil {
			continue
		}
		if err := signs(t, v.key); !errors.Is(err, secret.ErrWiped) {
			t.Errorf("key %d: %v, want ErrWiped", i, err)
		}
	}
}
