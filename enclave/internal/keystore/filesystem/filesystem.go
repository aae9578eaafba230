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
	// KeystoreConcurrency is how many keystores are decrypted at once, at least 1. Each takes a CPU, so no more than there are
	// CPUs are under way, and no more than Memory has room for.
	KeystoreConcurrency int
	// RawConcurrency is how many descriptors, which hold the raw keys, are read at once; at least 1.
	RawConcurrency int
	// Memory is what decrypting keystores takes. It is required, and may be shared.
	Memory *KDFMemory
}

// FileError says why a descriptor gave no key.
type FileError struct {
	Path string
	Err  error
	// Kept is the key that this file gave before, and that stays loaded; zero if there is none.
	Kept bls.PublicKey
}

func (e FileError) Error() string { return e.Path + ": " + e.Err.Error() }

func (e FileError) Unwrap() error { return e.Err }

// Loader reads the keys again and again, and decrypts only what has changed. But for Progress it is not safe for concurrent use.
type Loader struct {
	options  Options
	held     func(bls.PublicKey) (*keystore.Key, bool)
	mark     marker
	seen     map[string]seen // by the descriptor's path, as of the last Load
	again    bool            // a Load has ended well: keys are in use
	progress tally
}

// Progress is how far the Load is that runs now, or else ran last. It is safe for concurrent use.
func (l *Loader) Progress() Progress { return l.progress.look() }

// seen is what a descriptor gave when it was last read without an error.
type seen struct {
	mark   mark
	public bls.PublicKey
}

// NewLoader makes a loader that has read nothing. held returns a key that an earlier Load gave and that still is in use; it must
// be safe for concurrent use.
func NewLoader(o Options, held func(bls.PublicKey) (*keystore.Key, bool)) *Loader {
	return &Loader{options: o, held: held, mark: newMarker(), seen: map[string]seen{}}
}

// Load reads all descriptors and returns all keys, those from held included: a key whose files have not changed is not
// decrypted again, and one whose files can no longer be read is kept. A key that cannot be loaded is in the second
// result and does not hold the others back; of two files for one key the first in the order of their paths counts. The error is
// for the whole: a directory that cannot be read, or ctx ended. Then there are no keys, and nothing has changed.
func (l *Loader) Load(ctx context.Context) ([]*keystore.Key, []FileError, error) {
	l.progress.begin(0)
	paths, err := scan(l.options.Paths)
	if err != nil {
		return nil, nil, err
	}
	l.progress.begin(len(paths))
	entries := make([]entry, len(paths))
	for i, path := range paths {
		entries[i].path = path
	}
	raw, locked := l.options.RawConcurrency, min(l.options.KeystoreConcurrency, runtime.GOMAXPROCS(0))
	if l.again { // half of the CPUs are left to those who sign meanwhile
		half := max(runtime.GOMAXPROCS(0)/2, 1)
		raw, locked = min(raw, half), min(locked, half)
	}
	err = each(ctx, entries, raw, l.read)
	if err == nil {
		l.progress.beginKeystores()
		err = each(ctx, entries, locked, func(e *entry) { l.unlock(ctx, e) })
	}
	if err != nil {
		for _, e := range entries {
			e.wipe()
		}
		return nil, nil, fmt.Errorf("load keys: %w", err)
	}
	l.again = true
	keys, failures := l.sift(entries)
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
