package kms_test

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/kms"
)

const (
	keyText  = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
	thereARN = "arn:aws:kms:us-east-1:111122223333:key/mrk-1234abcd12ab34cd56ef1234567890ab"
	canary   = "the canary sings at midnight...." // 32 bytes
)

func parse(t testing.TB, text string) kms.ARN {
	t.Helper()
	a, err := kms.ParseARN(text)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func purpose() map[string]string { return map[string]string{"chamber": "7", "share": "1"} }

// asked is one request that came to the service.
type asked struct {
	Operation, Host, Authorization string
	Header                         http.Header
	Body                           struct {
		KeyId, EncryptionAlgorithm, KeySpec string
		CiphertextBlob, Plaintext           []byte
		EncryptionContext                   map[string]string
		NumberOfBytes                       int
		Recipient                           *struct {
			AttestationDocument    []byte
			KeyEncryptionAlgorithm string
		}
	}
}

// publicKey is what the document of the request says; documents here are "document N:" and the key.
func (a asked) publicKey(t testing.TB) []byte {
	t.Helper()
	if a.Body.Recipient == nil {
		t.Error("the request has no Recipient")
		return nil
	}
	_, key, _ := bytes.Cut(a.Body.Recipient.AttestationDocument, []byte(":"))
	return key
}

// reply is what the service answers.
type reply struct {
	KeyId                                             string `json:",omitempty"`
	Plaintext, CiphertextForRecipient, CiphertextBlob []byte `json:",omitempty"`
}

// service is a KMS that answers what a test tells it.
type service struct {
	server *httptest.Server
	roots  *x509.CertPool

	mu     sync.Mutex // held while the fields below are used
	asked  []asked
	dialed []string
}

// serve starts a service whose certificate is for KMS of two regions.
func serve(t *testing.T, answer func(w http.ResponseWriter, a asked)) *service {
	t.Helper()
	s := &service{roots: x509.NewCertPool()}
	s.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a := asked{
			Operation: strings.TrimPrefix(r.Header.Get("X-Amz-Target"), "TrentService."),
			Host:      r.Host, Authorization: r.Header.Get("Authorization"), Header: r.Header,
		}
		if err := json.NewDecoder(r.Body).Decode(&a.Body); err != nil {
			t.Error(err)
		}
		s.mu.Lock()
		s.asked = append(s.asked, a)
		s.mu.Unlock()
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		w.Header().Set("X-Amzn-Requestid", "request-7")
		answer(w, a)
	}))
	s.server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate(t, s.roots)}, MinVersion: tls.VersionTLS12}
	s.server.StartTLS()
	t.Cleanup(s.server.Close)
	return s
}

func certificate(t *testing.T, roots *x509.CertPool) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "KMS"}, NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"kms.eu-central-1.amazonaws.com", "kms.us-east-1.amazonaws.com"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// options reach the service, whatever host is asked for.
func (s *service) options() kms.Options {
	return kms.Options{
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "secret", SessionToken: "token"}, nil
		}),
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			s.mu.Lock()
			s.dialed = append(s.dialed, address)
			s.mu.Unlock()
			var d net.Dialer
			return d.DialContext(ctx, network, s.server.Listener.Addr().String())
		},
		RootCAs: s.roots,
	}
}

// requests are those so far.
func (s *service) requests() []asked {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]asked(nil), s.asked...)
}

// standard makes a client of no enclave, attested one of an enclave.
func standard(t *testing.T, s *service) *kms.Client { return client(t, s.options()) }

func attested(t *testing.T, s *service) *kms.Client {
	t.Helper()
	o := s.options()
	var mu sync.Mutex
	count := byte('0')
	o.Attest = func(_ context.Context, publicKey []byte) ([]byte, error) {
		mu.Lock()
		defer mu.Unlock()
		count++
		return append([]byte{'N', count, ':'}, publicKey...), nil
	}
	return client(t, o)
}

func client(t *testing.T, o kms.Options) *kms.Client {
	t.Helper()
	c, err := kms.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func give(t testing.TB, w http.ResponseWriter, r reply) {
	t.Helper()
	if err := json.NewEncoder(w).Encode(r); err != nil {
		t.Error(err)
	}
}

// fail answers with an error of KMS.
func fail(w http.ResponseWriter, status int, code, message string) {
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"__type": code, "message": message})
}

// seal encrypts to a SubjectPublicKeyInfo as KMS does, with indefinite lengths.
func seal(t testing.TB, spki, plaintext []byte) []byte {
	t.Helper()
	parsed, err := x509.ParsePKIXPublicKey(spki)
	if err != nil {
		t.Error(err)
		return nil
	}
	key, iv := make([]byte, 32), make([]byte, aes.BlockSize)
	_, _ = rand.Read(key)
	_, _ = rand.Read(iv)
	sealedKey, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, parsed.(*rsa.PublicKey), key, nil)
	if err != nil {
		t.Error(err)
		return nil
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Error(err)
		return nil
	}
	n := aes.BlockSize - len(plaintext)%aes.BlockSize
	ciphertext := append(bytes.Clone(plaintext), bytes.Repeat([]byte{byte(n)}, n)...)
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(ciphertext, ciphertext)
	name := sha256.Sum256(spki)
	const hash = "\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00"
	return bytes.Join([][]byte{
		[]byte("\x30\x80\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x03\xa0\x80\x30\x80\x02\x01\x02"),
		[]byte("\x31\x82\x01\x6b\x30\x82\x01\x67\x02\x01\x02\x80\x20"), name[:],
		[]byte("\x30\x3c\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x07\x30\x2f\xa0\x0f" + hash),
		[]byte("\xa1\x1c\x30\x1a\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x08" + hash),
		[]byte("\x04\x82\x01\x00"), sealedKey,
		[]byte("\x30\x80\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01\x30\x1d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x01\x2a\x04\x10"), iv,
		[]byte("\xa0\x80\x04"), length(len(ciphertext)), ciphertext,
		make([]byte, 10),
	}, nil)
}

// length is the shortest form of a definite length.
func length(n int) []byte {
	switch {
	case n < 0x80:
		return []byte{byte(n)}
	case n < 0x100:
		return []byte{0x81, byte(n)}
	default:
		return []byte{0x82, byte(n >> 8), byte(n)}
	}
}
