package fresh_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/unforeseen-consequences/containment-chamber/enclave/e2e/chambertest"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/chamber"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keygen/deposit"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
)

// maker is a signer with a chamber, and a world that may keep it from writing.
func maker(t *testing.T) (*chambertest.World, *chambertest.Signer) {
	t.Helper()
	w := &chambertest.World{}
	s, err := w.Signer(zap.NewNop(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Chamber.Init(t.Context(), chamber.InitRequest{KeyARNs: chambertest.ARNs(1), Threshold: 1}); err != nil {
		t.Fatal(err)
	}
	return w, s
}

func anyKey(bls.PublicKey) error { return nil }

// TestAKeyWithoutDepositDataIsStored, and it is said so.
func TestAKeyWithoutDepositDataIsStored(t *testing.T) {
	w, s := maker(t)
	told := 0
	backup, err := s.Maker.Generate(t.Context(), 2, store.Inactive, false, &deposit.Terms{}, anyKey, func(public bls.PublicKey, path string, data *deposit.Data, err error) {
		if told++; data != nil || err == nil || !strings.HasPrefix(err.Error(), "it is stored, and its deposit data could not be made") || !strings.HasPrefix(path, "m/12381/3600/") {
			t.Errorf("%s %v %v", path, data, err)
		}
		if item, err := w.Table.Get(t.Context(), public); err != nil || item.Status != store.Inactive {
			t.Errorf("%+v %v", item, err)
		}
	})
	if err != nil || backup != nil || told != 2 {
		t.Errorf("%q %v, %d keys", backup, err, told)
	}
}

// TestNobodyIsAllowed: then nothing is stored, whichever key it was.
func TestNobodyIsAllowed(t *testing.T) {
	w, s := maker(t)
	w.OnPut = func() error {
		t.Error("a key is written")
		return nil
	}
	denied, asked := errors.New("denied"), 0
	may := func(bls.PublicKey) error {
		if asked++; asked == 3 {
			return denied
		}
		return nil
	}
	if _, err := s.Maker.Generate(t.Context(), 4, store.Active, false, nil, may, func(bls.PublicKey, string, *deposit.Data, error) { t.Error("a key is told") }); !errors.Is(err, denied) || asked != 3 {
		t.Errorf("%v after %d", err, asked)
	}
}

// TestTheTimeIsOverWhileKeysAreStored: those that are not stored say so.
func TestTheTimeIsOverWhileKeysAreStored(t *testing.T) {
	w, s := maker(t)
	ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(time.Hour))
	defer cancel()
	w.OnPut = func() error { return context.DeadlineExceeded } // as a table has it
	failed := 0
	if _, err := s.Maker.Generate(ctx, 2, store.Active, false, nil, anyKey, func(_ bls.PublicKey, _ string, _ *deposit.Data, err error) {
		if errors.Is(err, context.DeadlineExceeded) {
			failed++
		}
	}); err != nil || failed != 2 {
		t.Errorf("%v, %d failed", err, failed)
	}
}
