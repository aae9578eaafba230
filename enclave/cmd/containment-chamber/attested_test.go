package main

import (
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/spf13/cobra"

	"github.com/unforeseen-consequences/containment-chamber/shared/atls"
	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
)

// reach makes the transport that a command with these arguments would use to a server, and returns what is said on standard error.
func reach(t *testing.T, address string, args ...string) (*signerTransport, *strings.Builder, error) {
	t.Helper()
	cmd := &cobra.Command{}
	cmd.SetContext(t.Context())
	var errs strings.Builder
	cmd.SetErr(&errs)
	flags := newAttestedFlags(cmd.Flags())
	if err := cmd.ParseFlags(args); err != nil {
		t.Fatal(err)
	}
	base, err := parseSignerURL("--signer-url", address)
	if err != nil {
		t.Fatal(err)
	}
	trust, err := flags.recognize(cmd, base)
	if err != nil {
		return nil, &errs, err
	}
	transport, err := trust.transport(atls.TransportOptions{}, &http.Transport{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(transport.Close)
	return transport, &errs, nil
}

func get(t *testing.T, rt http.RoundTripper, address string) (string, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, io.NopCloser(strings.NewReader("body")))
	if err != nil {
		t.Fatal(err)
	}
	res, err := rt.RoundTrip(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return string(text), err
}

func echo(w http.ResponseWriter, r *http.Request) {
	text, _ := io.ReadAll(r.Body)
	_, _ = w.Write(append([]byte("heard "), text...))
}

// TestFirstUseIsOnce: however many requests come at first, the signer is met once, and all are answered.
func TestFirstUseIsOnce(t *testing.T) {
	e := newEnclave(t)
	s := e.serve(http.HandlerFunc(echo))
	transport, errs, err := reach(t, s.URL, "--trust-on-first-use", "--trust-file", e.trustFile, "--attestation-root", e.rootFile)
	e.check(err)
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			if text, err := get(t, transport, s.URL+"/x"); err != nil || text != "heard body" {
				t.Errorf("%q, %v", text, err)
			}
		})
	}
	all.Wait()
	if n := strings.Count(errs.String(), "is met for the first time"); n != 1 {
		t.Errorf("met %d times:\n%s", n, errs)
	}
	info, err := os.Stat(e.trustFile)
	e.check(err)
	if dir, err := os.Stat(filepath.Dir(e.trustFile)); err != nil || info.Mode().Perm() != 0o600 || dir.Mode().Perm() != 0o700 {
		t.Errorf("modes %v of the file, %v of its directory", info.Mode(), dir.Mode())
	}
}

// TestFirstUseFailsAndIsTriedAgain: a signer that cannot be reached yet is met later; nothing passes before.
func TestFirstUseFailsAndIsTriedAgain(t *testing.T) {
	e := newEnclave(t)
	heard := make(chan struct{}, 9)
	s := e.serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { heard <- struct{}{}; echo(w, r) }))
	transport, _, err := reach(t, s.URL, "--trust-on-first-use", "--trust-file", e.trustFile, "--attestation-root", e.rootFile)
	e.check(err)
	e.check(os.WriteFile(filepath.Dir(e.trustFile), nil, 0o600)) // in the way of the directory
	if _, err := get(t, transport, s.URL); err == nil || len(heard) > 0 {
		t.Errorf("%v, and %d requests were heard", err, len(heard))
	}
	e.check(os.Remove(filepath.Dir(e.trustFile)))
	if text, err := get(t, transport, s.URL); err != nil || text != "heard body" {
		t.Errorf("%q, %v", text, err)
	}
}

// TestFirstUseWithAPolicy remembers nobody whom the policy refuses.
func TestFirstUseWithAPolicy(t *testing.T) {
	e := newEnclave(t)
	s := e.serve(http.HandlerFunc(echo))
	good := e.policy("good.yaml")
	e.pcrs[0] = attestation.PCR{9}
	other := e.policy("other.yaml")
	flags := []string{"--trust-on-first-use", "--trust-file", e.trustFile, "--attestation-root", e.rootFile, "--policy"}
	transport, _, err := reach(t, s.URL, append(flags, other)...)
	e.check(err)
	_, err = get(t, transport, s.URL)
	if refused, ok := errors.AsType[*attestation.PolicyError](err); !ok || len(refused.Differences) != 1 {
		t.Error(err)
	}
	if _, err := os.Stat(e.trustFile); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("something was remembered: %v", err)
	}
	transport, _, err = reach(t, s.URL, append(flags, good)...)
	e.check(err)
	if _, err := get(t, transport, s.URL); err != nil {
		t.Error(err)
	}
}

// TestDebugModeIsNotTrusted, on first use either.
func TestDebugModeIsNotTrusted(t *testing.T) {
	e := newEnclave(t)
	e.pcrs[0], e.pcrs[1], e.pcrs[2] = attestation.PCR{}, attestation.PCR{}, attestation.PCR{}
	s := e.serve(http.HandlerFunc(echo))
	transport, _, err := reach(t, s.URL, "--trust-on-first-use", "--trust-file", e.trustFile, "--attestation-root", e.rootFile)
	e.check(err)
	if _, err := get(t, transport, s.URL); err == nil || !strings.Contains(err.Error(), "debug mode") {
		t.Error(err)
	}
}

