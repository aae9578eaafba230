package oci_test

import (
	"archive/tar"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/unforeseen-consequences/containment-chamber/shared/eif/oci"
	"github.com/unforeseen-consequences/containment-chamber/shared/eif/ramdisk"
)

// listing is a tree in lines.
func listing(t *ramdisk.Tree) (out []string) {
	for _, name := range t.Names() {
		e, _ := t.Get(name)
		out = append(out, fmt.Sprintf("%s %v %s%s", name, e.Mode, e.Body, e.Target))
	}
	return out
}

func TestRead(t *testing.T) {
	w := newWriter(t)
	base := layer(
		t, directory("./"), regular("program", "old"), regular("etc/kept", "kept"), regular("etc/gone", "x"), regular("dir/below", "x"),
		regular("opaque/old", "x"), linked(tar.TypeSymlink, "lib", "usr/lib"), regular("usr/lib/so", "so"),
	)
	top := layer(
		t, regular("./program", "new"), regular("etc/.wh.gone", ""), regular(".wh.dir", ""), regular("dir/again", "again"), regular("opaque/new", "new"),
		regular("opaque/.wh..wh..opq", ""), tar.Header{Typeflag: tar.TypeLink, Name: "copy", Linkname: "./program"},
		tar.Header{Typeflag: tar.TypeDir, Name: "tmp/", Mode: 0o1777}, linked(tar.TypeSymlink, "absolute", "/program"),
	)
	w.index(w.image(nil, base, top))
	img, err := oci.Read(w.dir, "", "amd64")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{
		"absolute symlink 0777 /program", "copy file 0644 new", "dir directory 0755 ", "dir/again file 0644 again", "etc directory 0755 ",
		"etc/kept file 0644 kept", "lib symlink 0777 usr/lib", "opaque directory 0755 ", "opaque/new file 0644 new", "program file 0644 new",
		"tmp directory 1777 ", "usr directory 0755 ", "usr/lib directory 0755 ", "usr/lib/so file 0644 so",
	}, listing(img.Root)); diff != "" {
		t.Error(diff)
	}
	want := oci.Config{Entrypoint: []string{"/program"}, Cmd: []string{"serve"}, Env: []string{"PATH=/bin"}, User: "65532", WorkingDir: "/data"}
	if diff := cmp.Diff(want, img.Config); diff != "" {
		t.Error(diff)
	}
}

