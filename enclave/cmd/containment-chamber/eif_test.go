package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/shared/eif"
	"github.com/unforeseen-consequences/containment-chamber/shared/eif/ramdisk"
)

// workshop is a directory with what an image is made of.
type workshop struct {
	t   *testing.T
	dir string
}

func newWorkshop(t *testing.T) workshop {
	t.Helper()
	w := workshop{t, t.TempDir()}
	for name, body := range map[string]string{
		"kernel": "kernel", "init": "init", "nsm.ko": "\x7fELF module", "rng-core.ko": "\x7fELF other", "root/program": "program", "empty": "",
		"init-x86": "\x7fELF\x02\x01\x01" + strings.Repeat("\x00", 9) + "\x02\x00\x3e\x00",
		"cmdline":  "console=ttyS0\n", "lines": "console=ttyS0\nsecond",
	} {
		w.file(name, body)
	}
	if err := os.Chmod(filepath.Join(w.dir, "root/program"), 0o755); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w workshop) file(name, body string) string {
	w.t.Helper()
	path := filepath.Join(w.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(body), 0o644); err != nil {
		w.t.Fatal(err)
	}
	return path
}

// run runs "eif" with these words, in which @ is the directory.
func (w workshop) run(words string) (code int, out, errs string) {
	w.t.Helper()
	return command(w.t, append([]string{"eif"}, strings.Fields(strings.ReplaceAll(words, "@", w.dir+"/"))...)...)
}

// parts are what every build here has.
const parts = " --kernel @kernel --init @init --cmdline-file @cmdline"

// build builds an image, and gives its bytes.
func (w workshop) build(words string) []byte {
	w.t.Helper()
	if code, out, errs := w.run("build --output @out.eif" + parts + " " + words); code != exitOK {
		w.t.Fatalf("%s: exit code %d\n%s%s", words, code, out, errs)
	}
	raw, err := os.ReadFile(filepath.Join(w.dir, "out.eif"))
	if err != nil {
		w.t.Fatal(err)
	}
	return raw
}

// sign makes a certificate and a key of a curve, as PREFIX.pem and PREFIX.key.
func (w workshop) sign(prefix string, curve elliptic.Curve) {
	w.t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		w.t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: prefix}, NotAfter: time.Now().Add(-time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		w.t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		w.t.Fatal(err)
	}
	w.file(prefix+".pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	w.file(prefix+".key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
}

