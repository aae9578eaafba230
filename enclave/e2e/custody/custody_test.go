package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/unforeseen-consequences/containment-chamber/enclave/e2e/rig"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// build makes the two product binaries as the Makefile does, each module alone.
func build(t *testing.T, dir string) {
	t.Helper()
	for _, b := range []struct{ module, path string }{
		{"../..", "./cmd/containment-chamber"},
		{"../../../parent", "./cmd/containment-chamber-enclave-proxy"},
	} {
		cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", dir+string(filepath.Separator), b.path)
		cmd.Dir = b.module
		cmd.Env = append(os.Environ(), "GOWORK=off")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("build %s: %v\n%s", b.path, err, out)
		}
	}
}

// TestCustody tells the whole story with a few keys.
func TestCustody(t *testing.T) {
	if testing.Short() { // databases are services
		return
	}
	dir, err := os.MkdirTemp("", "cc")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	bin := filepath.Join(dir, "built")
	if err := os.Mkdir(bin, 0o700); err != nil {
		t.Fatal(err)
	}
	build(t, bin)
	var out bytes.Buffer
	err = tell(t.Context(), options{dir: filepath.Join(dir, "w"), binaries: bin, keys: 5}, rig.NewTranscript(&out))
	if err != nil {
		t.Fatalf("%s\n%v", &out, err)
	}
	for _, want := range []string{
		"status: uninitialized", "5 imported", "unsealed by itself", "stranger", "denied: AccessDeniedException", "restored: true", "5 keys usable after",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
}

func TestFlagsRefused(t *testing.T) {
	for _, args := range [][]string{{"-keys", "1"}, {"-keys", "x"}, {"more"}, {"-other"}} {
		var errs bytes.Buffer
		if code := run(args, &errs, &errs); code != 2 || errs.Len() == 0 {
			t.Errorf("%v: exit code %d, %s", args, code, &errs)
		}
	}
	var errs bytes.Buffer
	if code := run([]string{"-dir", filepath.Join(t.TempDir(), strings.Repeat("d", maxDir))}, &errs, &errs); code != 1 || !strings.Contains(errs.String(), "too long") {
		t.Errorf("a long directory: exit code %d, %s", code, &errs)
	}
	if code := run([]string{"-binaries", t.TempDir(), "-keys", "2"}, &errs, &errs); code != 1 || !strings.Contains(errs.String(), "containment-chamber") {
		t.Errorf("no binaries: exit code %d, %s", code, &errs)
	}
}
