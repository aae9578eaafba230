package oci

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/unforeseen-consequences/containment-chamber/shared/eif/ramdisk"
)

// limits are what is read of all layers of an image, and of one.
type limits struct {
	unpacked int64 // bytes of all layers, unpacked
	entries  int   // files and whiteouts of one layer
}

// usual has room for all files that an image may have, as much again for their heads, and what upper layers replace.
func usual() limits { return limits{unpacked: 2 * ramdisk.MaxBytes, entries: ramdisk.MaxFiles} }

// The names that say what a layer takes away from those below it (OCI image specification, layer.md).
const (
	whiteout = ".wh."
	opaque   = ".wh..wh..opq"
)

func plainTypes() []string {
	return []string{"application/vnd.oci.image.layer.v1.tar", "application/vnd.docker.image.rootfs.diff.tar"}
}

func gzipTypes() []string {
	return []string{"application/vnd.oci.image.layer.v1.tar+gzip", "application/vnd.docker.image.rootfs.diff.tar.gzip"}
}

// apply changes a tree by a layer. What a layer takes away is only ever of the layers below it, wherever in the layer that is said;
// hence it is read twice.
func (l *layout) apply(t *ramdisk.Tree, d descriptor, diffID string) error {
	_, err := l.walk(d, diffID, func(name string, h *tar.Header, _ io.Reader) error { return takeAway(t, name, h) })
	if err != nil {
		return err
	}
	size, err := l.walk(d, diffID, func(name string, h *tar.Header, body io.Reader) error { return add(t, name, h, body) })
	l.most.unpacked -= size
	return err
}

// walk calls f for every file of a layer but its root, verifies both of its digests, and tells its size, unpacked.
func (l *layout) walk(d descriptor, diffID string, f func(name string, h *tar.Header, body io.Reader) error) (size int64, err error) {
	file, err := l.open(d)
	if err != nil {
		return 0, err
	}
	defer func() { _ = file.Close() }() // nothing was written
	packed := &hashed{r: file, h: sha256.New(), left: d.Size}
	unpacked := &hashed{r: packed, h: sha256.New(), left: l.most.unpacked}
	switch {
	case slices.Contains(gzipTypes(), d.MediaType):
		if unpacked.r, err = gzip.NewReader(packed); err != nil {
			return 0, err
		}
	case !slices.Contains(plainTypes(), d.MediaType):
		return 0, fmt.Errorf("layer of type %.100q, want one of %q", d.MediaType, slices.Concat(plainTypes(), gzipTypes()))
	}
	if err := walkTar(unpacked, l.most.entries, f); err != nil {
		return 0, err
	}
	if err := errors.Join(unpacked.drain(), packed.drain()); err != nil {
		return 0, err
	}
	if got := packed.digest(); got != d.Digest {
		return 0, fmt.Errorf("digest %s, want %s", got, d.Digest)
	}
	if got := unpacked.digest(); got != diffID {
		return 0, fmt.Errorf("unpacked, digest %s, want %.100q", got, diffID)
	}
	return l.most.unpacked - unpacked.left, nil
}

func walkTar(in io.Reader, most int, f func(name string, h *tar.Header, body io.Reader) error) error {
	r := tar.NewReader(in)
	for n := 0; ; n++ {
		h, err := r.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case n == most:
			return fmt.Errorf("more than %d files and whiteouts", most)
		}
		name := strings.TrimSuffix(strings.TrimPrefix(h.Name, "./"), "/")
		if name == "" || name == "." {
			continue
		}
		if err := ramdisk.CheckName(name); err != nil {
			return err
		}
		if err := f(name, h, r); err != nil {
			return err
		}
	}
}

// takeAway removes what a whiteout names. Below a file or a symlink of the layers below there is nothing to remove; whether a whiteout may
// stand there is for add to say, which knows the layer's own directories.
func takeAway(t *ramdisk.Tree, name string, h *tar.Header) error {
	dir, base := path.Split(name)
	hidden, ok := strings.CutPrefix(base, whiteout)
	switch {
	case !ok:
		return nil
	case h.Typeflag != tar.TypeReg || h.Size != 0:
		return fmt.Errorf("whiteout %q is no empty file", name)
	case base == opaque:
		t.RemoveBelow(strings.TrimSuffix(dir, "/"))
		return nil
	case strings.HasPrefix(hidden, whiteout):
		return fmt.Errorf("whiteout %q is of a kind that is not known", name)
	}
	if err := ramdisk.CheckName(dir + hidden); err != nil {
		return fmt.Errorf("whiteout %q: %w", name, err)
	}
	t.Remove(dir + hidden)
	return nil
}

// add puts a file of a layer into the tree.
func add(t *ramdisk.Tree, name string, h *tar.Header, body io.Reader) error {
	if strings.HasPrefix(path.Base(name), whiteout) {
		return t.CheckAbove(name)
	}
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return fmt.Errorf("%q is sparse", name)
		}
	}
	mode := ramdisk.Mode(h.Mode & 0o7777)
	switch h.Typeflag {
	case tar.TypeDir:
		return t.Put(name, ramdisk.Entry{Mode: ramdisk.Directory | mode})
	case tar.TypeSymlink:
		return t.Put(name, ramdisk.Entry{Mode: ramdisk.Symlink | 0o777, Target: h.Linkname})
	case tar.TypeLink:
		first, ok := t.Get(strings.TrimPrefix(h.Linkname, "./"))
		if !ok || first.Mode.Type() != ramdisk.Regular {
			return fmt.Errorf("%q is a hard link to %.100q, which is no regular file before it", name, h.Linkname)
		}
		return t.Put(name, first)
	case tar.TypeReg:
		t.Remove(name) // what is replaced leaves room
		if h.Size > t.Left() {
			return fmt.Errorf("%q: %d bytes, %d are left of %d for all files", name, h.Size, t.Left(), int64(ramdisk.MaxBytes))
		}
		content := make([]byte, h.Size)
		if _, err := io.ReadFull(body, content); err != nil {
			return fmt.Errorf("%q: %w", name, err)
		}
		return t.Put(name, ramdisk.Entry{Mode: ramdisk.Regular | mode, Body: content})
	}
	return fmt.Errorf("%q is of type %q, want a directory, a regular file, a symlink or a hard link", name, h.Typeflag)
}

// hashed hashes what is read through it, at most so many bytes.
type hashed struct {
	r    io.Reader
	h    hash.Hash
	left int64
}

func (r *hashed) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	r.h.Write(p[:n])
	if r.left -= int64(n); r.left < 0 {
		return 0, errors.New("larger than it may be")
	}
	return n, err
}

// drain reads what is left, which is part of the digest too.
func (r *hashed) drain() error {
	for p := make([]byte, 32<<10); ; {
		if _, err := r.Read(p); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

func (r *hashed) digest() string { return "sha256:" + hex.EncodeToString(r.h.Sum(nil)) }
