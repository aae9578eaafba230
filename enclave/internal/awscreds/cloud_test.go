package awscreds

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/unforeseen-consequences/containment-chamber/shared/vsock/memvsock"
)

const (
	region   = "eu-central-1"
	roleARN  = "arn:aws:iam::111122223333:role/validators/signer"
	session  = "arn:aws:sts::111122223333:assumed-role/signer/containment-chamber"
	agentURL = "http://169.254.170.23/v1/credentials"

	stsPort, agentPort, metadataPort = 8001, 8002, 8003
)

// cloud is AWS as a signer sees it: STS over TLS, the Pod Identity agent and the instance metadata service in clear, each at its vsock port. It
// gives credentials for the token of the moment, and knows whom it gave them to.
type cloud struct {
	network memvsock.Network
	roots   *x509.CertPool

	mu     sync.Mutex
	token  string                         // which is taken
	life   time.Duration                  // of what is given
	arn    string                         // whose credentials they are
	ahead  time.Duration                  // how far the clock of STS is ahead of this one
	given  int                            // how often
	asked  []string                       // every request, without what differs each time
	answer func(http.ResponseWriter) bool // answers instead, if it wants
}

func newCloud(t *testing.T) *cloud {
	t.Helper()
	c := &cloud{token: "canary-hush-1", life: time.Hour, arn: session, roots: x509.NewCertPool()}
	for port, handle := range map[uint32]http.HandlerFunc{stsPort: c.sts, agentPort: c.agent, metadataPort: c.metadata} {
		l, err := c.network.Listen(port)
		if err != nil {
			t.Fatal(err)
		}
		if port == stsPort {
			l = tls.NewListener(roomyListener{l}, &tls.Config{Certificates: []tls.Certificate{c.certificate(t, "sts."+region+".amazonaws.com")}})
		}
		server := &http.Server{Handler: c.noting(handle), ErrorLog: log.New(io.Discard, "", 0)}
		done := make(chan error, 1)
		go func() { done <- server.Serve(l) }()
		t.Cleanup(func() {
			<-time.After(2 * goodbye)
			_ = server.Close()
			if err := <-done; !errors.Is(err, http.ErrServerClosed) {
				t.Error(err)
			}
		})
	}
	return c
}

func (c *cloud) certificate(t *testing.T, name string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(1000 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	c.roots.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// set changes the cloud between requests.
func (c *cloud) set(change func(*cloud)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(c)
}

func (c *cloud) requests() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.asked)
}

// noting writes each request down, and holds c.mu for its handler.
func (c *cloud) noting(handle http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		r.Body = io.NopCloser(strings.NewReader(string(text)))
		c.mu.Lock()
		defer c.mu.Unlock()
		var headers []string
		for name := range r.Header {
			headers = append(headers, name)
		}
		slices.Sort(headers)
		c.asked = append(c.asked, fmt.Sprintf("%s %s%s %s %s %v", r.Method, r.Host, r.URL, text, r.UserAgent(), headers))
		if c.answer != nil && c.answer(w) {
			return
		}
		handle(w, r)
	}
}

// key is the secret key of an access key ID.
func key(id string) string { return "canary-hush-of-" + id }

// give makes new credentials.
func (c *cloud) give() (id, expires string) {
	c.given++
	return fmt.Sprintf("ASIA%d", c.given), time.Now().Add(c.life).UTC().Format(time.RFC3339)
}

func stsError(w http.ResponseWriter, code, message string) {
	w.Header().Set("Content-Type", "text/xml")
	w.WriteHeader(http.StatusBadRequest)
	fmt.Fprintf(w, `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>%s</Code><Message>%s</Message></Error><RequestId>1</RequestId></ErrorResponse>`, code, message)
}

// sts answers as https://docs.aws.amazon.com/STS/latest/APIReference/ has it.
func (c *cloud) sts(w http.ResponseWriter, r *http.Request) {
	text, _ := io.ReadAll(r.Body)
	form, err := url.ParseQuery(string(text))
	switch {
	case err != nil || r.Method != http.MethodPost || r.URL.Path != "/" || form.Get("Version") != "2011-06-15":
		stsError(w, "InvalidAction", "not a request of this version")
	case form.Get("Action") == "AssumeRoleWithWebIdentity":
		c.assume(w, r, form)
	case form.Get("Action") == "GetCallerIdentity":
		w.Header().Set("Date", time.Now().Add(c.ahead).UTC().Format(http.TimeFormat))
		if err := verify(r, text, time.Now().Add(c.ahead)); err != nil {
			stsError(w, "SignatureDoesNotMatch", err.Error())
			return
		}
		fmt.Fprintf(w, `<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult><Arn>%s</Arn><UserId>AROA:s</UserId><Account>111122223333</Account></GetCallerIdentityResult></GetCallerIdentityResponse>`, c.arn)
	default:
		stsError(w, "InvalidAction", "unknown")
	}
}

