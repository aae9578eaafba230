package software

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/shared/attestation/issuer"
)

// The files of a development root. The key is secret only from other users of the machine: no verifier accepts this
// root unless its file is named.
const (
	rootFile = "root.pem"
	keyFile  = "root.key"
)

// RootFile is the path of the development root's certificate, which a verifier must be told to trust.
func RootFile(directory string) string { return filepath.Join(directory, rootFile) }

// loadRoot reads the development root from directory, or makes one there if it holds none.
func loadRoot(directory string, now time.Time) (*issuer.Root, error) {
	certPath, keyPath := RootFile(directory), filepath.Join(directory, keyFile)
	key, err := os.ReadFile(keyPath)
	if errors.Is(err, fs.ErrNotExist) {
		return makeRoot(directory, now)
	}
	if err != nil {
		return nil, fmt.Errorf("read development root: %w", err)
	}
	cert, err := os.ReadFile(certPath)
	if err != nil {
		return nil, fmt.Errorf("read development root (remove %s to have a new one made): %w", keyPath, err)
	}
	root, err := issuer.ParseRoot(cert, key)
	if err != nil {
		return nil, fmt.Errorf("read development root in %s: %w", directory, err)
	}
	return root, nil
}

// makeRoot writes the certificate first and the key last, so that a key is only ever there with its certificate.
func makeRoot(directory string, now time.Time) (*issuer.Root, error) {
	root, err := issuer.NewRoot(now)
	if err != nil {
		return nil, fmt.Errorf("make development root: %w", err)
	}
	cert, key, err := root.MarshalPEM()
	if err != nil {
		return nil, fmt.Errorf("make development root: %w", err)
	}
	if err := os.MkdirAll(directory, 0o700); err != nil {
		return nil, fmt.Errorf("make development root: %w", err)
	}
	if err := replace(RootFile(directory), cert); err != nil {
		return nil, fmt.Errorf("make development root: %w", err)
	}
	if err := replace(filepath.Join(directory, keyFile), key); err != nil {
		return nil, fmt.Errorf("make development root: %w", err)
	}
	return root, nil
}

// replace makes the whole file appear at once, readable by its owner alone.
func replace(path string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) //nolint:errcheck // gone after the rename
	_, err = f.Write(content)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
