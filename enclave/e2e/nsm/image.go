package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/e2e/nsm/ticks"
)

// image is an enclave image file, and what "eif measure" says of it.
type image struct {
	path string
	pcrs map[string]string // by name, in hex
}

// buildImages makes the two images, which differ in their root file system alone.
func (w *world) buildImages(ctx context.Context) error {
	cert, key, err := w.root.MarshalPEM()
	if err != nil {
		return err
	}
	if err := w.makeSigner(); err != nil {
		return err
	}
	// The stand-in's authority is trusted in AWS's place, which has no key here: it is the system's roots of this image.
	w.guest, err = w.build(ctx, "guest", map[string][]byte{"nsm/root.pem": cert, "nsm/root.key": key, "etc/ssl/certs/ca-certificates.crt": w.aws.CA().PEM()})
	if err != nil {
		return err
	}
	w.shipped, err = w.build(ctx, "chamber-enclave", nil)
	return err
}

func (w *world) signerCert() string { return w.path("signer.pem") }
func (w *world) signerKey() string  { return w.path("signer.key") }

// makeSigner makes the key that the images are signed with.
func (w *world) makeSigner() error {
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		return err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "images of the check"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(w.signerCert(), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}), 0o600),
		os.WriteFile(w.signerKey(), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600),
	)
}

// build has the product make an image of one program and some files, sign it, and measure it.
func (w *world) build(ctx context.Context, program string, files map[string][]byte) (made image, err error) {
	root := w.path("rootfs-" + program)
	all := maps.Clone(files)
	if all == nil {
		all = map[string][]byte{}
	}
	if all[program], err = os.ReadFile(w.binary(program)); err != nil {
		return image{}, err
	}
	for name, content := range all {
		file := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			return image{}, err
		}
		if err := os.WriteFile(file, content, 0o700); err != nil { //nolint:gosec // one of them is run
			return image{}, err
		}
	}
	made.path = w.path(program + ".eif")
	args := []string{
		"eif", "build", "--output", made.path, "--kernel", filepath.Join(w.options.parts, "vmlinuz"), "--init", w.binary("chamber-init"),
		"--cmdline", cmdline(), "--rootfs", root, "--cmd", "/" + program, "--signing-certificate", w.signerCert(), "--private-key", w.signerKey(),
	}
	modules, err := w.modules()
	if err != nil {
		return image{}, err
	}
	for _, module := range modules {
		args = append(args, "--module", module)
	}
	if _, err := w.product(ctx, args...); err != nil {
		return image{}, err
	}
	text, err := w.product(ctx, "eif", "measure", "--json", made.path)
	if err != nil {
		return image{}, err
	}
	return made, json.Unmarshal(text, &made.pcrs)
}

// cmdline is the kernel's: the console of a debug enclave, an end instead of a halt when something is wrong, and the rate of its clock.
func cmdline() string {
	return fmt.Sprintf("console=ttyS0 reboot=k panic=-1 quiet tsc=reliable tsc_early_khz=%d", ticks.KHz())
}

// modules are the kernel's that are not built in, in the order of loading.
func (w *world) modules() ([]string, error) {
	list, err := os.ReadFile(filepath.Join(w.options.parts, "modules"))
	if err != nil {
		return nil, err
	}
	var files []string
	for name := range strings.FieldsSeq(string(list)) {
		files = append(files, filepath.Join(w.options.parts, name+".ko"))
	}
	return files, nil
}

// product runs the command-line tool and returns what it prints.
func (w *world) product(ctx context.Context, args ...string) ([]byte, error) {
	out, err := exec.CommandContext(ctx, w.binary("containment-chamber"), args...).Output()
	if failed, ok := errors.AsType[*exec.ExitError](err); ok {
		return out, &productError{strings.Join(args[:2], " "), failed}
	}
	return out, err
}

// productError is what somebody reads whom the command-line tool refuses.
type productError struct {
	verb   string
	failed *exec.ExitError
}

func (e *productError) Error() string {
	return fmt.Sprintf("containment-chamber %s: %v: %s", e.verb, e.failed, strings.TrimSpace(string(e.failed.Stderr)))
}

// Unwrap returns how it ended.
func (e *productError) Unwrap() error { return e.failed }
