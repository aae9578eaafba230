package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
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
	err = tell(t.Context(), options{dir: filepath.Join(dir, "w"), binaries: bin, keys: 5}, newTranscript(&out))
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

// TestPolicies: they are what the Terraform module makes, and nothing of its example is left in what a key gets.
func TestPolicies(t *testing.T) {
	for name, ours := range map[string]string{"one.json": sharePolicy, "upgrade.json": passwordPolicy} {
		golden, err := os.ReadFile(filepath.Join("..", "..", "internal", "kms", "kmstest", "testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(golden), ours); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	c := &cloud{pcr3: strings.Repeat("c3", 48), pcr8: strings.Repeat("c8", 48)}
	images := []image{{pcr0: strings.Repeat("0a", 48)}, {pcr0: strings.Repeat("0b", 48)}}
	for _, arn := range append(shareKeys(), sealingKey) {
		for n := range images {
			text := string(c.policy(arn, images[:n+1]...))
			wants := []string{roleARN, c.pcr8, "arn:aws:iam::" + account(arn) + ":role/key-admin", fmt.Sprintf("%q", images[n].pcr0)}
			if arn == sealingKey {
				wants = append(wants, c.pcr3, "kms:Encrypt")
			}
			for _, want := range wants {
				if !strings.Contains(text, want) {
					t.Errorf("%s: no %s in %s", arn, want, text)
				}
			}
			for _, digit := range "abcdef0123456789" {
				if strings.Contains(text, strings.Repeat(string(digit), 96)) {
					t.Errorf("%s: the example's PCR of %c is left in %s", arn, digit, text)
				}
			}
			if n == 0 && strings.Contains(text, images[1].pcr0) {
				t.Errorf("%s: an image that is not allowed is in %s", arn, text)
			}
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
