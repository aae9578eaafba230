package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/egress"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/admin"
)

// Limits of a signer's patience with us are its own; these are ours with it.
const (
	handshakeLimit = 10 * time.Second
	answerLimit    = 15 * time.Minute // from the end of a request to the beginning of its answer: a merge of 100,000 keys takes a while
	refusalLimit   = 2 * time.Second  // until a body is sent to a signer that has not said that it wants it
)

// dialSigner makes a client of the signer with a URL, and says on standard error which one it is.
func dialSigner(cmd *cobra.Command, text, ca string) (*admin.Client, error) {
	base, err := url.Parse(text)
	switch {
	case err != nil, base.Host == "", base.Scheme != "http" && base.Scheme != "https":
		return nil, usageError{errors.New("--signer-url: want http://host:port or https://host:port")} // and not the text, which may hold a password
	case base.RawQuery != "" || base.Fragment != "":
		return nil, usageError{errors.New("--signer-url: want nothing after the path")}
	case ca != "" && base.Scheme == "http":
		return nil, usageError{errors.New("--signer-ca goes with https")}
	}
	secured := &tls.Config{MinVersion: tls.VersionTLS12}
	if ca != "" {
		if secured.RootCAs, err = readAuthorities(ca); err != nil {
			return nil, err
		}
	}
	fmt.Fprintln(cmd.ErrOrStderr(), "signer:", base.Redacted())
	if base.Scheme == "http" && !loopback(base.Hostname()) {
		warn(cmd, []string{"http to another machine: whoever stands between can change what is asked and what is answered"})
	}
	return admin.NewClient(base, &http.Client{
		Transport: &http.Transport{
			DialContext:           egress.Direct(),
			TLSClientConfig:       secured,
			TLSHandshakeTimeout:   handshakeLimit,
			ResponseHeaderTimeout: answerLimit,
			ExpectContinueTimeout: refusalLimit,
			DisableKeepAlives:     true, // one command, one request
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}), nil
}

func readAuthorities(path string) (*x509.CertPool, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("--signer-ca: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, usageError{fmt.Errorf("--signer-ca: %s has no certificate in PEM", path)}
	}
	return pool, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
