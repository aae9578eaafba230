package filesystem

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keystore"
)

// entry is a descriptor on its way to a key: one of key, locked and err is set.
type entry struct {
	path   string
	mark   mark
	key    *keystore.Key
	fresh  bool // key was made by this Load, and nobody else has it
	canary bool
	locked *locked // a keystore that is still to be opened
	err    error
}

// read reads the descriptor, and with it a raw key.
func (l *Loader) read(e *entry) {
	l.parse(e)
	if e.locked == nil {
		l.progress.done(e.err)
	}
}

func (l *Loader) parse(e *entry) {
	text, err := readFile(e.path, maxDescriptor)
	if err != nil {
		e.err = err
		return
	}
	defer clear(text)
	d, err := parseDescriptor(text, filepath.Dir(e.path))
	if d != nil {
		e.canary = d.canary
	}
	switch {
	case err != nil:
		e.err = err
	case d.kind == kindRaw:
		l.open(e, l.mark.of(text), d.rawKey)
		clear(d.private)
	default:
		e.locked = &locked{keystoreFile: d.keystoreFile, passwordFile: d.passwordFile}
	}
}

// unlock opens the keystore, if the descriptor named one.
func (l *Loader) unlock(ctx context.Context, e *entry) {
	if e.locked == nil {
		return
	}
	defer func() { l.progress.done(e.err) }()
	files := e.locked
	e.locked = nil
	text, password, err := files.read()
	if err != nil {
		e.err = err
		return
	}
	defer clear(password)
	l.open(e, l.mark.of(text, password), func() (*bls.SecretKey, error) { return files.open(ctx, l.options.Memory, text, password) })
}

// open takes the key that the descriptor gave before if its files are the same, and else makes it.
func (l *Loader) open(e *entry, m mark, decrypt func() (*bls.SecretKey, error)) {
	e.mark = m
	if before, ok := l.seen[e.path]; ok && before.mark == m {
		if e.key, ok = l.held(before.public); ok {
			return
		}
	}
	scalar, err := decrypt()
	if err != nil {
		e.err = err
		return
	}
	e.key, e.fresh = keystore.NewKey(scalar), true
}

// wipe drops a key that nobody else has.
func (e *entry) wipe() {
	if e.fresh {
		e.key.Wipe()
	}
}

// sift parts keys from failures, drops the second file of a key, keeps the keys of files that are broken now, and remembers
// what it saw.
func (l *Loader) sift(entries []entry) (keys []*keystore.Key, failures []FileError) {
	now := make(map[string]seen, len(entries))
	first := make(map[bls.PublicKey]string, len(entries))
	keys = make([]*keystore.Key, 0, len(entries))
	for _, e := range entries {
		if e.err != nil {
			continue
		}
		public := e.key.PublicKey()
		now[e.path] = seen{e.mark, public}
		if path, ok := first[public]; ok {
			failures = append(failures, FileError{Path: e.path, Err: fmt.Errorf("%w: %s is in %s too, which counts", keystore.ErrDuplicate, public, path)})
			e.wipe()
			continue
		}
		first[public] = e.path
		e.key.SetCanary(e.canary)
		keys = append(keys, e.key)
	}
	for _, e := range entries {
		if e.err == nil {
			continue
		}
		failure := FileError{Path: e.path, Err: e.err}
		if before, ok := l.seen[e.path]; ok {
			now[e.path] = before // so that it is still known if the next Load finds the file broken too
			key, held := l.held(before.public)
			if _, elsewhere := first[before.public]; held && !elsewhere {
				failure.Kept = before.public
				first[before.public] = e.path
				keys = append(keys, key)
			}
		}
		failures = append(failures, failure)
	}
	l.seen = now
	return keys, failures
}
