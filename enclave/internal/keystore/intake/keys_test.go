package intake

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keystore"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keystore/filesystem"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/secret"
)

// made are the keys that an intake has opened.
type made struct {
	*Intake

	secrets []*bls.SecretKey
}

// newMade is an intake whose keystores are the first byte of their key's seed, and open without a password; before is called with each.
func newMade(t *testing.T, before func(n byte)) *made {
	t.Helper()
	m := &made{Intake: New(nil, filesystem.NewKDFMemory(100, 1<<30))}
	m.decrypt = func(_ context.Context, text, _ []byte) (*bls.SecretKey, error) {
		before(text[0])
		key, err := bls.SecretKeyFromSeed(append(make([]byte, 31), text[0]))
		m.secrets = append(m.secrets, key)
		return key, err
	}
	return m
}

// signs says whether the secret of the n-th opened key is still there.
func (m *made) signs(n int) error {
	_, err := m.secrets[n].Sign([32]byte{})
	return err
}

func one(n byte) []byte { return []byte{n} }

// TestImportAddsWhatWasOpenedInTime, and tells why the others were not.
func TestImportAddsWhatWasOpenedInTime(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	m := newMade(t, func(n byte) {
		if n == 2 {
			cancel()
		}
	})
	loaded := keystore.New()
	k := NewKeys(m.Intake, loaded, false)
	passwords := [][]byte{[]byte("a"), []byte("b"), []byte("c")}
	told := map[int]string{}
	err := k.Import(ctx, [][]byte{one(1), one(2), one(3)}, passwords,
		func(_ []bls.PublicKey, faults []error) (chosen []bool, err error) {
			if faults[0] != nil || faults[1] != nil || !errors.Is(faults[2], context.Canceled) {
				t.Errorf("%v", faults)
			}
			return []bool{true, true, true}, nil
		},
		func(n int, duplicate bool, note string, err error) {
			if duplicate || note != "" || err != nil {
				t.Errorf("%d: %v %s %v", n, duplicate, note, err)
			}
			told[n] = "added"
		})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[int]string{0: "added", 1: "added"}, told); diff != "" || loaded.Len() != 2 {
		t.Errorf("%d keys %s", loaded.Len(), diff)
	}
	if err := errors.Join(m.signs(0), m.signs(1)); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([][]byte{{0}, {0}, {0}}, passwords); diff != "" {
		t.Errorf("passwords are left: %s", diff)
	}
}

// TestSecretsAreWiped that are not added.
func TestSecretsAreWiped(t *testing.T) {
	m := newMade(t, func(byte) {})
	loaded := keystore.New()
	k := NewKeys(m.Intake, loaded, false)
	nobody := func(int, bool, string, error) { t.Error("told of what was not chosen") }
	refused := errors.New("refused")
	err := k.Import(t.Context(), [][]byte{one(1)}, [][]byte{one('a')}, func([]bls.PublicKey, []error) ([]bool, error) { return []bool{true}, refused }, nobody)
	if !errors.Is(err, refused) {
		t.Error(err)
	}
	err = k.Import(t.Context(), [][]byte{one(2)}, [][]byte{one('a')}, func([]bls.PublicKey, []error) ([]bool, error) { return []bool{false}, nil }, nobody)
	if err != nil {
		t.Error(err)
	}
	// A key that comes from elsewhere between the choice and the addition.
	there := newMade(t, func(byte) {})
	key, err := there.decrypt(t.Context(), one(3), nil)
	if err != nil {
		t.Fatal(err)
	}
	err = k.Import(t.Context(), [][]byte{one(3)}, [][]byte{one('a')},
		func([]bls.PublicKey, []error) ([]bool, error) {
			loaded.Replace(keystore.Filesystem, []*keystore.Key{keystore.NewKey(key)})
			return []bool{true}, nil
		},
		func(_ int, duplicate bool, _ string, err error) {
			if !duplicate || err != nil {
				t.Errorf("%v, %v", duplicate, err)
			}
		})
	if err != nil {
		t.Error(err)
	}
	for n := range m.secrets {
		if err := m.signs(n); !errors.Is(err, secret.ErrWiped) {
			t.Errorf("key %d: %v", n, err)
		}
	}
	if err := there.signs(0); err != nil || loaded.Len() != 1 {
		t.Errorf("the original: %v", err)
	}
}

// TestPathsAreBounded: a list shows what a stranger wrote into a keystore.
func TestPathsAreBounded(t *testing.T) {
	for text, want := range map[string]string{
		`{"path":"m/12381/3600/0/0/0"}`: "m/12381/3600/0/0/0", `{"path":""}`: "", `{}`: "", `{"path":5}`: "", `{`: "",
		`{"path":"` + strings.Repeat("/", maxPath) + `"}`: strings.Repeat("/", maxPath), `{"path":"` + strings.Repeat("/", maxPath+1) + `"}`: "",
	} {
		if got := pathOf([]byte(text)); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}
