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
	follower *follower // the same, of a proxy before an enclave; else nil
	trust    *signerTrust
	end      func()

	meetings sync.WaitGroup
	mu       sync.Mutex // held while the fields below are used
	met      bool       // true from the start if there is no first use to come
	meeting  *meeting   // under way; nil if there is none
	closed   bool
}

// meeting is one look at a signer on first use, for all who wait for it.
type meeting struct {
	cancel context.CancelFunc
	done   chan struct{}
	err    error // set before done is closed
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

// errTransportClosed is the answer of a transport that was closed.
var errTransportClosed = errors.New("the connection to the signer was closed")

// meet lets nothing pass until the signer is remembered, if it is to be on first use. A caller waits no longer than its ctx allows.
func (s *signerTransport) meet(ctx context.Context) error {
	m, err := s.join(ctx)
	if m == nil {
		return err
	}
	select {
	case <-m.done:
		return m.err
	case <-ctx.Done():
		return fmt.Errorf("meet %s for the first time: %w", s.trust.base.Host, context.Cause(ctx))
	}
}

// join begins a meeting, or joins in waiting for the one that is under way, so that a signer that does not answer costs all who wait the
// time of one. It is nil if there is nobody to meet. The meeting is not ended with the request that began it: who comes next has use for it.
func (s *signerTransport) join(ctx context.Context) (*meeting, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.met:
		return nil, nil //nolint:nilnil // nobody to meet is no error
	case s.closed:
		return nil, errTransportClosed
	case s.meeting != nil:
		return s.meeting, nil
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	m := &meeting{cancel: cancel, done: make(chan struct{})}
	s.meeting = m
	s.meetings.Go(func() {
		defer cancel()
		m.err = s.trust.meet(ctx)
		s.mu.Lock()
		s.met, s.meeting = m.err == nil, nil
		s.mu.Unlock()
		close(m.done)
	})
	return m, nil
}

// Close ends all connections, and a meeting that is under way. The requests to an enclave that are under way end too.
func (s *signerTransport) Close() {
	s.mu.Lock()
	s.closed = true
	if s.meeting != nil {
		s.meeting.cancel()
	}
	s.mu.Unlock()
	s.meetings.Wait()
	s.end()
}

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
		if _, none := atls.Document(unknown.UnverifiedCertificates[0]); none == nil {
			return fmt.Errorf("%w; it is an attestation certificate, for which no authority vouches: name --%s or --%s", err, flagPolicy, flagFirstUse)
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
