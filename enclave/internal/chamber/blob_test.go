package chamber

import (
	"bytes"
	"errors"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/secret"
)

func opened(t *testing.T, s secret.Bytes) []byte {
	t.Helper()
	var out []byte
	if err := s.Use(func(b []byte) error { out = bytes.Clone(b); return nil }); err != nil {
		t.Fatal(err)
	}
	return out
}

// A blob opens where it was sealed for, and nowhere else.
func TestSealBinds(t *testing.T) {
	w := newWorld(t)
	c, _ := w.initialized()
	stranger, _ := newWorld(t).initialized()
	blob := sealed(t, c)
	if len(blob) != len("a validator key")+Overhead || bytes.Contains(blob, []byte("validator")) {
		t.Errorf("blob %x", blob)
	}
	if again := sealed(t, c); bytes.Equal(again, blob) {
		t.Error("two seals are the same")
	}
	without := newWorld(t).replica()
	if err := without.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		by      *Chamber
		kind    string
		item    string
		version uint64
		change  func(b []byte) []byte
		want    error
	}{
		"itself":            {c, "key", "k1", 7, nil, nil},
		"another kind":      {c, "policy", "k1", 7, nil, ErrCorrupt},
		"another name":      {c, "key", "k2", 7, nil, ErrCorrupt},
		"another version":   {c, "key", "k1", 8, nil, ErrCorrupt},
		"name and kind":     {c, "keyk", "1", 7, nil, ErrCorrupt},
		"another chamber":   {stranger, "key", "k1", 7, nil, ErrForeign},
		"nobody's":          {c, "key", "k1", 7, func(b []byte) []byte { b[3] ^= 1; return b }, ErrForeign},
		"newer":             {c, "key", "k1", 7, func(b []byte) []byte { b[0] = 2; return b }, ErrNewer},
		"format 0":          {c, "key", "k1", 7, func(b []byte) []byte { b[0] = 0; return b }, ErrCorrupt},
		"ciphertext":        {c, "key", "k1", 7, func(b []byte) []byte { b[len(b)-1] ^= 1; return b }, ErrCorrupt},
		"cut":               {c, "key", "k1", 7, func(b []byte) []byte { return b[:len(b)-1] }, ErrCorrupt},
		"cut to nothing":    {c, "key", "k1", 7, func([]byte) []byte { return nil }, ErrCorrupt},
		"by a sealed":       {w.replica(), "key", "k1", 7, nil, ErrSealed},
		"by one without":    {without, "key", "k1", 7, nil, ErrUninitialized},
		"header of another": {c, "key", "k1", 7, func(b []byte) []byte { return append(sealed(t, stranger)[:blobHeader:blobHeader], b[blobHeader:]...) }, ErrForeign},
	} {
		t.Run(name, func(t *testing.T) {
			b := bytes.Clone(blob)
			if tc.change != nil {
				b = tc.change(b)
			}
			got, err := tc.by.Open(tc.kind, tc.item, tc.version, b)
			wantErr(t, "Open", err, tc.want)
			if tc.want == nil && string(opened(t, got)) != "a validator key" {
				t.Error("something else was opened")
			}
		})
	}
	empty, err := c.Seal("key", "k", 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := c.Open("key", "k", 1, empty); err != nil || len(opened(t, got)) != 0 {
		t.Errorf("an empty item: %v", err)
	}
}

func FuzzOpen(f *testing.F) {
	g, err := newGeneration()
	if err != nil {
		f.Fatal(err)
	}
	keys := &keyring{now: g}
	genuine, err := g.seal("key", "k1", 7, []byte("a validator key"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(genuine)
	f.Add(genuine[:blobHeader])
	f.Add(append([]byte{2}, genuine[1:]...))
	f.Add([]byte(nil))
	f.Fuzz(func(t *testing.T, blob []byte) {
		got, err := keys.open("key", "k1", 7, blob)
		switch {
		case err == nil && !bytes.Equal(blob, genuine):
			t.Errorf("opened what was never sealed: %x", blob)
		case err == nil && string(opened(t, got)) != "a validator key":
			t.Error("something else was opened")
		case err != nil && !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrNewer) && !errors.Is(err, ErrForeign):
			t.Errorf("an error of no kind: %v", err)
		}
	})
}
