//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package atls_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/unforeseen-consequences/containment-chamber/shared/atls"
	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
)

func newStore(t *testing.T) *atls.TrustStore {
	t.Helper()
	return &atls.TrustStore{Path: filepath.Join(t.TempDir(), "trust.json"), Now: func() time.Time { return now }}
}

// seen is a peer with these registers.
func seen(pcrs map[int]attestation.PCR, build string) atls.Peer {
	return atls.Peer{Evidence: atls.Evidence{Document: &attestation.Document{PCRs: pcrs}, Binding: atls.Binding{Build: build}}}
}

var whole = map[int]attestation.PCR{0: {1}, 1: {2}, 2: {3}, 3: {4}, 4: {5}, 8: {}, 16: {7}, 17: {8}}

func TestTrustStore(t *testing.T) {
	s := newStore(t)
	if _, err := s.Lookup("signer:9443"); !errors.Is(err, atls.ErrNotRemembered) {
		t.Errorf("nothing remembered: %v", err)
	}
	if err := s.Check("signer:9443", seen(whole, "").Document, ""); !errors.Is(err, atls.ErrNotRemembered) {
		t.Errorf("nothing remembered: %v", err)
	}
	if _, err := os.Stat(s.Path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a look made a file: %v", err)
	}
	for _, name := range []string{"b", "signer:9443"} {
		if err := s.Remember(name, seen(whole, "0.1.0")); err != nil {
			t.Fatal(err)
		}
	}
	want := atls.TrustRecord{PCRs: attestation.Measurements{0: {1}, 1: {2}, 2: {3}, 3: {4}, 8: {}, 16: {7}}, FirstSeen: now, Build: "0.1.0"}
	if got, err := s.Lookup("signer:9443"); err != nil || !cmp.Equal(want, got) {
		t.Errorf("got %+v, %v", got, err)
	}
	if err := s.Check("signer:9443", seen(whole, "").Document, "0.2.0"); err != nil {
		t.Errorf("the same registers: %v", err)
	}

	// Another program is told, not remembered, until somebody says so.
	other := map[int]attestation.PCR{0: {9}, 1: {2}, 2: {3}, 3: {4}, 8: {}}
	for _, err := range []error{s.Check("b", seen(other, "").Document, "0.2.0"), s.Remember("b", seen(other, "0.2.0"))} {
		e, ok := errors.AsType[*atls.TrustError](err)
		if !ok || e.Name != "b" || !cmp.Equal(want, e.Was) || e.Is.Build != "0.2.0" || e.Is.PCRs[0] != (attestation.PCR{9}) {
			t.Errorf("got %v", err)
		}
	}
	if got, err := s.Lookup("b"); err != nil || !cmp.Equal(want, got) {
		t.Errorf("after a refusal: %+v, %v", got, err)
	}
	later := now.Add(time.Hour)
	s.Now = func() time.Time { return later }
	if err := s.Remember("b", seen(whole, "0.9.0")); err != nil {
		t.Error(err)
	}
	if got, err := s.Lookup("b"); err != nil || !cmp.Equal(want, got) {
		t.Errorf("remembered again: %+v, %v", got, err)
	}
	if err := s.Replace("b", seen(other, "0.2.0")); err != nil {
		t.Error(err)
	}
	replaced := atls.TrustRecord{PCRs: attestation.Measurements{0: {9}, 1: {2}, 2: {3}, 3: {4}, 8: {}}, FirstSeen: later, Build: "0.2.0"}
	all, err := s.All()
	if diff := cmp.Diff(map[string]atls.TrustRecord{"b": replaced, "signer:9443": want}, all); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
	if err := s.Forget("b"); err != nil {
		t.Error(err)
	}
	if err := s.Forget("b"); !errors.Is(err, atls.ErrNotRemembered) {
		t.Errorf("forgotten twice: %v", err)
	}
}

// TestTrustTellsAbsentFromZero: a register that the document does not hold is another than one that holds nothing.
func TestTrustTellsAbsentFromZero(t *testing.T) {
	s := newStore(t)
	absent := map[int]attestation.PCR{0: {1}, 1: {2}, 2: {3}}
	zero := map[int]attestation.PCR{0: {1}, 1: {2}, 2: {3}, 16: {}}
	for name, test := range map[string]struct{ was, is map[int]attestation.PCR }{"absent": {absent, zero}, "zero": {zero, absent}} {
		if err := s.Remember(name, seen(test.was, "")); err != nil {
			t.Fatal(err)
		}
		if err := s.Check(name, &attestation.Document{PCRs: test.was}, ""); err != nil {
			t.Error(err)
		}
		if err := s.Check(name, &attestation.Document{PCRs: test.is}, ""); !errors.As(err, new(*atls.TrustError)) {
			t.Errorf("remembered as %s, and is not: %v", name, err)
		}
	}
}

