package secret_test

import (
	"bytes"
	"errors"
	"sync"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/secret"
)

func TestUseAndWipe(t *testing.T) {
	raw := []byte("canary")
	s := secret.New(raw)
	copied := s
	if err := copied.Use(func(b []byte) error {
		if string(b) != "canary" {
			t.Errorf("Use gave %q", b)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	mine := errors.New("mine")
	if err := s.Use(func([]byte) error { return mine }); !errors.Is(err, mine) {
		t.Errorf("Use returned %v, want the function's own error", err)
	}

	s.Wipe()
	if !bytes.Equal(raw, make([]byte, len(raw))) {
		t.Errorf("after Wipe the memory still holds %q", raw)
	}
	s.Wipe()
	for name, gone := range map[string]secret.Bytes{"wiped": s, "copy": copied, "zero": {}} {
		err := gone.Use(func([]byte) error { t.Errorf("%s: bytes were revealed", name); return nil })
		if !errors.Is(err, secret.ErrWiped) {
			t.Errorf("%s: Use returned %v, want ErrWiped", name, err)
		}
	}
	secret.Bytes{}.Wipe()
}

func TestWipeWaitsForUsers(t *testing.T) {
	s := secret.New([]byte("canary"))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for {
				err := s.Use(func(b []byte) error {
					if string(b) != "canary" {
						t.Errorf("wiped under a user: %q", b)
					}
					return nil
				})
				if err != nil {
					return
				}
			}
		})
	}
	s.Wipe()
	wg.Wait()
}
