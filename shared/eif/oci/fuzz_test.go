package oci_test

import (
	"archive/tar"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/shared/eif/oci"
	"github.com/unforeseen-consequences/containment-chamber/shared/eif/ramdisk"
)

// FuzzLayer gives any bytes as a layer whose digests are right. What comes out stands below the root, and below directories.
func FuzzLayer(f *testing.F) {
	f.Add(layer(f, regular("a/b", "c"), linked(tar.TypeSymlink, "l", "a"), linked(tar.TypeLink, "h", "a/b")), false)
	f.Add(layer(f, regular("a/.wh.b", ""), regular("a/.wh..wh..opq", ""), directory("d/")), true)
	f.Fuzz(func(t *testing.T, raw []byte, second bool) {
		w := newMemoryWriter(t)
		layers := [][]byte{raw}
		if second { // which is compressed, and on top of another
			layers = [][]byte{layer(t, regular("a/b", ""), linked(tar.TypeSymlink, "l", "a")), raw}
		}
		w.index(w.image(nil, layers...))
		img, err := oci.ReadFS(w.memory, "", "amd64")
		if err != nil {
			return
		}
		for _, name := range img.Root.Names() {
			if err := ramdisk.CheckName(name); err != nil {
				t.Error(err)
			}
			for i, c := range name {
				if c != '/' {
					continue
				}
				if e, ok := img.Root.Get(name[:i]); !ok || e.Mode.Type() != ramdisk.Directory {
					t.Errorf("%q below %v", name, e.Mode)
				}
			}
		}
	})
}

// FuzzIndex gives any bytes as the index of a layout that has an image.
func FuzzIndex(f *testing.F) {
	dir := newMemoryWriter(f)
	dir.index(dir.image(nil))
	f.Add(dir.memory["index.json"].Data)
	f.Fuzz(func(t *testing.T, raw []byte) {
		w := newMemoryWriter(t)
		w.image(nil)
		w.file("index.json", raw)
		if img, err := oci.ReadFS(w.memory, "", "amd64"); (err == nil) != (img != nil) {
			t.Errorf("image %v with error %v", img, err)
		}
	})
}
