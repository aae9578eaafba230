package oci_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"
)

// The types of blobs.
const (
	indexType    = "application/vnd.oci.image.index.v1+json"
	manifestType = "application/vnd.oci.image.manifest.v1+json"
	configType   = "application/vnd.oci.image.config.v1+json"
	layerType    = "application/vnd.oci.image.layer.v1.tar"
	gzipType     = "application/vnd.oci.image.layer.v1.tar+gzip"
)

// object is JSON that a test may change before it is written.
type object = map[string]any

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// writer makes a layout in a directory, or in memory.
type writer struct {
	t      testing.TB
	dir    string
	memory fstest.MapFS // nil for a directory
}

// newMemoryWriter makes a layout in memory, which fuzzing can do often enough.
func newMemoryWriter(t testing.TB) writer {
	t.Helper()
	w := writer{t: t, memory: fstest.MapFS{}}
	w.file("oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`))
	return w
}

func newWriter(t testing.TB) writer {
	t.Helper()
	w := writer{t: t, dir: t.TempDir()}
	if err := os.MkdirAll(filepath.Join(w.dir, "blobs/sha256"), 0o755); err != nil {
		t.Fatal(err)
	}
	w.file("oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`))
	return w
}

func (w writer) file(name string, body []byte) {
	w.t.Helper()
	if w.memory != nil {
		w.memory[name] = &fstest.MapFile{Data: body}
		return
	}
	if err := os.WriteFile(filepath.Join(w.dir, name), body, 0o644); err != nil {
		w.t.Fatal(err)
	}
}

// blob writes a blob and gives its descriptor.
func (w writer) blob(kind string, body []byte) object {
	w.t.Helper()
	w.file("blobs/sha256/"+digest(body)[len("sha256:"):], body)
	return object{"mediaType": kind, "digest": digest(body), "size": len(body)}
}

func (w writer) json(kind string, v any) object {
	w.t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.blob(kind, text)
}

func (w writer) index(manifests ...object) {
	w.t.Helper()
	text, err := json.Marshal(object{"schemaVersion": 2, "manifests": manifests})
	if err != nil {
		w.t.Fatal(err)
	}
	w.file("index.json", text)
}

// image writes an image of layers, each a tar, and gives the descriptor of its manifest. change may alter what is written.
func (w writer) image(change func(config, manifest object), layers ...[]byte) object {
	w.t.Helper()
	var descriptors []object
	ids := []string{}
	for i, layer := range layers {
		kind, body := layerType, layer
		if i%2 == 1 {
			kind, body = gzipType, zipped(w.t, layer)
		}
		descriptors = append(descriptors, w.blob(kind, body))
		ids = append(ids, digest(layer))
	}
	config := object{
		"architecture": "amd64", "os": "linux", "rootfs": object{"type": "layers", "diff_ids": ids},
		"config": object{"Entrypoint": []string{"/program"}, "Cmd": []string{"serve"}, "Env": []string{"PATH=/bin"}, "User": "65532", "WorkingDir": "/data"},
	}
	manifest := object{"schemaVersion": 2, "mediaType": manifestType, "layers": descriptors}
	if change != nil {
		change(config, manifest)
	}
	if manifest["config"] == nil {
		manifest["config"] = w.json(configType, config)
	}
	return w.json(manifestType, manifest)
}

func zipped(t testing.TB, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	_, err := z.Write(b)
	if err := errors.Join(err, z.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// layer is a tar of headers; a body goes with the size of the one that it is for.
func layer(t testing.TB, headers ...tar.Header) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, h := range headers {
		body := []byte(h.Uname) // a place for it that readers do not look at
		if h.Typeflag == tar.TypeReg {
			h.Size, h.Uname = int64(len(body)), ""
		}
		if h.Mode == 0 {
			h.Mode = 0o644
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			if _, err := w.Write(body); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func regular(name, body string) tar.Header {
	return tar.Header{Typeflag: tar.TypeReg, Name: name, Uname: body}
}

func directory(name string) tar.Header {
	return tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: 0o755}
}

func linked(kind byte, name, target string) tar.Header {
	return tar.Header{Typeflag: kind, Name: name, Linkname: target}
}