func TestTrustErrorIsReadable(t *testing.T) {
	s := newStore(t)
	if err := s.Remember("signer", seen(whole, "0.1.0")); err != nil {
		t.Fatal(err)
	}
	err := s.Check("signer", &attestation.Document{PCRs: map[int]attestation.PCR{0: {9}, 1: {2}, 2: {3}, 3: {4}, 8: {}}}, "0.2.0")
	if err == nil {
		t.Fatal("accepted")
	}
	zeros := strings.Repeat("00", 47)
	want := "signer is not what was remembered of it at 2026-03-01T12:00:00Z\n" +
		"  PCR0  was 01" + zeros + "  is 09" + zeros + "\n" +
		"  PCR16 was 07" + zeros + "  is absent" + strings.Repeat(" ", 90) + "\n" +
		`  build was "0.1.0"` + strings.Repeat(" ", 89) + `  is "0.2.0"`
	if diff := cmp.Diff(want, err.Error()); diff != "" {
		t.Error(diff)
	}
	t.Logf("\n%v", err)
}

func TestRememberRefuses(t *testing.T) {
	s := newStore(t)
	debug := map[int]attestation.PCR{0: {}, 1: {}, 2: {}, 3: {4}}
	for words, err := range map[string]error{
		"debug mode":         s.Remember("signer", seen(debug, "")),
		"PCR1 is zero":       s.Replace("signer", seen(map[int]attestation.PCR{0: {1}}, "")),
		"no document":        s.Remember("signer", atls.Peer{}),
		`name ""`:            s.Remember("", seen(whole, "")),
		`name "a\nb"`:        s.Remember("a\nb", seen(whole, "")),
		`name "\xff"`:        s.Remember("\xff", seen(whole, "")),
		"1 to 253 printable": s.Remember(strings.Repeat("x", 254), seen(whole, "")),
	} {
		if err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("got %v, want %q", err, words)
		}
	}
	if _, err := os.Stat(s.Path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a refusal made a file: %v", err)
	}
}

