package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/egress"
	"github.com/unforeseen-consequences/containment-chamber/shared/atls"
	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
)

// maxProofAge is how old a proof may be that was asked for within the last seconds: it is for clocks that differ.
const maxProofAge = time.Minute

// fetched is a document as a signer gave it.
type fetched struct {
	document []byte
	// What follows is of the connection that it came over, and is there for https alone.
	exporter [32]byte
	leaf     *x509.Certificate
}

// fetchDocument gets the present document of a signer, or with a nonce a proof for this connection. It believes any certificate: what a
// document says, it proves itself.
func fetchDocument(ctx context.Context, base *url.URL, nonce []byte) (fetched, error) {
	ctx, cancel := context.WithTimeout(ctx, meetLimit)
	defer cancel()
	from := base.JoinPath(atls.WellKnownPath)
	if nonce != nil {
		from.RawQuery = "nonce=" + hex.EncodeToString(nonce)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from.String(), nil)
	if err != nil {
		return fetched{}, err
	}
	req.Header.Set("Accept", atls.MediaType)
	transport := &http.Transport{
		DialContext:       egress.Direct(),
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13}, //nolint:gosec // a document proves itself, whoever hands it over
		DisableKeepAlives: true,
		ForceAttemptHTTP2: true,
	}
	res, err := transport.RoundTrip(req) // which follows no redirect
	if err != nil {
		return fetched{}, fmt.Errorf("get %s: %w", from.Redacted(), err)
	}
	defer res.Body.Close()
	out, err := readDocument(res)
	if err != nil {
		return fetched{}, fmt.Errorf("get %s: %w", from.Redacted(), err)
	}
	return out, nil
}

func readDocument(res *http.Response) (out fetched, err error) {
	out.document, err = io.ReadAll(io.LimitReader(res.Body, attestation.MaxDocument+1))
	kind, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type"))
	switch {
	case err != nil:
		return out, err
	case res.StatusCode == http.StatusNotFound:
		return out, errors.New("status 404: this signer is not attested, or it is no signer")
	case res.StatusCode != http.StatusOK:
		return out, fmt.Errorf("status %d: %.200q", res.StatusCode, out.document)
	case len(out.document) > attestation.MaxDocument:
		return out, fmt.Errorf("more than %d bytes, too many for a document", attestation.MaxDocument)
	case kind != "application/cose":
		return out, fmt.Errorf("type %.80q, want application/cose", kind)
	case res.TLS == nil:
		return out, nil
	}
	if len(res.TLS.PeerCertificates) > 0 {
		out.leaf = res.TLS.PeerCertificates[0]
	}
	out.exporter, err = atls.Exporter(res.TLS)
	return out, err
}

// errOtherKey is a document that is not of the server that showed the certificate.
var errOtherKey = errors.New("the document speaks of another key than the certificate's")

// saysNothing is said of a document that came in clear.
const saysNothing = "the document holds; nothing is said of who sent it, which the https address of the API would tell"

// fetchVerified gets the present document of a signer and makes sure that it holds. Over https it must be that of the certificate which
// the same connection showed: anybody can hand on another's. When the signer replaced its certificate between the two, they are
// of one time at a second try.
func fetchVerified(ctx context.Context, base *url.URL, j *judge) (got fetched, err error) {
	for range 2 {
		if got, err = fetchDocument(ctx, base, nil); err != nil {
			return got, err
		}
		if base.Scheme == "https" && got.leaf == nil {
			return got, refused(errOtherKey) // not with TLS as it is
		}
		j.at = time.Now()
		if _, err = j.verify(evidence{document: got.document, certificate: got.leaf}); !errors.Is(err, errOtherKey) {
			break
		}
	}
	return got, refused(err)
}

// fetchProof has a signer prove itself on one connection, and returns the proof.
func fetchProof(ctx context.Context, base *url.URL, j *judge) (fetched, error) {
	if base.Scheme != "https" {
		return fetched{}, usageError{errors.New("--proof goes with https: it is for a connection of TLS")}
	}
	j.nonce = make([]byte, atls.NonceSize)
	_, _ = rand.Read(j.nonce) // never fails
	got, err := fetchDocument(ctx, base, j.nonce)
	if err != nil {
		return got, err
	}
	j.at = time.Now()
	if err := j.prove(got); err != nil {
		return got, refused(fmt.Errorf("proof: %w", err))
	}
	return got, nil
}

// prove makes sure that a document was made for the connection that it came over.
func (j *judge) prove(got fetched) error {
	doc, err := attestation.Verify(got.document, attestation.Options{Roots: j.roots, Now: j.at, Nonce: j.nonce, MaxAge: maxProofAge})
	if err != nil {
		return j.advise(err)
	}
	binding, err := atls.ParseBinding(doc.UserData)
	if err != nil {
		return err
	}
	switch {
	case binding.Purpose != atls.PurposeProof:
		return fmt.Errorf("the document is for purpose %q, want %q", binding.Purpose, atls.PurposeProof)
	case subtle.ConstantTimeCompare(binding.Exporter[:], got.exporter[:]) != 1:
		return errors.New("the document speaks of another connection than this one: somebody stands between")
	case got.leaf == nil || binding.SPKI != sha256.Sum256(got.leaf.RawSubjectPublicKeyInfo):
		return errOtherKey
	case doc.PublicKey != nil:
		return errors.New("the document holds a public key, which is for KMS")
	}
	_, err = j.allow(doc, binding, nil)
	return err
}
