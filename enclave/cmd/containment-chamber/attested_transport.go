package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/egress"
	"github.com/unforeseen-consequences/containment-chamber/shared/atls"
)

// parseSignerURL reads the URL of a signer that a flag, or an argument, gives. The error does not repeat the text, which may hold a
// password.
func parseSignerURL(flag, text string) (*url.URL, error) {
	base, err := url.Parse(text)
	switch {
	case err != nil, base.Hostname() == "", base.Scheme != "http" && base.Scheme != "https":
		return nil, usageError{fmt.Errorf("%s: want http://host:port or https://host:port", flag)}
	case base.RawQuery != "" || base.Fragment != "":
		return nil, usageError{fmt.Errorf("%s: want nothing after the path", flag)}
	}
	return base, nil
}

// signerTransport carries requests to one signer, and none before the signer was recognized. It is safe for concurrent use.
type signerTransport struct {
	http.RoundTripper
	trust *signerTrust
	end   func()

	mu  sync.Mutex // held for a whole meeting: there is one first one
	met bool       // guarded by mu; true from the start if there is no first use to come
}

// transport makes the connections to the signer. For an enclave they are as tune says, whose servers and whose way to dial are set here;
// for any other signer as ordinary says, whose judgement of certificates and whose way to dial are.
func (t *signerTrust) transport(tune atls.TransportOptions, ordinary *http.Transport) (*signerTransport, error) {
	if t.attested == nil {
		ordinary.DialContext = egress.Direct()
		ordinary.TLSClientConfig = t.ordinary
		return &signerTransport{RoundTripper: ordinary, trust: t, end: ordinary.CloseIdleConnections, met: true}, nil
	}
	tune.Servers = map[string]atls.Options{t.base.Hostname(): *t.attested}
	tune.Dial = atls.DialFunc(egress.Direct())
	own, err := atls.NewTransport(tune)
	if err != nil {
		return nil, err
	}
	return &signerTransport{RoundTripper: own, trust: t, end: own.Close, met: !t.firstUse}, nil
}

// RoundTrip implements http.RoundTripper. Its errors say what to do about a signer that is not recognized.
func (s *signerTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := s.meet(req.Context()); err != nil {
		if req.Body != nil {
			_ = req.Body.Close() // it will not be read
		}
		return nil, s.trust.advise(err)
	}
	res, err := s.RoundTripper.RoundTrip(req)
	if err != nil {
		return nil, s.trust.advise(err)
	}
	return res, nil
}

// meet lets nothing pass until the signer is remembered, if it is to be on first use.
func (s *signerTransport) meet(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.met {
		return nil
	}
	err := s.trust.meet(ctx)
	s.met = err == nil
	return err
}

// Close ends all connections. The requests to an enclave that are under way end too.
func (s *signerTransport) Close() { s.end() }

// notAWS is said of a document that does not stand under AWS's root.
const notAWS = "AWS did not sign it; the root of a simulated enclave is named with --" + flagRoot

// advise adds what can be done about a signer that was refused.
func (t *signerTrust) advise(err error) error {
	if changed, ok := errors.AsType[*atls.TrustError](err); ok {
		return fmt.Errorf("%w\nIf a new release was rolled out, compare what it is now with that release. To hold the signer to it from then on:\n  containment-chamber attest trust replace %s",
			err, t.address(changed.Name))
	}
	if errors.Is(err, atls.ErrNotRemembered) {
		return fmt.Errorf("%w; --%s names what to accept, --%s remembers what answers", err, flagPolicy, flagFirstUse)
	}
	if errors.As(err, new(x509.UnknownAuthorityError)) && t.attested != nil && len(t.attested.Roots) == 0 {
		return fmt.Errorf("%w; %s", err, notAWS)
	}
	if unknown, ok := errors.AsType[*tls.CertificateVerificationError](err); ok && t.attested == nil && len(unknown.UnverifiedCertificates) > 0 {
		for _, extension := range unknown.UnverifiedCertificates[0].Extensions {
			if extension.Id.Equal(atls.OID()) {
				return fmt.Errorf("%w; it is an attestation certificate, for which no authority vouches: name --%s or --%s", err, flagPolicy, flagFirstUse)
			}
		}
	}
	return err
}

// address is the URL of a signer for a command line, with the flags that lead to the same file.
func (t *signerTrust) address(name string) string {
	words := []string{"https://" + name}
	for _, flag := range []string{flagTrustFile, flagRoot} {
		if f := t.cmd.Flags().Lookup(flag); f != nil && f.Changed {
			words = append(words, "--"+flag, shellWord(f.Value.String()))
		}
	}
	return strings.Join(words, " ")
}

// shellWord is a text as one word of a shell's command line.
func shellWord(text string) string {
	if regexp.MustCompile(`^[\w./:@%+=,-]+$`).MatchString(text) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