func TestTrustFileRefused(t *testing.T) {
	good := newStore(t)
	if err := good.Remember("signer", seen(whole, "0.1.0")); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(good.Path)
	if err != nil {
		t.Fatal(err)
	}
	swap := func(old, replacement string) []byte {
		if strings.Count(string(text), old) != 1 {
			t.Fatalf("%q does not stand once in %s", old, text)
		}
		return []byte(strings.Replace(string(text), old, replacement, 1))
	}
	write := func(b []byte, mode os.FileMode) func(string) error {
		return func(path string) error { return errors.Join(os.WriteFile(path, b, mode), os.Chmod(path, mode)) }
	}
	for name, test := range map[string]struct {
		make  func(path string) error
		words string
	}{
		"readable by others":   {write(text, 0o644), "has mode 0644, want 0600"},
		"writable by group":    {write(text, 0o620), "has mode 0620"},
		"symbolic link":        {func(path string) error { return os.Symlink(good.Path, path) }, "is a symbolic link"},
		"directory":            {func(path string) error { return os.Mkdir(path, 0o700) }, "is no regular file"},
		"pipe":                 {func(path string) error { return syscall.Mkfifo(path, 0o600) }, "is no regular file"},
		"empty":                {write(nil, 0o600), "damaged: unexpected end of JSON input"},
		"cut off":              {write(text[:len(text)/2], 0o600), "damaged:"},
		"trailing":             {write(append([]byte{}, append(text, '\n')...), 0o600), "not in the form in which it was written"},
		"too large":            {write(make([]byte, 1<<20+1), 0o600), "larger than 1048576 bytes"},
		"newer":                {write(swap(`"version": 1`, `"version": 2`), 0o600), "version 2 is of a newer release, this one knows 1"},
		"version 0":            {write(swap(`"version": 1`, `"version": 0`), 0o600), "not in the form"},
		"from the future":      {write(swap("2026-03-01T12:00:00Z", "2026-03-01T12:00:31Z"), 0o600), `signer "signer": was first seen at 2026-03-01T12:00:31Z, which is in the future`},
		"from 1999":            {write(swap("2026-03-01T12:00:00Z", "1999-03-01T12:00:00Z"), 0o600), "damaged: first_seen is 1999"},
		"another zone":         {write(swap("12:00:00Z", "12:00:00+01:00"), 0o600), "not in the form"},
		"fraction of a second": {write(swap("12:00:00Z", "11:59:59.5Z"), 0o600), "damaged: first_seen is 2026-03-01T11:59:59.5Z"},
		"long build":           {write(swap(`"build": "0.1.0"`, `"build": "`+strings.Repeat("x", 129)+`"`), 0o600), "damaged: build of 129 bytes"},
		"short register":       {write(swap(`"PCR16": "07`, `"PCR16": "`), 0o600), "damaged: PCR16: register value has 94 characters"},
		"upper case":           {write(swap(`"PCR16"`, `"pcr16"`), 0o600), "not in the form"},
		"unknown register":     {write(swap(`"PCR16"`, `"PCR17"`), 0o600), "not in the form"},
		"zero PCR0":            {write(swap(`"PCR0": "01`, `"PCR0": "00`), 0o600), "damaged: PCR0 is missing or zero"},
		"no name":              {write(swap(`"name": "signer"`, `"name": ""`), 0o600), `signer "": trust: name ""`},
		"one flipped digit":    {write(swap(`"PCR3": "04`, `"PCR3": "0G`), 0o600), "damaged: PCR3"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t)
			if err := test.make(s.Path); err != nil {
				t.Fatal(err)
			}
			all, err := s.All()
			if all != nil || err == nil || !strings.Contains(err.Error(), test.words) || !strings.HasPrefix(err.Error(), "trust store "+s.Path) {
				t.Errorf("got %v, %v, want %q", all, err, test.words)
			}
			for _, err := range []error{s.Remember("other", seen(whole, "")), s.Forget("signer"), s.Check("signer", seen(whole, "").Document, "")} {
				if err == nil || errors.Is(err, atls.ErrNotRemembered) || !strings.Contains(err.Error(), test.words) {
					t.Errorf("got %v, want %q", err, test.words)
				}
			}
		})
	}
}

// TestTrustFileMode: whatever the umask, and the file and the lock that stood there.
func TestTrustFileMode(t *testing.T) {
	s := newStore(t)
	if err := s.Remember("signer", seen(whole, "")); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(filepath.Dir(s.Path))
	if err != nil || len(entries) != 2 {
		t.Fatalf("%d files, want the store and its lock: %v", len(entries), err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err != nil || info.Mode() != 0o600 {
			t.Errorf("%s has mode %v, %v", e.Name(), info.Mode(), err)
		}
	}
	if err := os.Chmod(s.Path+".lock", 0o666); err != nil {
		t.Fatal(err)
	}
	if err := s.Remember("other", seen(whole, "")); err == nil || !strings.Contains(err.Error(), "trust.json.lock: has mode 0666") {
		t.Errorf("a lock that others can hold: %v", err)
	}
	lost := &atls.TrustStore{Path: filepath.Join(t.TempDir(), "none", "trust.json")}
	if err := lost.Remember("signer", seen(whole, "")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without its directory: %v", err)
	}
}

// TestTrustFileOwner: root's file for everybody else, somebody else's for root.
func TestTrustFileOwner(t *testing.T) {
	s := &atls.TrustStore{Path: "/etc/passwd"}
	if os.Geteuid() == 0 {
		s = newStore(t)
		if err := errors.Join(s.Remember("signer", seen(whole, "")), os.Chown(s.Path, 1, -1)); err != nil {
			t.Fatal(err)
		}
	}
	if all, err := s.All(); all != nil || err == nil || !strings.Contains(err.Error(), "belongs to user ") {
		t.Errorf("got %v, %v", all, err)
	}
}

// TestTrustStoreShared: stores of one file lose no record of each other, and readers see a whole file.
func TestTrustStoreShared(t *testing.T) {
	path := newStore(t).Path
	const writers, each = 4, 5
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			s := &atls.TrustStore{Path: path, Now: func() time.Time { return now }}
			for i := range each {
				if err := s.Remember(fmt.Sprintf("%d-%d", w, i), seen(whole, "")); err != nil {
					t.Error(err)
				}
				if _, err := s.All(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if got, err := (&atls.TrustStore{Path: path}).All(); err != nil || len(got) != writers*each {
		t.Errorf("%d records, %v, want %d", len(got), err, writers*each)
	}
}