func (c *cloud) assume(w http.ResponseWriter, r *http.Request, form url.Values) {
	switch {
	case r.Header.Get("Authorization") != "":
		stsError(w, "ValidationError", "signed")
	case form.Get("WebIdentityToken") != c.token:
		stsError(w, "InvalidIdentityToken", "the token is not taken")
	case form.Get("RoleArn") != roleARN:
		stsError(w, "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity")
	case form.Get("RoleSessionName") != sessionName:
		stsError(w, "ValidationError", "session name")
	default:
		id, expires := c.give()
		_ = xml.NewEncoder(w).Encode(struct {
			XMLName xml.Name `xml:"https://sts.amazonaws.com/doc/2011-06-15/ AssumeRoleWithWebIdentityResponse"`
			ARN     string   `xml:"AssumeRoleWithWebIdentityResult>AssumedRoleUser>Arn"`
			ID      string   `xml:"AssumeRoleWithWebIdentityResult>Credentials>AccessKeyId"`
			Secret  string   `xml:"AssumeRoleWithWebIdentityResult>Credentials>SecretAccessKey"`
			Session string   `xml:"AssumeRoleWithWebIdentityResult>Credentials>SessionToken"`
			Expires string   `xml:"AssumeRoleWithWebIdentityResult>Credentials>Expiration"`
		}{ARN: c.arn, ID: id, Secret: key(id), Session: "session-" + id, Expires: expires})
	}
}

// verify signs what came once more, with the key that was given under its ID, and compares.
func verify(r *http.Request, text []byte, now time.Time) error {
	got := r.Header.Get("Authorization")
	_, after, _ := strings.Cut(got, "Credential=")
	id, _, _ := strings.Cut(after, "/")
	_, signed, _ := strings.Cut(got, "SignedHeaders=")
	signed, _, _ = strings.Cut(signed, ",")
	at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	if err != nil || now.Sub(at).Abs() > 5*time.Minute {
		return errors.New("not of now")
	}
	again, err := http.NewRequestWithContext(context.Background(), r.Method, "https://"+r.Host+r.URL.Path, strings.NewReader(string(text)))
	if err != nil {
		return err
	}
	for name := range strings.SplitSeq(signed, ";") {
		if v := r.Header.Get(name); v != "" {
			again.Header.Set(name, v)
		}
	}
	sum := sha256.Sum256(text)
	credentials := aws.Credentials{AccessKeyID: id, SecretAccessKey: key(id), SessionToken: "session-" + id}
	if err := v4.NewSigner().SignHTTP(context.Background(), credentials, again, hex.EncodeToString(sum[:]), "sts", region, at); err != nil {
		return err
	}
	if want := again.Header.Get("Authorization"); want != got {
		return fmt.Errorf("signed as %s, want %s", got, want)
	}
	return nil
}

// agent answers as the EKS Pod Identity agent.
func (c *cloud) agent(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet || r.URL.Path != "/v1/credentials" || r.Header.Get("Authorization") != c.token {
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprint(w, `{"code":"AccessDenied","message":"the token is not taken"}`)
		return
	}
	id, expires := c.give()
	fmt.Fprintf(w, `{"AccessKeyId":%q,"SecretAccessKey":%q,"Token":%q,"AccountId":"111122223333","Expiration":%q}`, id, key(id), "session-"+id, expires)
}

// metadata answers as version 2 of the instance metadata service.
func (c *cloud) metadata(w http.ResponseWriter, r *http.Request) {
	const token, list = "imds-token", "/latest/meta-data/iam/security-credentials/"
	switch {
	case r.Method == http.MethodPut && r.URL.Path == "/latest/api/token" && r.Header.Get("X-aws-ec2-metadata-token-ttl-seconds") != "":
		w.Header().Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "300")
		fmt.Fprint(w, token)
	case r.Method != http.MethodGet || r.Header.Get("X-aws-ec2-metadata-token") != token:
		w.WriteHeader(http.StatusUnauthorized)
	case r.URL.Path == list:
		fmt.Fprint(w, "signer")
	case r.URL.Path == list+"signer":
		id, expires := c.give()
		fmt.Fprintf(w, `{"Code":"Success","Type":"AWS-HMAC","AccessKeyId":%q,"SecretAccessKey":%q,"Token":%q,"Expiration":%q}`, id, key(id), "session-"+id, expires)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}
