package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/policyfile"
	"github.com/unforeseen-consequences/containment-chamber/shared/atls"
	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
)

const (
	flagPolicy     = "policy"
	flagFirstUse   = "trust-on-first-use"
	flagTrustFile  = "trust-file"
	flagRoot       = "attestation-root"
	flagUnverified = "danger-skip-attestation-verification"
	flagAuthority  = "signer-ca"
)

// attestedFlags are how every command that talks to a signer is told which one to accept.
type attestedFlags struct {
	flags                       *pflag.FlagSet
	policy, trustFile, root, ca string
	firstUse, unverified        bool
}

// newAttestedFlags adds the flags to a command's.
func newAttestedFlags(flags *pflag.FlagSet) *attestedFlags {
	f := &attestedFlags{flags: flags}
	f.addPolicy()
	flags.BoolVar(&f.firstUse, flagFirstUse, false, "remember what the signer is if nothing is remembered of it, and hold it to that from then on")
	f.addTrustFile()
	f.addRoot()
	flags.StringVar(&f.ca, flagAuthority, "", "PEM `file` of the authorities that vouch for a signer with an ordinary certificate; without it those of the system")
	flags.BoolVar(&f.unverified, flagUnverified, false, "accept any certificate, and so anybody: development only, refused with PRODUCTION=true")
	return f
}

func (f *attestedFlags) addPolicy() {
	f.flags.StringVar(&f.policy, flagPolicy, "", "`file` that says which enclaves to accept, YAML or JSON")
}

func (f *attestedFlags) addTrustFile() {
	f.flags.StringVar(&f.trustFile, flagTrustFile, "", "`file` of what is remembered of signers (default containment-chamber/trusted-signers.json in the user's configuration directory)")
}

func (f *attestedFlags) addRoot() {
	f.flags.StringVar(&f.root, flagRoot, "", "PEM `file` of a root to trust in place of AWS's: development only, refused with PRODUCTION=true")
}

// given are the flags that were set, with their dashes. One that says no is as if it were not there.
func (f *attestedFlags) given() (names []string) {
	for _, name := range []string{flagPolicy, flagFirstUse, flagTrustFile, flagRoot, flagUnverified, flagAuthority} {
		flag := f.flags.Lookup(name)
		if flag != nil && flag.Changed && (flag.Value.Type() != "bool" || flag.Value.String() == "true") {
			names = append(names, "--"+name)
		}
	}
	return names
}

// refuseEmpty refuses flags that were given without a value, as a variable that is not set leaves them: whoever writes such a flag does not
// mean what its absence means.
func refuseEmpty(flags *pflag.FlagSet, names ...string) error {
	for _, name := range names {
		flag := flags.Lookup(name)
		if flag == nil || !flag.Changed || flag.Value.String() != "" {
			continue
		}
		what := "a value"
		if kind, _ := pflag.UnquoteUsage(flag); kind == "file" {
			what = "the name of a file"
		}
		return usageError{fmt.Errorf("--%s: want %s, and it is empty", name, what)}
	}
	return nil
}

// attested tells whether the flags ask for a signer that proves what it is.
func (f *attestedFlags) attested() bool {
	return f.policy != "" || f.firstUse || f.flags.Changed(flagTrustFile) || f.root != ""
}

// trusting tells whether an enclave is held to what is remembered of it.
func (f *attestedFlags) trusting() bool {
	return f.policy == "" || f.firstUse || f.flags.Changed(flagTrustFile)
}

// check refuses flags that say nothing, that contradict each other, or that are not for production.
func (f *attestedFlags) check() error {
	if err := refuseEmpty(f.flags, flagPolicy, flagTrustFile, flagRoot, flagAuthority); err != nil {
		return err
	}
	production, err := production(os.Environ())
	switch {
	case err != nil:
		return err
	case production && f.unverified:
		return usageError{errors.New("--" + flagUnverified + " is refused with PRODUCTION=true: anybody could answer in the signer's place")}
	case production && f.root != "":
		return usageError{errors.New("--" + flagRoot + " is refused with PRODUCTION=true: whoever holds that root's key can claim to be any enclave")}
	case f.unverified && f.attested():
		return usageError{errors.New("--" + flagUnverified + " goes without " + strings.Join(f.given()[:1], ""))}
	case f.ca != "" && (f.attested() || f.unverified):
		return usageError{errors.New("--" + flagAuthority + " is for an ordinary certificate, and goes without " + f.given()[0])}
	}
	return nil
}

// production reads the switch as the server does: a misspelt PRODUCTION must not mean a laptop.
func production(environ []string) (on bool, err error) {
	for _, variable := range environ {
		text, found := strings.CutPrefix(variable, "PRODUCTION=")
		if !found {
			continue
		}
		switch strings.ToLower(text) {
		case "true", "1":
			on = true
		case "false", "0", "":
			on = false
		default:
			return false, usageError{errors.New(`environment "PRODUCTION": want true or false`)}
		}
	}
	return on, nil
}

