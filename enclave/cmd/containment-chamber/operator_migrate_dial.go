package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/egress"
	"github.com/unforeseen-consequences/containment-chamber/shared/atls"
)

const (
	flagPlaintextOld = "allow-plaintext-old"
	maxAnswerHeader  = 16 << 10 // bytes
)

// newSignerFlags are how the signer that the keys move to is told, as with the other operator commands. What it is asked for is what a
// validator client asks for, with whose token if it needs one.
type newSignerFlags struct {
	url       *string
	plaintext *bool
	token     *string
	trust     *attestedFlags
}

func addNewSignerFlags(cmd *cobra.Command) newSignerFlags {
	return newSignerFlags{
		url:       cmd.Flags().String("signer-url", "", "`URL` of the signer's API"),
		plaintext: cmd.Flags().Bool(flagPlaintext, false, "ask the signer over http: whoever stands between can answer in its place"),
		token:     cmd.Flags().String(flagAuthToken, "", "a validator client's token: `env:VARIABLE or file:PATH`; as text it shows in the list of processes"),
		trust:     newAttestedFlags(cmd.Flags()),
	}
}

func (f newSignerFlags) dial(cmd *cobra.Command, atOnce int) (*keySigner, error) {
	if *f.url == "" {
		return nil, usageError{errors.New("--signer-url is needed")}
	}
	base, err := parseSignerURL("--signer-url", *f.url)
	if err != nil {
		return nil, err
	}
	if err := allowed(cmd, "--signer-url", base, *f.plaintext, flagPlaintext); err != nil {
		return nil, err
	}
	trust, err := f.trust.recognize(cmd, base)
	if err != nil {
		return nil, err
	}
	transport, err := trust.transport(atls.TransportOptions{DialTimeout: handshakeLimit, MaxConnections: atOnce}, plainTransport(atOnce))
	if err != nil {
		return nil, err
	}
	s := newKeySigner("signer", base, transport, transport.Close)
	if *f.token != "" {
		token, err := readSecret("--"+flagAuthToken, *f.token)
		if err != nil {
			transport.Close()
			return nil, err
		}
		s.authorization = "Bearer " + token
	}
	fmt.Fprintln(cmd.ErrOrStderr(), "signer:", base.Redacted())
	return s, nil
}

// oldSignerFlags are how the signer that the keys come from is told: any that speaks the Web3Signer API.
type oldSignerFlags struct {
	url, ca, cert, key, token, basic *string
	plaintext                        *bool
}

func addOldSignerFlags(cmd *cobra.Command) oldSignerFlags {
	return oldSignerFlags{
		url:       cmd.Flags().String("old", "", "`URL` of the signer that has the keys until now"),
		plaintext: cmd.Flags().Bool(flagPlaintextOld, false, "ask the old signer over http: whoever stands between can answer in its place, and has its token"),
		ca:        cmd.Flags().String("old-ca", "", "PEM `file` of the authorities that vouch for the old signer; without it those of the system"),
		cert:      cmd.Flags().String("old-client-cert", "", "PEM `file` of a client certificate for the old signer"),
		key:       cmd.Flags().String("old-client-key", "", "PEM `file` of its private key"),
		token:     cmd.Flags().String("old-token", "", "bearer token for the old signer, or a proxy before it: `env:VARIABLE or file:PATH`"),
		basic:     cmd.Flags().String("old-basic-auth", "", "user:password for it: `env:VARIABLE or file:PATH`"),
	}
}

// dial is nil without --old.
func (f oldSignerFlags) dial(cmd *cobra.Command, atOnce int) (*keySigner, error) {
	if *f.url == "" {
		for _, name := range []string{"old-ca", "old-client-cert", "old-client-key", "old-token", "old-basic-auth", flagPlaintextOld} {
			if cmd.Flags().Changed(name) {
				return nil, usageError{fmt.Errorf("--%s goes with --old", name)}
			}
		}
		return nil, nil //nolint:nilnil // none is meant
	}
	base, err := parseSignerURL("--old", *f.url)
	if err != nil {
		return nil, err
	}
	if err := allowed(cmd, "--old", base, *f.plaintext, flagPlaintextOld); err != nil {
		return nil, err
	}
	authorization, err := f.authorization(cmd)
	if err != nil {
		return nil, err
	}
	transport := plainTransport(atOnce)
	transport.DialContext = egress.Direct()
	if transport.TLSClientConfig, err = f.tls(base); err != nil {
		return nil, err
	}
	fmt.Fprintln(cmd.ErrOrStderr(), "old signer:", base.Redacted())
	s := newKeySigner("old signer", base, transport, transport.CloseIdleConnections)
	s.authorization = authorization
	return s, nil
}

func (f oldSignerFlags) tls(base *url.URL) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	switch {
	case (*f.cert == "") != (*f.key == ""):
		return nil, usageError{errors.New("--old-client-cert goes with --old-client-key")}
	case base.Scheme == "http" && *f.ca+*f.cert != "":
		return nil, usageError{errors.New("--old-ca and --old-client-cert go with https")}
	}
	if *f.ca != "" {
		text, err := os.ReadFile(*f.ca)
		if err != nil {
			return nil, usageError{fmt.Errorf("--old-ca: %w", err)}
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(text) {
			return nil, usageError{fmt.Errorf("--old-ca: %s has no certificate in PEM", *f.ca)}
		}
	}
	if *f.cert != "" {
		own, err := tls.LoadX509KeyPair(*f.cert, *f.key)
		if err != nil {
			return nil, usageError{fmt.Errorf("--old-client-cert, --old-client-key: %w", err)}
		}
		config.Certificates = []tls.Certificate{own}
	}
	return config, nil
}

// authorization is the header for the old signer, "" without one.
func (f oldSignerFlags) authorization(cmd *cobra.Command) (string, error) {
	token, basic := cmd.Flags().Changed("old-token"), cmd.Flags().Changed("old-basic-auth")
	switch {
	case token && basic:
		return "", usageError{errors.New("--old-token goes without --old-basic-auth")}
	case token:
		text, err := readSecret("--old-token", *f.token)
		return "Bearer " + text, err
	case basic:
		text, err := readSecret("--old-basic-auth", *f.basic)
		if err == nil && !strings.Contains(text, ":") {
			err = usageError{errors.New("--old-basic-auth: want user:password")}
		}
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(text)), err
	}
	return "", nil
}

// allowed refuses http unless a flag says that it is meant: who answers in the place of a signer can leave out keys.
func allowed(cmd *cobra.Command, flag string, base *url.URL, plaintext bool, allow string) error {
	if base.Scheme != "http" {
		return nil
	}
	if !plaintext {
		return usageError{errors.New(flag + ": over http anybody could answer in its place; --" + allow + " allows it")}
	}
	if !loopback(base.Hostname()) {
		warn(cmd, []string{flag + ": http to another machine: whoever stands between can change what is asked and what is answered"})
	}
	return nil
}

// plainTransport bounds what a server may keep us waiting for, and send unasked.
func plainTransport(atOnce int) *http.Transport {
	return &http.Transport{
		TLSHandshakeTimeout: handshakeLimit, MaxResponseHeaderBytes: maxAnswerHeader,
		MaxConnsPerHost: atOnce, MaxIdleConnsPerHost: atOnce, DisableCompression: true,
	}
}