// TestAnotherProgramIsRefused with old and new, and with what to do about it.
func TestAnotherProgramIsRefused(t *testing.T) {
	e := newEnclave(t)
	s := e.serve(http.HandlerFunc(echo))
	flags := []string{"--trust-on-first-use", "--trust-file", e.trustFile, "--attestation-root", e.rootFile}
	transport, _, err := reach(t, s.URL, flags...)
	e.check(err)
	if _, err := get(t, transport, s.URL); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(e.trustFile)
	e.check(err)
	was := attestation.PCR{1}.String()
	e.check(os.WriteFile(e.trustFile, []byte(strings.Replace(string(text), was, attestation.PCR{7}.String(), 1)), 0o600))
	transport, _, err = reach(t, s.URL, flags...)
	e.check(err)
	_, err = get(t, transport, s.URL)
	name := strings.TrimPrefix(s.URL, "https://")
	want := "PCR0  was " + attestation.PCR{7}.String() + "  is " + was
	command := "  containment-chamber attest trust replace https://" + name + " --trust-file " + e.trustFile + " --attestation-root " + e.rootFile
	if err == nil || !strings.Contains(err.Error(), want) || !strings.HasSuffix(err.Error(), command) || !errors.As(err, new(*atls.TrustError)) {
		t.Errorf("%v\nwant %q and %q", err, want, command)
	}
}

// TestWhatWasRememberedHoldsWithoutFlags, in the user's own file, and no authority can take its place.
func TestWhatWasRememberedHoldsWithoutFlags(t *testing.T) {
	e := newEnclave(t)
	t.Setenv("HOME", e.dir)
	t.Setenv("XDG_CONFIG_HOME", filepath.Join(e.dir, "configuration"))
	s := e.serve(http.HandlerFunc(echo))
	root := []string{"--attestation-root", e.rootFile}
	transport, _, err := reach(t, s.URL, append(root, "--trust-on-first-use")...)
	e.check(err)
	if _, err := get(t, transport, s.URL); err != nil {
		t.Fatal(err)
	}
	transport, _, err = reach(t, s.URL)
	e.check(err)
	if _, err := get(t, transport, s.URL); err == nil || !errors.As(err, new(x509.UnknownAuthorityError)) || !strings.Contains(err.Error(), notAWS) {
		t.Errorf("held to the record under AWS's root: %v", err)
	}
	if _, _, err := reach(t, s.URL, "--signer-ca", e.rootFile); err == nil || !strings.Contains(err.Error(), "attest trust forget "+strings.TrimPrefix(s.URL, "https://")) {
		t.Error(err)
	}
}

// TestOrdinarySigners are judged by authorities, as ever, and one that is an enclave is said to be.
func TestOrdinarySigners(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	t.Setenv("XDG_CONFIG_HOME", "")
	e := newEnclave(t)
	attested := e.serve(http.HandlerFunc(echo))
	transport, _, err := reach(t, attested.URL)
	e.check(err)
	if _, err := get(t, transport, attested.URL); err == nil || !strings.HasSuffix(err.Error(), "it is an attestation certificate, for which no authority vouches: name --policy or --trust-on-first-use") {
		t.Error(err)
	}
	plain := httptest.NewServer(http.HandlerFunc(echo))
	t.Cleanup(plain.Close)
	transport, _, err = reach(t, plain.URL)
	e.check(err)
	if text, err := get(t, transport, plain.URL); err != nil || text != "heard body" {
		t.Errorf("%q, %v", text, err)
	}
	transport, errs, err := reach(t, attested.URL, "--danger-skip-attestation-verification")
	e.check(err)
	if text, err := get(t, transport, attested.URL); err != nil || text != "heard body" || !strings.Contains(errs.String(), "warning: --danger-skip-attestation-verification: ") {
		t.Errorf("%q, %v, said %q", text, err, errs)
	}
}

// TestProductionRefusesDanger, however it is spelt.
func TestProductionRefusesDanger(t *testing.T) {
	e := newEnclave(t)
	for value, refused := range map[string]bool{"true": true, "TRUE": true, "1": true, "yes": true, "": false, "false": false, "0": false} {
		t.Setenv("PRODUCTION", value)
		for _, flag := range []string{"--danger-skip-attestation-verification", "--attestation-root=" + e.rootFile} {
			_, _, err := reach(t, "https://127.0.0.1:1", flag, "--trust-file="+e.trustFile)
			if flag == "--danger-skip-attestation-verification" {
				_, _, err = reach(t, "https://127.0.0.1:1", flag)
			}
			if (err != nil) != refused || refused && !errors.As(err, new(usageError)) {
				t.Errorf("PRODUCTION=%s %s: %v", value, flag, err)
			}
		}
	}
}

func TestShellWord(t *testing.T) {
	for text, want := range map[string]string{"/a/b-c.json": "/a/b-c.json", "": "''", "a b": "'a b'", "$(x)'": `'$(x)'\'''`} {
		if got := shellWord(text); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

func TestTrustName(t *testing.T) {
	for address, want := range map[string]string{
		"https://Signer.Example":          "signer.example:443",
		"https://u:hush@signer:9443/path": "signer:9443",
		"https://[::1]:9443":              "[::1]:9443",
	} {
		base, err := parseSignerURL("URL", address)
		if err != nil || trustName(base) != want {
			t.Errorf("%s: %s, %v, want %s", address, trustName(base), err, want)
		}
	}
}
