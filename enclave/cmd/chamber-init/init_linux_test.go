package main

import (
	"bytes"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/unforeseen-consequences/containment-chamber/shared/eif/layout"
	"github.com/unforeseen-consequences/containment-chamber/shared/eif/ramdisk"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func write(t *testing.T, dir, name, body string, mode os.FileMode) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(body), mode); err != nil {
		t.Fatal(err)
	}
}

// TestReadsWhatTheBuilderWrites: names and form of the files are agreed on in no other place.
func TestReadsWhatTheBuilderWrites(t *testing.T) {
	cmd, env := []string{"/program", "", "two words"}, []string{"A=b", "C="}
	root := ramdisk.NewTree()
	if err := root.Put("program", ramdisk.Entry{Mode: ramdisk.Regular | 0o755}); err != nil {
		t.Fatal(err)
	}
	application, err := layout.Application(root, cmd, env)
	if err != nil {
		t.Fatal(err)
	}
	boot, err := layout.Boot([]byte("init"), []layout.Module{{Name: "rng-core.ko"}, {Name: "nsm.ko"}})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, from := range []*ramdisk.Tree{boot, application} {
		for _, name := range from.Names() {
			if e, _ := from.Get(name); e.Mode.Type() == ramdisk.Regular {
				write(t, dir, name, string(e.Body), 0o644)
			}
		}
	}
	p, err := readProgram(dir)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([][]string{cmd, env}, [][]string{p.cmd, p.env}); diff != "" {
		t.Error(diff)
	}
	list, err := listModules(dir)
	if diff := cmp.Diff([]string{"rng-core.ko", "nsm.ko"}, list); err != nil || diff != "" {
		t.Error(err, diff)
	}
}

func TestReadProgramRefuses(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"no cmd":    {"env": ""},
		"no env":    {"cmd": "/a\n"},
		"empty cmd": {"cmd": "", "env": ""},
		"no name":   {"cmd": "\n/a\n", "env": ""},
	} {
		dir := t.TempDir()
		for file, text := range files {
			write(t, dir, file, text, 0o644)
		}
		if p, err := readProgram(dir); err == nil {
			t.Errorf("%s: got %+v", name, p)
		}
	}
}

func TestFind(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "first/data", "", 0o644)
	write(t, dir, "first/dir/x", "", 0o644)
	write(t, dir, "second/data", "", 0o755)
	write(t, dir, "second/dir", "", 0o755)
	path := "PATH=" + filepath.Join(dir, "first") + ":" + filepath.Join(dir, "second")
	for _, test := range []struct {
		name string
		env  []string
		want string
	}{
		{"/not/looked/for", []string{path}, "/not/looked/for"},
		{"data", []string{"A=b", path, "PATH=/none"}, filepath.Join(dir, "second/data")},
		{"dir", []string{path}, filepath.Join(dir, "second/dir")},
		{"none", []string{path}, ""},
		{"data", []string{"PATH="}, ""},
		{"sh", nil, "/bin/sh"},
	} {
		got, err := program{[]string{test.name}, test.env}.find()
		if filepath.Base(got) != filepath.Base(test.want) && test.want != "" || (err == nil) != (test.want != "") || test.name != "sh" && got != test.want {
			t.Errorf("%s in %v: got %q, %v", test.name, test.env, got, err)
		}
	}
}

func TestBeat(t *testing.T) {
	for name, test := range map[string]struct{ answer, words string }{
		"good":  {"\xb7", ""},
		"wrong": {"\xb8", "the host answered 0xb8, want 0xb7"},
		"gone":  {"", "EOF"},
	} {
		ours, host := net.Pipe()
		got := make(chan string, 1)
		go func() {
			b := make([]byte, 1)
			_, _ = io.ReadFull(host, b) // a failure shows in what is got
			_, _ = host.Write([]byte(test.answer))
			_ = host.Close()
			got <- string(b)
		}()
		err := beat(ours)
		if sent := <-got; sent != "\xb7" || (err == nil) != (test.words == "") || err != nil && !strings.Contains(err.Error(), test.words) {
			t.Errorf("%s: sent %x, %v", name, sent, err)
		}
		_ = ours.Close()
	}
	if err := beat(brokenConn{}); err == nil {
		t.Error("a write that failed, and no error")
	}
}

type brokenConn struct{ bytes.Buffer }

func (brokenConn) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }
func (brokenConn) Read([]byte) (int, error)  { return 0, io.EOF }

// TestRun runs programs as this process runs them in an enclave, but with a parent that is not the first process.
func TestRun(t *testing.T) {
	for _, test := range []struct{ script, status string }{
		{`[ "$A" = b ] && [ -z "$HOME" ] && [ "$(pwd)" = / ]`, "exit code 0"},
		{"exit 7", "exit code 7"},
		{"kill -9 $$", "signal killed"},
	} {
		runs(t, test.script, test.status)
	}
	if _, err := (program{cmd: []string{"/none"}}).run(); err == nil || !strings.Contains(err.Error(), "start the program: ") {
		t.Errorf("no program: %v", err)
	}
}

func runs(t *testing.T, script, status string) {
	t.Helper()
	got, err := program{[]string{"/bin/sh", "-c", script}, []string{"A=b", "PATH=/usr/bin:/bin"}}.run()
	if err != nil || got != status {
		t.Errorf("%s: %q, %v; want %q", script, got, err, status)
	}
}

// TestRunReapsOrphans: this process becomes the parent of processes that lost theirs, as the first one is. The orphan ends when its own
// parent is gone. The program looks until nothing is left of it, which needs somebody to wait for it; and how it ended is not how the
// program did.
func TestRunReapsOrphans(t *testing.T) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0); err != nil {
			t.Error(err)
		}
	}()
	runs(t, `
		orphan=$(sh -c 'sh -c "while kill -0 $$; do sleep 0.01; done; exit 3" >/dev/null 2>&1 & echo $!')
		left=1000
		while kill -0 "$orphan" 2>/dev/null; do
			left=$((left - 1))
			[ "$left" != 0 ] || exit 5
			sleep 0.01
		done
		exit 4`, "exit code 4")
}

func TestRunRefusesToBeAnyOtherProcess(t *testing.T) {
	if code := run(); code != 2 {
		t.Errorf("exit code %d", code)
	}
}
