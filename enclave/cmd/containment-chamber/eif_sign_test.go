package main

import (
	"bytes"
	"crypto/elliptic"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func (w workshop) read(name string) []byte {
	w.t.Helper()
	raw, err := os.ReadFile(filepath.Join(w.dir, name))
	if err != nil {
		w.t.Fatal(err)
	}
	return raw
}

// TestEIFSign: an image that was signed after its build is the one that was signed by its build, and so is one whose signature was replaced.
func TestEIFSign(t *testing.T) {
	w := newWorkshop(t)
	w.sign("signer", elliptic.P384())
	w.sign("other", elliptic.P384())
	const program, by, byOther = "--rootfs @root --cmd /program", " --signing-certificate @signer.pem --private-key @signer.key", " --signing-certificate @other.pem --private-key @other.key"
	want, byAnother := w.build(program+by), w.build(program+byOther)
	w.file("plain.eif", string(w.build(program)))
	for _, step := range []struct {
		words string
		want  []byte
	}{
		{"sign @plain.eif @signed.eif" + by, want},
		{"sign @plain.eif @signed.eif" + by, want},
		{"sign @signed.eif @again.eif --replace" + byOther, byAnother},
		{"sign @again.eif @again.eif --replace" + by, want},
		{"sign @plain.eif @plain.eif" + by, want},
	} {
		code, out, errs := w.run(step.words)
		if code != exitOK || !strings.Contains(out, "PCR8 ") || !strings.Contains(errs, "the signing certificate ended") {
			t.Fatalf("%s: exit code %d\n%s%s", step.words, code, out, errs)
		}
		if name := strings.TrimPrefix(strings.Fields(step.words)[2], "@"); !bytes.Equal(w.read(name), step.want) {
			t.Errorf("%s: other bytes than of a build that signs", step.words)
		}
	}
}

func TestEIFSignRefuses(t *testing.T) {
	w := newWorkshop(t)
	w.sign("signer", elliptic.P384())
	w.sign("other", elliptic.P384())
	const by = " --signing-certificate @signer.pem --private-key @signer.key"
	w.file("plain.eif", string(w.build("--rootfs @root --cmd /program")))
	w.file("signed.eif", string(w.build("--rootfs @root --cmd /program"+by)))
	old := w.read("plain.eif")
	w.file("truncated.eif", string(old[:len(old)-1]))
	for _, test := range []struct {
		words string
		code  int
		says  string
	}{
		{"@plain.eif @x", exitUsage, "want --signing-certificate and --private-key"},
		{"@plain.eif @x --signing-certificate @signer.pem", exitUsage, "want --signing-certificate and --private-key"},
		{"@plain.eif @x --signing-certificate @signer.pem --private-key @other.key", exitUsage, "it is of another key"},
		{"@plain.eif" + by, exitUsage, "accepts 2 arg(s)"},
		{"@none @x" + by, exitUsage, "no such file"},
		{"@root @x" + by, exitUsage, "is no regular file"},
		{"@kernel @x" + by, exitFailure, "enclave image refused"},
		{"@truncated.eif @x" + by, exitFailure, "enclave image refused"},
		{"@signed.eif @x" + by, exitFailure, `is signed already, with the certificate of "CN=signer"; --replace`},
		{"@plain.eif @none/x" + by, exitUsage, "output: "},
	} {
		if code, _, errs := w.run("sign " + test.words); code != test.code || !strings.Contains(errs, test.says) {
			t.Errorf("%s: exit code %d, said %q; want %d and %q", test.words, code, errs, test.code, test.says)
		}
	}
	if _, err := os.Stat(filepath.Join(w.dir, "x")); err == nil {
		t.Error("a refusal left a file")
	}
}
