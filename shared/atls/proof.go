package atls

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
)

// A client asks for the proof of a connection by its first request on it, over HTTP/1.1 or HTTP/2 inside TLS 1.3:
//
//	GET /.well-known/attestation?nonce=<64 lower case hexadecimal digits>
//
// It draws the nonce anew for each. The answer is 200 with the attestation document as it came from the NSM, of type [MediaType]. The
// document's nonce is the client's 32 bytes; its public_key is absent; its user_data is a [Binding] of [PurposeProof] with the SPKI
// of the certificate that this connection was made with, and what [Exporter] returns for it. Without a nonce the answer is the
// document of the present certificate, of [PurposeCertificate], on any connection.
//
// Whoever stole the certificate's key, or relays bytes between two connections, has another exporter on each of them, and a document
// of [PurposeCertificate] is never one of [PurposeProof].
const (
	WellKnownPath = "/.well-known/attestation"
	NonceSize     = 32                                         // bytes
	MediaType     = `application/cose; cose-type="cose-sign1"` // RFC 9052, section 11.3.1
	// ExporterLabel is registered nowhere, as RFC 5705, section 4, allows for labels that begin so.
	ExporterLabel = "EXPORTER-containment-chamber-attestation"
	// exporterContext is the role of the one who proves. A client that ever had to prove itself would have another, so that the
	// proof of one side is none of the other.
	exporterContext = "server"
)

// maxProofAge is how old a proof may be. It was asked for within the last seconds, so that this is for clocks that differ.
const maxProofAge = time.Minute

// Exporter is the secret of one TLS 1.3 connection that a proof binds to (RFC 8446, section 7.5), the same on both sides.
func Exporter(state *tls.ConnectionState) (out [32]byte, err error) {
	if state == nil || state.Version != tls.VersionTLS13 {
		return out, errors.New("exporter: the connection is not TLS 1.3")
	}
	key, err := state.ExportKeyingMaterial(ExporterLabel, []byte(exporterContext), len(out))
	if err != nil {
		return out, fmt.Errorf("exporter: %w", err)
	}
	copy(out[:], key)
	return out, nil
}

// ErrNotFetched is found with [errors.Is] when a server gave no document although it may have one: the connection was lost or too slow, or
// the answer was 429 or 5xx, which is what a busy enclave says. Unlike an [*Error] it is no judgement of the server, and asking again
// is sensible.
var ErrNotFetched = errors.New("could not be fetched")

// prove asks for a proof over a connection whose certificate was accepted, and returns the peer with it. The error is an [*Error] of
// CheckProof, or ErrNotFetched.
func (v *verifier) prove(ctx context.Context, rt http.RoundTripper, address string, state *tls.ConnectionState, peer Peer) (Peer, error) {
	var nonce [NonceSize]byte
	_, _ = rand.Read(nonce[:]) // never fails
	raw, err := fetchDocument(ctx, rt, &url.URL{
		Scheme: "https", Host: address, Path: WellKnownPath, RawQuery: "nonce=" + hex.EncodeToString(nonce[:]),
	})
	switch {
	case errors.Is(err, ErrNotFetched):
		return Peer{}, fmt.Errorf("attested TLS: the proof %w", err)
	case err != nil:
		return Peer{}, &Error{CheckProof, err}
	}
	proved, err := v.checkProof(raw, nonce[:], state, peer)
	if inner, ok := errors.AsType[*Error](err); ok { // one of the checks that certificates have too
		return Peer{}, &Error{CheckProof, fmt.Errorf("%s: %w", inner.Check, inner.Err)}
	}
	if err != nil {
		return Peer{}, &Error{CheckProof, err}
	}
	return proved, nil
}

func (v *verifier) checkProof(raw, nonce []byte, state *tls.ConnectionState, peer Peer) (Peer, error) {
	now := v.Now()
	exporter, err := Exporter(state)
	if err != nil {
		return Peer{}, err
	}
	doc, err := attestation.Verify(raw, attestation.Options{Roots: v.Roots, Now: now, MaxAge: maxProofAge, Nonce: nonce})
	if err != nil {
		return Peer{}, err
	}
	binding, _, err := v.judge(doc, PurposeProof, now)
	if err != nil {
		return Peer{}, err
	}
	switch {
	case subtle.ConstantTimeCompare(binding.Exporter[:], exporter[:]) != 1:
		return Peer{}, errors.New("the document speaks of another connection than this one: somebody stands between")
	case binding.SPKI != sha256.Sum256(peer.Certificate.RawSubjectPublicKeyInfo):
		return Peer{}, errors.New("the document speaks of another key than the certificate's")
	case doc.PublicKey != nil:
		return Peer{}, errors.New("the document holds a public key, which is for KMS")
	}
	peer.Proof = doc
	peer.NotAfter = earliest(peer.NotAfter, doc.NotAfter)
	return peer, nil
}

// fetchDocument gets a document, and nothing that is larger than one. The error may be ErrNotFetched.
func fetchDocument(ctx context.Context, rt http.RoundTripper, from *url.URL) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from.String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", MediaType)
	res, err := rt.RoundTrip(req)
	if err != nil {
		return nil, fmt.Errorf("%w: get %s: %w", ErrNotFetched, WellKnownPath, err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(res.Body, attestation.MaxDocument+1))
	switch code := res.StatusCode; {
	case err != nil:
		return nil, fmt.Errorf("%w: get %s: %w", ErrNotFetched, WellKnownPath, err)
	case code == http.StatusTooManyRequests || code >= http.StatusInternalServerError:
		return nil, fmt.Errorf("%w: get %s: status %d: %.200q", ErrNotFetched, WellKnownPath, code, raw)
	case code != http.StatusOK:
		return nil, fmt.Errorf("get %s: status %d: %.200q", WellKnownPath, code, raw)
	case len(raw) > attestation.MaxDocument:
		return nil, fmt.Errorf("get %s: more than %d bytes, too many for a document", WellKnownPath, attestation.MaxDocument)
	}
	if kind, _, _ := strings.Cut(res.Header.Get("Content-Type"), ";"); kind != "application/cose" {
		return nil, fmt.Errorf("get %s: type %.80q, want application/cose", WellKnownPath, kind)
	}
	return raw, nil
}
