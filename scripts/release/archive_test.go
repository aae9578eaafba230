package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var released = time.Unix(1_700_000_000, 0).UTC()

// write makes a file with a mode, whatever the umask, and with a time of its own.
func write(t *testing.T, name, text string, mode os.FileMode) string {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(name, mode); err != nil {
		t.Fatal(err)
	}
	when := time.Unix(int64(len(name))*1000, 0)
	if err := os.Chtimes(name, when, when); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestArchiveIsTheSameWhoeverHasTheFiles(t *testing.T) {
	pack := func(umask os.FileMode, names ...string) []byte {
		dir := t.TempDir()
		var files []string
		for _, name := range names {
			mode := os.FileMode(0o644)
			if name == "program" {
				mode = 0o755
			}
			files = append(files, write(t, filepath.Join(dir, name), "this is "+name, mode&^umask))
		}
		var b bytes.Buffer
		if err := writeArchive(job{time: released, prefix: "release_1", files: files}, &b); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	first, second := pack(0o022, "program", "LICENSE"), pack(0o077, "LICENSE", "program")
	if !bytes.Equal(first, second) {
		t.Error("modes, times, folders or order of the files reached the archive")
	}
	members, err := unpack(bytes.NewReader(first))
	if err != nil {
		t.Fatal(err)
	}
	want := []member{{"release_1/LICENSE", 0o644, []byte("this is LICENSE")}, {"release_1/program", 0o755, []byte("this is program")}}
	if diff := cmp.Diff(want, members, cmp.AllowUnexported(member{})); diff != "" {
		t.Error(diff)
	}
}

func TestArchiveTakesFolders(t *testing.T) {
	dir := t.TempDir()
	folder := filepath.Join(dir, "made", "share")
	if err := os.MkdirAll(filepath.Join(folder, "man", "man1"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(folder, "man", "man1", "x.1"), "page", 0o600)
	write(t, filepath.Join(folder, "x.fish"), "script", 0o644)
	var b bytes.Buffer
	if err := writeArchive(job{time: released, prefix: "release_1", files: []string{write(t, filepath.Join(dir, "x"), "program", 0o755), folder}}, &b); err != nil {
		t.Fatal(err)
	}
	members, err := unpack(&b)
	if err != nil {
		t.Fatal(err)
	}
	want := []member{{"release_1/share/man/man1/x.1", 0o644, []byte("page")}, {"release_1/share/x.fish", 0o644, []byte("script")}, {"release_1/x", 0o755, []byte("program")}}
	if diff := cmp.Diff(want, members, cmp.AllowUnexported(member{})); diff != "" {
		t.Error(diff)
	}
	if err := writeArchive(job{time: released, files: []string{filepath.Join(dir, "missing")}}, &b); err == nil {
		t.Error("a file that is not there was left out")
	}
}

func TestArchiveRefusesAFileTwice(t *testing.T) {
	name := write(t, filepath.Join(t.TempDir(), "program"), "x", 0o755)
	err := writeArchive(job{time: released, files: []string{name, name}}, new(bytes.Buffer))
	if err == nil || !strings.Contains(err.Error(), "twice") {
		t.Errorf("got %v", err)
	}
}

// chartPackage is one as helm writes it: with the time of the moment.
func chartPackage(t *testing.T, made time.Time, headers ...*tar.Header) string {
	t.Helper()
	var b bytes.Buffer
	zipped := gzip.NewWriter(&b)
	zipped.Comment, zipped.ModTime = "Helm", made
	archive := tar.NewWriter(zipped)
	for _, header := range headers {
		header.ModTime = made
		if err := archive.WriteHeader(header); err != nil {
			t.Fatal(err)
		}
		if _, err := archive.Write(make([]byte, header.Size)); err != nil {
			t.Fatal(err)
		}
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	if err := zipped.Close(); err != nil {
		t.Fatal(err)
	}
	return write(t, filepath.Join(t.TempDir(), "chart.tgz"), b.String(), 0o600)
}

func TestChartLosesTheTimeOfItsMaking(t *testing.T) {
	again := func(made time.Time) string {
		file := chartPackage(t, made, &tar.Header{Name: "chart/", Typeflag: tar.TypeDir, Mode: 0o755},
			&tar.Header{Name: "chart/values.yaml", Mode: 0o600, Size: 3}, &tar.Header{Name: "chart/Chart.yaml", Mode: 0o644, Size: 5})
		var b bytes.Buffer
		if err := writeChart(job{time: released, files: []string{file}}, &b); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	if again(time.Unix(1, 0)) != again(time.Unix(2_000_000_000, 0)) {
		t.Error("the time of its making is in the chart")
	}
}

func TestChartRefuses(t *testing.T) {
	for name, header := range map[string]*tar.Header{
		"a way out":   {Name: "../values.yaml", Mode: 0o644},
		"a link":      {Name: "chart/values.yaml", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"},
		"a backslash": {Name: `chart\values.yaml`, Mode: 0o644},
	} {
		t.Run(name, func(t *testing.T) {
			file := chartPackage(t, released, header)
			if err := writeChart(job{time: released, files: []string{file}}, new(bytes.Buffer)); err == nil {
				t.Errorf("%+v was taken", header)
			}
		})
	}
}
