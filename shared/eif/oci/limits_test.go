package oci_test

import (
	"archive/tar"
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/shared/eif/oci"
	"github.com/unforeseen-consequences/containment-chamber/shared/eif/ramdisk"
)

// TestLimitsAreOfTheImage reads an image that fits, and asks for a byte and for a file less. Its layers are of both kinds.
func TestLimitsAreOfTheImage(t *testing.T) {
	first := layer(t, regular("a", strings.Repeat("a", 5000)), regular("b", ""))
	second := layer(t, regular("c", ""), regular(".wh.a", ""), regular(".wh.b", ""))
	w := newMemoryWriter(t)
	w.index(w.image(nil, first, second, first, first))
	total := int64(3*len(first) + len(second))
	if img, err := oci.ReadAtMost(w.memory, total, 3); err != nil || len(img.Root.Names()) != 3 {
		t.Errorf("what fits: %v", err)
	}
	for most, words := range map[int64]string{
		total - 1: "layer 3: larger than it may be", int64(len(first)+len(second)) - 1: "layer 1: larger", int64(len(first)) - 1: "layer 0: larger",
	} {
		if _, err := oci.ReadAtMost(w.memory, most, 3); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%d of %d bytes: got %v, want %q", most, total, err, words)
		}
	}
	if _, err := oci.ReadAtMost(w.memory, total, 2); err == nil || !strings.Contains(err.Error(), "layer 1: more than 2 files and whiteouts") {
		t.Errorf("files: %v", err)
	}
}

// TestSameLayerManyTimes: a blob that is named again is unpacked again.
func TestSameLayerManyTimes(t *testing.T) {
	bomb := layer(t, regular("a", strings.Repeat("a", 1<<20)))
	w := newMemoryWriter(t)
	w.index(w.image(func(c, m object) {
		var layers, ids []any
		d := w.blob(gzipType, zipped(t, bomb))
		for range 128 {
			layers, ids = append(layers, d), append(ids, digest(bomb))
		}
		m["layers"], c["rootfs"] = layers, object{"diff_ids": ids}
	}))
	if _, err := oci.ReadAtMost(w.memory, 3<<20, 1); err == nil || !strings.Contains(err.Error(), "layer 2: larger than it may be") {
		t.Error(err)
	}
}

// TestBodiesAreOfTheImage has the head of a file, and no body: what cannot fit is not read.
func TestBodiesAreOfTheImage(t *testing.T) {
	for _, test := range []struct {
		there string // a file of four bytes below the layer
		size  int64
		words string
	}{
		{"", ramdisk.MaxBytes + 1, fmt.Sprintf(`"large": %d bytes, %[2]d are left of %[2]d`, ramdisk.MaxBytes+1, ramdisk.MaxBytes)},
		{"small", ramdisk.MaxBytes - 3, fmt.Sprintf("%d are left of", ramdisk.MaxBytes-4)},
		{"small", 100, `"large": unexpected EOF`},
		{"large", ramdisk.MaxBytes + 1, fmt.Sprintf("%d are left of", ramdisk.MaxBytes)},
	} {
		var head bytes.Buffer
		if err := tar.NewWriter(&head).WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "large", Size: test.size, Mode: 0o644}); err != nil {
			t.Fatal(err)
		}
		tree := ramdisk.NewTree()
		if test.there != "" {
			if err := tree.Put(test.there, ramdisk.Entry{Mode: ramdisk.Regular, Body: []byte("1234")}); err != nil {
				t.Fatal(err)
			}
		}
		if err := oci.Add(tree, &head); err == nil || !strings.Contains(err.Error(), test.words) {
			t.Errorf("%d bytes after %q: got %v, want %q", test.size, test.there, err, test.words)
		}
	}
}

// TestBodiesAreNotLargerInMemory holds a file in as many bytes as it has.
func TestBodiesAreNotLargerInMemory(t *testing.T) {
	tree := ramdisk.NewTree()
	if err := oci.Add(tree, bytes.NewReader(layer(t, regular("a", strings.Repeat("a", 5000))))); err != nil {
		t.Fatal(err)
	}
	if e, _ := tree.Get("a"); len(e.Body) != 5000 || cap(e.Body) != 5000 {
		t.Errorf("%d bytes in %d", len(e.Body), cap(e.Body))
	}
}
