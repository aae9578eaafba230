package atls

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
)

// TrustStore is a file of what was remembered of signers. It is read anew each time, so that several programs may use it. The file
// and its directory are trusted: whoever can write there decides what is accepted. Therefore the file must belong to the
// user of this process and be readable by nobody else, mode 0600. A file that does not exist remembers nothing.
type TrustStore struct {
	Path string
	Now  func() time.Time // the clock; nil is time.Now
}

// Lookup returns what is remembered of a signer, or an error that [errors.Is] ErrNotRemembered.
func (s *TrustStore) Lookup(name string) (TrustRecord, error) {
	all, err := s.All()
	if err != nil {
		return TrustRecord{}, err
	}
	r, ok := all[name]
	if !ok {
		return TrustRecord{}, fmt.Errorf("%.*q: %w", maxName, name, ErrNotRemembered)
	}
	return r, nil
}

// All returns everything that is remembered, by name.
func (s *TrustStore) All() (map[string]TrustRecord, error) {
	text, err := readPrivate(s.Path, maxTrustFile)
	if err != nil {
		return nil, s.wrap(err)
	}
	if text == nil {
		return map[string]TrustRecord{}, nil
	}
	all, err := parseTrust(text, s.now())
	return all, s.wrap(err)
}

// Check compares a verified document with what is remembered of a signer. The error is a [*TrustError] if they differ, or [errors.Is]
// ErrNotRemembered.
func (s *TrustStore) Check(name string, doc *attestation.Document, build string) error {
	was, err := s.Lookup(name)
	if err != nil {
		return err
	}
	is := recordOf(doc, build, s.now())
	if len(was.changed(is)) > 0 {
		return &TrustError{Name: name, Was: was, Is: is}
	}
	return nil
}

// Remember writes down what a peer is. If something else is remembered of the name, it stays and the error is a [*TrustError]; if the same
// is, nothing changes.
func (s *TrustStore) Remember(name string, p Peer) error { return s.remember(name, p, false) }

// Replace is [TrustStore.Remember], whatever was remembered of the name before.
func (s *TrustStore) Replace(name string, p Peer) error { return s.remember(name, p, true) }

func (s *TrustStore) remember(name string, p Peer, replace bool) error {
	if err := checkName(name); err != nil {
		return err
	}
	if p.Document == nil {
		return fmt.Errorf("trust: %s has shown no document", name)
	}
	is := recordOf(p.Document, p.Binding.Build, s.now())
	for index := range 3 {
		if is.PCRs[index].IsZero() {
			return fmt.Errorf("trust: %s is in debug mode, PCR%d is zero: nothing to remember", name, index)
		}
	}
	return s.change(func(all map[string]TrustRecord) error {
		was, ok := all[name]
		same := ok && len(was.changed(is)) == 0
		switch {
		case same:
			return nil
		case ok && !replace:
			return &TrustError{Name: name, Was: was, Is: is}
		}
		all[name] = is
		return nil
	})
}

// Forget removes what is remembered of a name; it is an error, [errors.Is] ErrNotRemembered, if nothing is.
func (s *TrustStore) Forget(name string) error {
	return s.change(func(all map[string]TrustRecord) error {
		if _, ok := all[name]; !ok {
			return fmt.Errorf("%.*q: %w", maxName, name, ErrNotRemembered)
		}
		delete(all, name)
		return nil
	})
}

// change reads, changes and replaces the file while it holds the lock. Readers take no lock: they see the file before or after.
func (s *TrustStore) change(edit func(map[string]TrustRecord) error) error {
	unlock, err := lock(s.Path + ".lock")
	if err != nil {
		return s.wrap(err)
	}
	defer unlock()
	all, err := s.All()
	if err != nil {
		return err
	}
	before := maps.Clone(all)
	if err := edit(all); err != nil {
		return err
	}
	if maps.EqualFunc(before, all, func(a, b TrustRecord) bool { return a.FirstSeen.Equal(b.FirstSeen) && len(a.changed(b)) == 0 }) {
		return nil
	}
	text, err := marshalTrust(all)
	if err != nil {
		return s.wrap(err)
	}
	return s.wrap(replaceFile(s.Path, text))
}

// replaceFile leaves the old file or the new one, whole, whatever happens. The new one has mode 0600.
func replaceFile(path string, text []byte) (err error) {
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(file.Name()) // of no use any more
		}
	}()
	_, err = file.Write(text)
	if err == nil {
		err = file.Sync()
	}
	if closed := file.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	return err
}

func (s *TrustStore) now() time.Time {
	if s.Now == nil {
		return time.Now()
	}
	return s.Now()
}

// wrap adds the file's name; errors of package os hold it already, but not always the right one.
func (s *TrustStore) wrap(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("trust store %s: %w", s.Path, err)
}
