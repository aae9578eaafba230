// Package filesystem loads the keys that descriptor files name.
package filesystem

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keystore"
)

// Options say where the keys are.
type Options struct {
	// Paths are directories. Each .yaml or .yml file directly in them is a descriptor of one key; hidden files are
	// passed over.
	Paths []string
	// KeystoreConcurrency is how many keystores are decrypted at once, at least 1. Decryption takes a CPU and
	// up to maxScryptMemory each, so no more than there are CPUs are under way.
	KeystoreConcurrency int
	// RawConcurrency is how many descriptors, which hold the raw keys, are read at once; at least 1.
	RawConcurrency int
}

// FileError says why the key of one descriptor was not loaded.
type FileError struct {
	Path string
	Err  error
}

func (e FileError) Error() string { return e.Path + ": " + e.Err.Error() }

func (e FileError) Unwrap() error { return e.Err }

// entry is a descriptor on its way to a key: one of key, locked and err is set.
type entry struct {
	path   string
	key    *bls.SecretKey
	locked *descriptor // a keystore that is still to be decrypted
	err    error
}

// Load reads all keys. A key that cannot be loaded is in the second result and does not keep the others back; of two files
// for one key the first in the order of their paths counts. The error is for the whole: a directory that cannot be
// read, or ctx ended. Then there are no keys.
func Load(ctx context.Context, o Options) ([]*keystore.Key, []FileError, error) {
	paths, err := scan(o.Paths)
	if err != nil {
		return nil, nil, err
	}
	entries := make([]entry, len(paths))
	for i, path := range paths {
		entries[i].path = path
	}
	err = each(ctx, entries, o.RawConcurrency, (*entry).read)
	if err == nil {
		err = each(ctx, entries, min(o.KeystoreConcurrency, runtime.GOMAXPROCS(0)), (*entry).unlock)
	}
	if err != nil {
		for _, e := range entries {
			if e.key != nil {
				e.key.Wipe()
			}
		}
		return nil, nil, fmt.Errorf("load keys: %w", err)
	}
	keys, failures := sift(entries)
	return keys, failures, nil
}

// scan lists the descriptors of all directories, sorted, each once.
func scan(dirs []string) ([]string, error) {
	var paths []string
	for _, dir := range dirs {
		files, err := os.ReadDir(dir)
		if err != nil {
			return nil, fmt.Errorf("key directory %s: %w", dir, cause(err))
		}
		for _, f := range files {
			ext := filepath.Ext(f.Name())
			if f.IsDir() || strings.HasPrefix(f.Name(), ".") || ext != ".yaml" && ext != ".yml" {
				continue
			}
			paths = append(paths, filepath.Join(dir, f.Name()))
		}
	}
	slices.Sort(paths)
	return slices.Compact(paths), nil
}

// each calls f for all entries, at most limit at once, and returns when all calls have ended; or early, with its
// error, when ctx ends.
func each(ctx context.Context, entries []entry, limit int, f func(*entry)) error {
	var g errgroup.Group
	g.SetLimit(max(limit, 1))
	for i := range entries {
		if ctx.Err() != nil {
			break
		}
		g.Go(func() error { f(&entries[i]); return nil })
	}
	return errors.Join(g.Wait(), ctx.Err())
}

// read reads the descriptor, and with it a raw key.
func (e *entry) read() {
	d, err := readDescriptor(e.path)
	switch {
	case err != nil:
		e.err = err
	case d.kind == kindRaw:
		e.key, e.err = d.rawKey()
	default:
		e.locked = d
	}
}

// unlock decrypts the keystore, if the descriptor named one.
func (e *entry) unlock() {
	if e.locked != nil {
		e.key, e.err = e.locked.unlock()
	}
}

// sift parts keys from failures and drops the second file of a key.
func sift(entries []entry) (keys []*keystore.Key, failures []FileError) {
	first := make(map[bls.PublicKey]string, len(entries))
	for _, e := range entries {
		if e.err != nil {
			failures = append(failures, FileError{e.path, e.err})
			continue
		}
		public := e.key.PublicKey()
		if path, ok := first[public]; ok {
			failures = append(failures, FileError{e.path, fmt.Errorf("%w: %s is in %s too, which counts", keystore.ErrDuplicate, public, path)})
			e.key.Wipe()
			continue
		}
		first[public] = e.path
		keys = append(keys, keystore.NewKey(e.key))
	}
	return keys, failures
}