// TestReadTakesAway has a layer take away what is below it, and nothing of its own.
func TestReadTakesAway(t *testing.T) {
	base := []tar.Header{regular("etc/old", ""), linked(tar.TypeSymlink, "lib", "usr/lib"), regular("usr/lib/so", "")}
	for name, test := range map[string]struct {
		top  []tar.Header
		want []string
	}{
		"all":  {[]tar.Header{regular("new", ""), regular(".wh..wh..opq", "")}, []string{"new file 0644 "}},
		"all,": {[]tar.Header{regular("./.wh..wh..opq", ""), regular("etc/new", "")}, []string{"etc directory 0755 ", "etc/new file 0644 "}},
		"nothing that is there": {
			[]tar.Header{regular(".wh..wh..opq", ""), regular("none/.wh.x", ""), regular("none/.wh..wh..opq", ""), regular(".wh.x", "")}, nil,
		},
		"of a directory in place of a symlink": {
			[]tar.Header{directory("lib/"), regular("lib/.wh..wh..opq", ""), regular("lib/.wh.so", ""), regular("lib/new", ""), regular("etc/.wh.old", "")},
			[]string{
				"etc directory 0755 ", "lib directory 0755 ", "lib/new file 0644 ", "usr directory 0755 ", "usr/lib directory 0755 ", "usr/lib/so file 0644 ",
			},
		},
	} {
		w := newWriter(t)
		w.index(w.image(nil, layer(t, base...), layer(t, test.top...)))
		img, err := oci.Read(w.dir, "", "amd64")
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(test.want, listing(img.Root)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// TestReadFinds one image of several: by its name, by its digest, by its architecture; in an index within the index, beside provenance.
func TestReadFinds(t *testing.T) {
	w := newWriter(t)
	with := func(d object, key string, v any) object {
		d[key] = v
		return d
	}
	first := with(w.image(nil, layer(t, regular("first", ""))), "annotations", object{"org.opencontainers.image.ref.name": "v1"})
	second := w.image(nil, layer(t, regular("second", "")))
	arm := w.image(func(c, _ object) { c["architecture"] = "arm64" }, layer(t, regular("arm", "")))
	provenance := with(w.image(nil), "annotations", object{"vnd.docker.reference.type": "attestation-manifest"})
	inner := w.json(indexType, object{"manifests": []object{
		with(arm, "platform", object{"os": "linux", "architecture": "arm64"}), with(second, "platform", object{"os": "linux", "architecture": "amd64"}), provenance,
	}})
	w.index(first, with(inner, "annotations", object{"org.opencontainers.image.ref.name": "v2"}))
	for _, test := range []struct{ ref, arch, file, words string }{
		{"v1", "amd64", "first", ""},
		{"v2", "amd64", "second", ""},
		{"v2", "arm64", "arm", ""},
		{first["digest"].(string), "amd64", "first", ""},
		{"", "amd64", "", "2 images for linux/amd64: say which"},
		{"v3", "amd64", "", `no image "v3", there are "v1", "v2"`},
		{"v2", "riscv64", "", "no image for linux/riscv64"},
		{"v1", "arm64", "", "it is for linux/amd64, want linux/arm64"},
	} {
		img, err := oci.Read(w.dir, test.ref, test.arch)
		if test.words != "" {
			if err == nil || !strings.Contains(err.Error(), test.words) {
				t.Errorf("%q for %s: %v, want %q", test.ref, test.arch, err, test.words)
			}
			continue
		}
		if err != nil {
			t.Errorf("%q for %s: %v", test.ref, test.arch, err)
		} else if _, ok := img.Root.Get(test.file); !ok {
			t.Errorf("%q for %s: got %v", test.ref, test.arch, img.Root.Names())
		}
	}
}

func TestReadRefusesLayers(t *testing.T) {
	deep := func(headers ...tar.Header) func(writer) object {
		return func(w writer) object { return w.image(nil, layer(w.t, regular("a", "x")), layer(w.t, headers...)) }
	}
	for _, test := range []struct {
		name  string
		image func(writer) object
		words string
	}{
		{"escape", deep(regular("../x", "")), `"../x" is not a plain path`},
		{"absolute", deep(regular("/x", "")), "not a plain path"},
		{"escape within", deep(regular("a/../../x", "")), "not a plain path"},
		{"through a symlink", deep(linked(tar.TypeSymlink, "l", "/etc"), regular("l/x", "")), `"l" above it is no directory`},
		{"symlink above the root", deep(linked(tar.TypeSymlink, "l", "../x")), "above the root"},
		{"symlink above the root from below", deep(linked(tar.TypeSymlink, "d/l", "../../x")), "above the root"},
		{"whiteout through a symlink", deep(linked(tar.TypeSymlink, "l", "d"), regular("l/.wh.x", "")), `"l" above it is no directory`},
		{"whiteout below a file", deep(regular("a/.wh.x", "")), `"a/.wh.x": "a" above it is no directory but a file`},
		{"opaque below a file", deep(regular("a/b/.wh..wh..opq", "")), `"a" above it is no directory`},
		{"hard link to nothing", deep(linked(tar.TypeLink, "l", "none")), `hard link to "none"`},
		{"hard link outside", deep(linked(tar.TypeLink, "l", "../../etc/passwd")), "is a hard link to"},
		{"hard link to a directory", deep(directory("d"), linked(tar.TypeLink, "l", "d")), `hard link to "d"`},
		{"device", deep(tar.Header{Typeflag: tar.TypeChar, Name: "null", Devmajor: 1, Devminor: 3}), `"null" is of type '3'`},
		{"fifo", deep(tar.Header{Typeflag: tar.TypeFifo, Name: "pipe"}), "is of type '6'"},
		{"whiteout with a body", deep(regular(".wh.a", "x")), "is no empty file"},
		{"whiteout as a directory", deep(directory(".wh.a")), "is no empty file"},
		{"whiteout that escapes", deep(regular("d/.wh...", "")), "whiteout"},
		{"whiteout of nothing", deep(regular("d/.wh.", "")), "whiteout"},
		{"unknown whiteout", deep(regular(".wh..wh.plnk", "")), "of a kind that is not known"},
		{"other layers than said", func(w writer) object {
			return w.image(func(c, _ object) {
				c["rootfs"] = object{"diff_ids": []string{digest([]byte("other"))}}
			}, layer(w.t, regular("a", "")))
		}, "unpacked, digest sha256:"},
		{"fewer layers than said", func(w writer) object {
			return w.image(func(_, m object) { m["layers"] = []object{} }, layer(w.t, regular("a", "")))
		}, "the manifest has 0 layers, the configuration 1"},
		{"compressed in another way", func(w writer) object {
			return w.image(func(_, m object) {
				m["layers"] = []object{w.blob("application/vnd.oci.image.layer.v1.tar+zstd", []byte("x"))}
			}, layer(w.t))
		}, "tar+zstd"},
		{"not compressed", func(w writer) object {
			body := layer(w.t, regular("a", ""))
			return w.image(func(_, m object) { m["layers"] = []object{w.blob(gzipType, body)} }, body)
		}, "gzip: invalid header"},
		{"no tar", func(w writer) object { return w.image(nil, []byte(strings.Repeat("x", 1024))) }, "invalid tar header"},
		{"no image", func(w writer) object {
			return w.image(func(_, m object) { m["config"] = w.json("application/vnd.in-toto+json", object{}) })
		}, "no container image"},
		{"other system", func(w writer) object { return w.image(func(c, _ object) { c["os"] = "windows" }) }, "it is for windows/amd64"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWriter(t)
			w.index(test.image(w))
			img, err := oci.Read(w.dir, "", "amd64")
			if err == nil || img != nil || !strings.Contains(err.Error(), test.words) {
				t.Errorf("got %v; want %q", err, test.words)
			}
		})
	}
}

// pipe puts a pipe, to which nobody writes, in the place of a file.
func pipe(path string) error { return errors.Join(os.Remove(path), syscall.Mkfifo(path, 0o600)) }

// TestReadRefusesLayouts changes what is good on its way to the blobs.
func TestReadRefusesLayouts(t *testing.T) {
	blobOf := func(w writer, d object) string {
		return filepath.Join(w.dir, "blobs/sha256", d["digest"].(string)[len("sha256:"):])
	}
	for _, test := range []struct {
		name   string
		change func(w writer, d object) error
		words  string
	}{
		{"no layout", func(w writer, _ object) error { return os.Remove(filepath.Join(w.dir, "oci-layout")) }, "oci-layout: "},
		{"other version", func(w writer, _ object) error { w.file("oci-layout", []byte(`{"imageLayoutVersion":"2"}`)); return nil }, `version "2"`},
		{"no index", func(w writer, _ object) error { return os.Remove(filepath.Join(w.dir, "index.json")) }, "index.json: "},
		{"broken index", func(w writer, _ object) error { w.file("index.json", []byte(`{`)); return nil }, "index.json: unexpected end"},
		{"large index", func(w writer, _ object) error { w.file("index.json", make([]byte, 5<<20)); return nil }, "index.json: 5242880 bytes, at most"},
		{"index that is a pipe", func(w writer, _ object) error { return pipe(filepath.Join(w.dir, "index.json")) }, "index.json: is no regular file"},
		{"blob that is a pipe", func(w writer, d object) error { return pipe(blobOf(w, d)) }, "is no regular file"},
		{"blob that is a directory", func(w writer, d object) error {
			return errors.Join(os.Remove(blobOf(w, d)), os.Mkdir(blobOf(w, d), 0o755))
		}, "is no regular file"},
		{"no blob", func(w writer, d object) error { return os.Remove(blobOf(w, d)) }, "no such file"},
		{"other bytes", func(w writer, d object) error {
			body, err := os.ReadFile(blobOf(w, d))
			body[0] = ' '
			w.file("blobs/sha256/"+filepath.Base(blobOf(w, d)), body)
			return err
		}, "of digest sha256:"},
		{"other size", func(w writer, d object) error { w.file("blobs/sha256/"+filepath.Base(blobOf(w, d)), nil); return nil }, "0 bytes, its descriptor says"},
		{"symlink out", func(w writer, d object) error {
			if err := os.Remove(blobOf(w, d)); err != nil {
				return err
			}
			return os.Symlink("/etc/passwd", blobOf(w, d))
		}, "path escapes"},
		{"digest that is a path", func(w writer, d object) error { d["digest"] = "sha256:../../index.json"; w.index(d); return nil }, "want sha256: and 64"},
		{"digest of another kind", func(w writer, d object) error {
			d["digest"] = "sha512:" + strings.Repeat("0", 64)
			w.index(d)
			return nil
		}, "want sha256: and 64"},
		{"huge manifest", func(w writer, d object) error { d["size"] = 1 << 40; w.index(d); return nil }, "1099511627776 bytes, at most"},
		{"other type", func(w writer, d object) error { d["mediaType"] = "text/plain"; w.index(d); return nil }, `manifest of type "text/plain"`},
		{"indexes without end", func(w writer, d object) error {
			for range 3 {
				d = w.json(indexType, object{"manifests": []object{d}})
			}
			w.index(d)
			return nil
		}, "too many indexes within each other"},
		{"many", func(w writer, d object) error {
			all := make([]object, 65)
			for i := range all {
				all[i] = d
			}
			w.index(all...)
			return nil
		}, "65 manifests, at most 64"},
		{"many in many", func(w writer, d object) error {
			inner := make([]object, 8)
			for i := range inner {
				inner[i] = d
			}
			d = w.json(indexType, object{"manifests": inner})
			w.index(d, d, d, d, d, d, d, d)
			return nil
		}, "72 manifests, at most 64"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWriter(t)
			d := w.image(nil, layer(t, regular("a", "")))
			w.index(d)
			if _, err := oci.Read(w.dir, "", "amd64"); err != nil {
				t.Fatal(err)
			}
			if err := test.change(w, d); err != nil {
				t.Fatal(err)
			}
			img, err := oci.Read(w.dir, "", "amd64")
			if err == nil || img != nil || !strings.Contains(err.Error(), test.words) {
				t.Errorf("got %v; want %q", err, test.words)
			}
		})
	}
	if _, err := oci.Read(filepath.Join(t.TempDir(), "none"), "", "amd64"); err == nil {
		t.Error("no directory, and no error")
	}
}