// signerTrust is by what one signer is known.
type signerTrust struct {
	cmd   *cobra.Command
	flags *attestedFlags
	base  *url.URL // https or http
	// attested is how an enclave proves itself; nil for a signer that does not.
	attested *atls.Options
	// ordinary is how a certificate is judged otherwise.
	ordinary *tls.Config
	firstUse bool // with attested
}

// recognize says by what the signer with a URL is known. It reads the files that the flags name, and asks nobody. What was
// remembered of a signer holds without any flag.
func (f *attestedFlags) recognize(cmd *cobra.Command, base *url.URL) (*signerTrust, error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	t := &signerTrust{cmd: cmd, flags: f, base: base, ordinary: &tls.Config{MinVersion: tls.VersionTLS12}}
	if base.Scheme == "http" {
		if given := f.given(); len(given) > 0 {
			return nil, usageError{fmt.Errorf("%s goes with https", given[0])}
		}
		return t, nil
	}
	if f.unverified {
		warn(cmd, []string{"--" + flagUnverified + ": nothing is verified, and anybody can answer in the place of " + base.Host})
		t.ordinary.InsecureSkipVerify = true // asked for by a flag that says so
		return t, nil
	}
	trust, known, err := f.remembered(cmd, base)
	if err != nil {
		return nil, err
	}
	switch {
	case known && f.ca != "":
		return nil, usageError{fmt.Errorf("--%s: %s is remembered as an enclave in %s, which no authority can vouch for; if it is none any more: containment-chamber attest trust forget %s",
			flagAuthority, trust.Name, trust.Store.Path, trust.Name)}
	case f.attested() || known:
		t.attested, err = f.options(trust)
		t.firstUse = f.firstUse
	case f.ca != "":
		t.ordinary.RootCAs, err = readAuthorities(f.ca)
	}
	return t, err
}

// remembered is where a signer is, or would be, remembered, and whether it is. It is nil where there is no place for that, or no
// need, because a policy is all that is named.
func (f *attestedFlags) remembered(cmd *cobra.Command, base *url.URL) (trust *atls.Trust, known bool, err error) {
	if !f.trusting() {
		return nil, false, nil
	}
	store, err := f.store()
	if err != nil {
		if f.firstUse || f.flags.Changed(flagTrustFile) {
			return nil, false, err
		}
		if len(f.given()) == 0 { // a service often has no home, where the person who set it up remembered the signer
			warn(cmd, []string{fmt.Sprintf("%v: what may be remembered of %s is not looked at, and its certificate is judged as an ordinary one", err, trustName(base))})
		}
		return nil, false, nil
	}
	trust = &atls.Trust{Store: store, Name: trustName(base)}
	_, err = store.Lookup(trust.Name)
	if errors.Is(err, atls.ErrNotRemembered) {
		return trust, false, nil
	}
	return trust, err == nil, err
}

// store is the file of what is remembered.
func (f *attestedFlags) store() (*atls.TrustStore, error) {
	path := f.trustFile
	if !f.flags.Changed(flagTrustFile) {
		dir, err := os.UserConfigDir()
		if err != nil {
			return nil, usageError{fmt.Errorf("--%s is needed: %w", flagTrustFile, err)}
		}
		path = filepath.Join(dir, "containment-chamber", "trusted-signers.json")
	}
	if path == "" {
		return nil, usageError{errors.New("--" + flagTrustFile + ": want the name of a file")}
	}
	return &atls.TrustStore{Path: path}, nil
}

// trustName is what a signer is remembered by: host and port.
func trustName(base *url.URL) string {
	port := base.Port()
	if port == "" {
		port = "443"
	}
	return net.JoinHostPort(strings.ToLower(base.Hostname()), port)
}

// options are what an enclave has to prove. A policy alone is all that it names; without one, or if asked for, the signer is
// held to what is remembered of it.
func (f *attestedFlags) options(trust *atls.Trust) (*atls.Options, error) {
	o := &atls.Options{Cache: attestation.NewCache(0)}
	var err error
	if f.policy != "" {
		if o.Policy, err = policyfile.Read(f.policy); err != nil {
			return nil, usageError{fmt.Errorf("--%s: %w", flagPolicy, err)}
		}
	}
	if f.trusting() {
		if trust == nil {
			return nil, usageError{errors.New("no way to tell which enclave to accept: --" + flagPolicy + ", --" + flagFirstUse + " or --" + flagTrustFile + " is needed")}
		}
		o.Trust = trust
	}
	o.Roots, err = readRoot(f.root)
	return o, err
}

// readRoot is the development root in a file; none is AWS's.
func readRoot(path string) ([]*x509.Certificate, error) {
	if path == "" {
		return nil, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, usageError{fmt.Errorf("--%s: %w", flagRoot, err)}
	}
	root, err := attestation.ParseRoot(text)
	if err != nil {
		return nil, usageError{fmt.Errorf("--%s: %s: %w", flagRoot, path, err)}
	}
	return []*x509.Certificate{root}, nil
}

func readAuthorities(path string) (*x509.CertPool, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("--%s: %w", flagAuthority, err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, usageError{fmt.Errorf("--%s: %s has no certificate in PEM", flagAuthority, path)}
	}
	return pool, nil
}