// TestEIFBuildIsReproducible: signed too, and compressed; a signature changes neither PCR0 nor what is measured.
func TestEIFBuildIsReproducible(t *testing.T) {
	first, second := newWorkshop(t), newWorkshop(t)
	first.sign("signer", elliptic.P384())
	for _, suffix := range []string{".pem", ".key"} {
		body, err := os.ReadFile(filepath.Join(first.dir, "signer"+suffix))
		if err != nil {
			t.Fatal(err)
		}
		second.file("signer"+suffix, string(body))
	}
	for _, name := range []string{"root", "root/program", "kernel", "init", "nsm.ko"} {
		if err := os.Chtimes(filepath.Join(second.dir, name), time.Unix(1, 0), time.Unix(2, 0)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(second.dir, "root/program"), 0o700); err != nil {
		t.Fatal(err)
	}
	const program = "--module @rng-core.ko --module @nsm.ko --rootfs @root --cmd /program"
	for _, words := range []string{program, program + " --gzip", program + " --signing-certificate @signer.pem --private-key @signer.key", program + " --arch arm64"} {
		if !bytes.Equal(first.build(words), second.build(words)) {
			t.Errorf("%s: other bytes in another directory", words)
		}
	}
	signed := first.build(program + " --signing-certificate @signer.pem --private-key @signer.key")
	first.file("signed.eif", string(signed))
	first.build(program)
	if code, out, _ := first.run("diff @out.eif @signed.eif"); code != exitFailure || strings.Contains(out, "PCR0") || !strings.Contains(out, "PCR8 differs") {
		t.Errorf("diff: exit code %d\n%s", code, out)
	}
	if code, _, errs := first.run("verify @signed.eif --signing-certificate @signer.pem"); code != exitOK || !strings.Contains(errs, "the signing certificate ended") {
		t.Errorf("verify: exit code %d, %s", code, errs)
	}
	first.sign("other", elliptic.P384())
	if code, _, errs := first.run("verify @signed.eif --signing-certificate @other.pem"); code != exitFailure || !strings.Contains(errs, "PCR8 is ") {
		t.Errorf("verify, other signer: exit code %d, %s", code, errs)
	}
}

func TestEIFBuildRefuses(t *testing.T) {
	w := newWorkshop(t)
	w.sign("signer", elliptic.P384())
	w.sign("other", elliptic.P384())
	w.sign("short", elliptic.P256())
	const root = " --rootfs @root --cmd /program"
	for _, test := range []struct {
		words string
		code  int
		says  string
	}{
		{"", exitUsage, "want --output, --kernel and --init"},
		{parts + root, exitUsage, "want --output"},
		{"--output @x" + parts, exitUsage, "want one of --rootfs and --oci"},
		{"--output @x" + parts + " --rootfs @root --oci @root", exitUsage, "want one of --rootfs and --oci"},
		{"--output @x" + parts + " --rootfs @root", exitUsage, "--rootfs needs --cmd"},
		{"--output @x" + parts + " --cmdline x" + root, exitUsage, "want one of --cmdline and --cmdline-file"},
		{"--output @x --kernel @kernel --init @init --cmdline-file @lines" + root, exitUsage, `character '\n'`},
		{"--output @x --kernel @none --init @init --cmdline x" + root, exitUsage, "--kernel: "},
		{"--output @x --kernel @root --init @init --cmdline x" + root, exitUsage, "is no regular file"},
		{"--output @x --kernel @empty --init @init --cmdline x" + root, exitFailure, "empty"},
		{"--output @x --kernel @kernel --init @empty --cmdline x" + root, exitFailure, "the init is empty"},
		{"--output @x --arch riscv" + parts + root, exitUsage, "--arch: "},
		{"--output @x" + parts + " --rootfs @none --cmd /x", exitUsage, "--rootfs: "},
		{"--output @x" + parts + " --rootfs @root --cmd /x", exitFailure, `command "/x": there is no x in the root`},
		{"--output @x --arch arm64 --kernel @kernel --init @init-x86 --cmdline x" + root, exitUsage, "init is for EM_X86_64, want EM_AARCH64 for --arch arm64"},
		{"--output @root/sub/../x" + parts + root, exitUsage, "--output lies in --rootfs"},
		{"--output @x" + parts + " --oci @none", exitUsage, "--oci: "},
		{"--output @x" + parts + root + " --env A", exitFailure, "want NAME=value"},
		{"--output @x" + parts + root + " --signing-certificate @signer.pem", exitUsage, "go together"},
		{"--output @x" + parts + root + " --signing-certificate @signer.pem --private-key @other.key", exitUsage, "it is of another key"},
		{"--output @x" + parts + root + " --signing-certificate @short.pem --private-key @short.key", exitUsage, "want P-384"},
		{"--output @x" + parts + root + " --signing-certificate @signer.pem --private-key @none", exitUsage, "--private-key: "},
		{"--output @none/x" + parts + root, exitUsage, "output: "},
		{"--output @root" + parts + root, exitUsage, "not a regular file"},
	} {
		if code, _, errs := w.run("build " + test.words); code != test.code || !strings.Contains(errs, test.says) {
			t.Errorf("%s: exit code %d, said %q; want %d and %q", test.words, code, errs, test.code, test.says)
		}
	}
	pin := sha256.Sum256([]byte("kernel"))
	for suffix, code := range map[string]int{
		hex.EncodeToString(pin[:]): exitOK, strings.ToUpper(hex.EncodeToString(pin[:])): exitOK, strings.Repeat("0", 64): exitFailure, "00": exitUsage, "": exitUsage,
	} {
		words := []string{"eif", "build", "--output", w.dir + "/pinned", "--kernel", w.dir + "/kernel@sha256:" + suffix, "--init", w.dir + "/init", "--cmdline", "x", "--rootfs", w.dir + "/root", "--cmd", "/program"}
		if got, _, errs := command(t, words...); got != code {
			t.Errorf("pin %q: exit code %d, %s", suffix, got, errs)
		}
	}
}

// TestEIFDiffOfWhatItCannotRead: a ramdisk of another make is compared by its hash, and names in one move no cursor.
func TestEIFDiffOfWhatItCannotRead(t *testing.T) {
	w := newWorkshop(t)
	image := func(name, disk string) {
		var out bytes.Buffer
		err := eif.Write(&out, eif.Image{Kernel: section([]byte("k")), Cmdline: "c", Metadata: []byte("{}"), Ramdisks: []*io.SectionReader{section([]byte(disk))}})
		if err != nil {
			t.Fatal(err)
		}
		w.file(name, out.String())
	}
	evil := ramdisk.NewTree()
	if err := evil.Put("\x1b[2J", ramdisk.Entry{Mode: ramdisk.Regular, Body: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	packed, err := pack(evil, false)
	if err != nil {
		t.Fatal(err)
	}
	image("plain.eif", "")
	image("xz.eif", "\xfd7zXZ")
	image("evil.eif", string(packed))
	for words, want := range map[string]string{
		"@plain.eif @xz.eif":   "files of the second one are not compared: read ramdisk: at byte 0: neither an archive",
		"@plain.eif @evil.eif": `added   "\x1b[2J": mode file 0000`,
	} {
		if code, out, _ := w.run("diff " + words); code != exitFailure || !strings.Contains(out, want) || strings.Contains(out, "\x1b") {
			t.Errorf("%s: exit code %d\n%s", words, code, out)
		}
	}
	for words, code := range map[string]int{
		"diff @plain.eif": exitUsage, "diff @plain.eif @none": exitUsage, "diff @plain.eif @kernel": exitFailure, "verify @none": exitUsage,
		"verify @plain.eif --pcr0 00": exitUsage, "verify @plain.eif --signing-certificate @none": exitUsage, "verify @kernel": exitFailure,
	} {
		if got, _, errs := w.run(words); got != code {
			t.Errorf("%s: exit code %d, %s", words, got, errs)
		}
	}
}
