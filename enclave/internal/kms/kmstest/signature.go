package kmstest

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// maxSkew is how far the clocks may be apart, https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html.
const maxSkew = 5 * time.Minute

const dateFormat = "20060102T150405Z"

var (
	authorization = regexp.MustCompile(
		`^AWS4-HMAC-SHA256 Credential=([^/,]+)/(\d{8})/([^/,]+)/([^/,]+)/aws4_request, ?SignedHeaders=([a-z0-9;-]+), ?Signature=([0-9a-f]{64})$`)
	awsHost = regexp.MustCompile(`^([a-z]+)\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?(?::\d+)?$`)
)

// authenticate tells who signed a request, and for which region.
func (s *Server) authenticate(r *http.Request, body []byte, service string) (who caller, region string, err error) {
	text := r.Header.Get("Authorization")
	if text == "" {
		return caller{}, "", refusal(http.StatusBadRequest, "MissingAuthenticationTokenException", "Missing Authentication Token")
	}
	parts := authorization.FindStringSubmatch(text)
	if parts == nil {
		return caller{}, "", refusal(http.StatusBadRequest, "IncompleteSignatureException", "Authorization is not of the form of Signature Version 4")
	}
	id, day, region, names, signature := parts[1], parts[2], parts[3], strings.Split(parts[5], ";"), parts[6]
	now := s.now()
	s.mu.Lock()
	found, known := s.sessions[id]
	s.mu.Unlock()
	switch {
	case !known, found.token != r.Header.Get("X-Amz-Security-Token"):
		return caller{}, "", refusal(http.StatusBadRequest, "UnrecognizedClientException", "The security token included in the request is invalid.")
	case !found.expires.IsZero() && !now.Before(found.expires):
		return caller{}, "", refusal(http.StatusBadRequest, "ExpiredTokenException", "The security token included in the request is expired")
	}
	at, err := time.Parse(dateFormat, r.Header.Get("X-Amz-Date"))
	if err != nil || at.Format("20060102") != day {
		return caller{}, "", badSignature("X-Amz-Date is not the day of the credential's scope")
	}
	if now.Sub(at) > maxSkew {
		return caller{}, "", badSignature("Signature expired: " + at.Format(dateFormat) + " is now earlier than " + now.Add(-maxSkew).UTC().Format(dateFormat) + " (" + now.UTC().Format(dateFormat) + " - 5 min.)")
	}
	if at.Sub(now) > maxSkew {
		return caller{}, "", badSignature("Signature not yet current: " + at.Format(dateFormat) + " is still later than " + now.Add(maxSkew).UTC().Format(dateFormat) + " (" + now.UTC().Format(dateFormat) + " + 5 min.)")
	}
	if parts[4] != service {
		return caller{}, "", badSignature("Credential should be scoped to correct service: '" + service + "'.")
	}
	if host := awsHost.FindStringSubmatch(r.Host); host != nil && (host[1] != service || host[2] != region) {
		return caller{}, "", badSignature("Credential should be scoped to a valid region.")
	}
	for name := range r.Header {
		if lower := strings.ToLower(name); strings.HasPrefix(lower, "x-amz-") && !slices.Contains(names, lower) {
			return caller{}, "", badSignature("'" + lower + "' must be a 'SignedHeader' in the AWS Authorization.")
		}
	}
	credentials := aws.Credentials{AccessKeyID: id, SecretAccessKey: found.secret, SessionToken: found.token}
	want, err := sign(r, body, credentials, names, service, region, at)
	if err != nil || !slices.Contains(names, "host") || !hmac.Equal([]byte(want), []byte(signature)) {
		return caller{}, "", badSignature("The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.")
	}
	return found.caller, region, nil
}

func badSignature(message string) *awsError {
	return refusal(http.StatusBadRequest, "InvalidSignatureException", "%s", message)
}

// sign signs what came once more, with the headers that were signed.
func sign(r *http.Request, body []byte, with aws.Credentials, names []string, service, region string, at time.Time) (string, error) {
	again, err := http.NewRequestWithContext(context.Background(), r.Method, "https://"+r.Host+r.URL.RequestURI(), bytes.NewReader(body)) //nolint:gosec // it is signed, not sent
	if err != nil {
		return "", err
	}
	if !slices.Contains(names, "content-length") {
		again.ContentLength = -1
	}
	for _, name := range names {
		if values := r.Header.Values(name); name != "content-length" && len(values) > 0 {
			again.Header[http.CanonicalHeaderKey(name)] = slices.Clone(values)
		}
	}
	sum := sha256.Sum256(body)
	if err := v4.NewSigner().SignHTTP(context.Background(), with, again, hex.EncodeToString(sum[:]), service, region, at); err != nil {
		return "", err
	}
	parts := authorization.FindStringSubmatch(again.Header.Get("Authorization"))
	if parts == nil {
		return "", nil
	}
	return parts[6], nil
}
