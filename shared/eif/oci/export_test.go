package oci

import (
	"archive/tar"
	"io"
	"io/fs"

	"github.com/unforeseen-consequences/containment-chamber/shared/eif/ramdisk"
)

// ReadAtMost reads as [ReadFS] does, with limits that a test can reach.
func ReadAtMost(files fs.FS, unpacked int64, entries int) (*Image, error) {
	return read(files, "", "amd64", limits{unpacked, entries})
}

// Add puts the files of a layer into a tree.
func Add(t *ramdisk.Tree, in io.Reader) error {
	return walkTar(in, 1, func(name string, h *tar.Header, body io.Reader) error { return add(t, name, h, body) })
}
