package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/diagnostics"
)

func supportText(name, text string) diagnostics.File {
	return diagnostics.File{Name: name, About: "about it", Make: func(context.Context) ([]byte, error) { return []byte(text), nil }}
}

// unpacked reads a tar.gz.
func unpacked(t *testing.T, path string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := gzip.NewReader(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for r := tar.NewReader(plain); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil || h.Mode != 0o600 {
			t.Fatalf("%s: mode %o, %v", h.Name, h.Mode, err)
		}
		files[h.Name] = string(text)
	}
}

func TestOperatorSupportBundle(t *testing.T) {
	s := startDiagnosed(t, supportText("status.json", "{}\n"), supportText("log.jsonl", strings.Repeat("a line\n", 10_000)))
	path := filepath.Join(t.TempDir(), "support.tar.gz")
	code, out, errs := s.operator("support-bundle", "--output-file", path)
	if code != exitOK {
		t.Fatalf("exit code %d, %s", code, errs)
	}
	for _, want := range []string{path + ", ", "status.json, 3 bytes\n", "log.jsonl, 70000 bytes\n", "README.txt, ", "secrets         none: keys, tokens and passwords are left out; public keys"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 || info.Size() > 20_000 {
		t.Errorf("%v %v", info, err)
	}
	files := unpacked(t, path)
	if files["support-bundle/status.json"] != "{}\n" || len(files["support-bundle/log.jsonl"]) != 70_000 || len(files) != 5 {
		t.Errorf("%d files, %q", len(files), files["support-bundle/status.json"])
	}

	code, out, errs = s.operator("support-bundle", "--output-file", path)
	if code != exitUsage || out != "" || !strings.Contains(errs, path+" exists") {
		t.Errorf("again: exit code %d, %q %q", code, out, errs)
	}
	if diff := cmp.Diff(files, unpacked(t, path)); diff != "" {
		t.Errorf("the file was changed: %s", diff)
	}
}

func TestOperatorSupportBundleAsJSON(t *testing.T) {
	s := startDiagnosed(t)
	path := filepath.Join(t.TempDir(), "support.tar.gz")
	code, out, errs := s.operator("support-bundle", "--output-file", path, "--output", "json")
	var got struct {
		File  string
		Bytes int64
		Files []struct {
			Name  string
			Bytes int
		}
	}
	info, err := os.Stat(path)
	if err := errors.Join(err, json.Unmarshal([]byte(out), &got)); err != nil || code != exitOK || got.File != path || got.Bytes != info.Size() || len(got.Files) != 3 || got.Files[0].Bytes == 0 {
		t.Errorf("exit code %d, %s%s: %v", code, out, errs, err)
	}
}

// TestOperatorSupportBundleRefuses: no file is left behind.
func TestOperatorSupportBundleRefuses(t *testing.T) {
	s := startDiagnosed(t)
	dir := t.TempDir()
	for _, test := range []struct{ args, words string }{
		{"", "--output-file is needed"},
		{"--output-file " + dir, "exists"},
		{"--output-file " + filepath.Join(dir, "missing", "x"), "no such file or directory"},
		{"--output-file x y", "unknown command"},
		{"--output-file " + filepath.Join(dir, "x") + " --output yaml", `--output: "yaml"`},
	} {
		code, out, errs := s.operator(append([]string{"support-bundle"}, strings.Fields(test.args)...)...)
		if code != exitUsage || out != "" || !strings.Contains(errs, test.words) {
			t.Errorf("%s: exit code %d, %q, %q; want %q", test.args, code, out, errs, test.words)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("%v %v", left, err)
	}
}

// hostileTar is an archive of entries as a signer could make it that is not what it should be.
func hostileTar(t *testing.T, headers ...tar.Header) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, h := range headers {
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(make([]byte, h.Size)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestOperatorSupportBundleOfAHostileSigner: nothing of it reaches the disk.
func TestOperatorSupportBundleOfAHostileSigner(t *testing.T) {
	good := tar.Header{Name: "support-bundle/a.txt", Size: 1}
	many := make([]tar.Header, maxSupportFiles+1)
	for i := range many {
		many[i] = good
	}
	for name, test := range map[string]struct {
		body  []byte
		words string
	}{
		"path upwards":   {hostileTar(t, good, tar.Header{Name: "support-bundle/../../x", Size: 1}), `"support-bundle/../../x" is no file of a support bundle`},
		"absolute path":  {hostileTar(t, tar.Header{Name: "/etc/passwd", Size: 1}), `"/etc/passwd" is no file of a support bundle`},
		"folder below":   {hostileTar(t, tar.Header{Name: "support-bundle/a/b", Size: 1}), "is no file of a support bundle"},
		"hidden file":    {hostileTar(t, tar.Header{Name: "support-bundle/.profile", Size: 1}), "is no file of a support bundle"},
		"escape":         {hostileTar(t, tar.Header{Name: "support-bundle/\x1b[2J", Size: 1}), `"support-bundle/\x1b[2J" is no file`},
		"link":           {hostileTar(t, tar.Header{Name: "support-bundle/a", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}), "is no file of a support bundle"},
		"many files":     {hostileTar(t, many...), "it has more than 100 files"},
		"too large":      {make([]byte, diagnostics.MaxBundle+1), "it has more than 16777216 bytes"},
		"empty":          {hostileTar(t), "there is nothing in the archive"},
		"nothing at all": {nil, "there is nothing in the archive"},
		"broken off":     {hostileTar(t, good, good)[:1500], "unexpected EOF"},
		"no archive":     {[]byte(strings.Repeat("<html>", 200)), "invalid tar header"},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(test.body) }))
			t.Cleanup(server.Close)
			t.Setenv("ROOT_TOKEN", "x")
			path := filepath.Join(t.TempDir(), "x")
			code, out, errs := (&diagnosed{t: t, url: server.URL}).operator("support-bundle", "--output-file", path)
			if code != exitFailure || out != "" || !strings.Contains(errs, test.words) {
				t.Errorf("exit code %d, %q, %q; want %q", code, out, errs, test.words)
			}
			if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("a file is there: %v", err)
			}
		})
	}
}
