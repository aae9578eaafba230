package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/smithy-go"
	"go.uber.org/goleak"

	"github.com/unforeseen-consequences/containment-chamber/shared/attestation/issuer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	keyARN = "arn:aws:kms:eu-central-1:444455556666:key/2b2b2b2b-0000-4000-8000-00000000000b"
	role   = "arn:aws:iam::111122223333:role/signer"
	file   = `
listen: 127.0.0.1:0
admin: 127.0.0.1:0
ca_cert_file: ca.pem
ca_key_file: ca-key.pem
attestation_root_files: [root.pem]
keys:
  - arn: ` + keyARN + `
    policy_file: policy.json
    material_file: material
principals:
  - arn: ` + role + `
    web_identity_token_file: token
`
	policy = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"` + role + `"},"Action":"kms:*","Resource":"*"}]}`
)

// directory holds a configuration and what it names.
func directory(t *testing.T) string {
	t.Helper()
	root, err := issuer.NewRoot(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	cert, _, err := root.MarshalPEM()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, text := range map[string]string{"kmsd.yaml": file, "root.pem": string(cert), "policy.json": policy, "token": "canary-hush\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// daemon is the command as it runs.
type daemon struct {
	service, admin string
	web            *http.Client // to both
}

// running starts the command, and ends it with the test.
func running(t *testing.T, dir string) (d *daemon, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := run(ctx, filepath.Join(dir, "kmsd.yaml"), w)
		_ = w.CloseWithError(errors.Join(err, io.EOF))
		done <- err
	}()
	line, err := bufio.NewReader(r).ReadString('\n')
	words := strings.Fields(strings.ReplaceAll(line, ",", ""))
	if err != nil || len(words) != 5 {
		t.Fatalf("%q, %v", line, err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	d = &daemon{words[2], words[4], &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS13}}}}
	return d, func() {
		d.web.CloseIdleConnections()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// order sends one to the admin address.
func (d *daemon) order(t *testing.T, method, path, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, d.admin+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	res, err := d.web.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

// client calls KMS in a session that the command gave.
func (d *daemon) client(t *testing.T) *kms.Client {
	t.Helper()
	status, text := d.order(t, http.MethodPost, "/session", `{role: "`+role+`", name: demo, life: 15m}`)
	var c struct{ AccessKeyId, SecretAccessKey, SessionToken string } // as credential_process has them
	if err := json.Unmarshal([]byte(text), &c); err != nil || status != http.StatusOK {
		t.Fatalf("%d %s", status, text)
	}
	return kms.New(kms.Options{
		BaseEndpoint: aws.String(d.service), Region: "eu-central-1", HTTPClient: d.web, Retryer: aws.NopRetryer{},
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: c.AccessKeyId, SecretAccessKey: c.SecretAccessKey, SessionToken: c.SessionToken}, nil
		}),
	})
}

// TestOrders: a key is used, what is ordered happens to it, and the trail tells of both.
func TestOrders(t *testing.T) {
	d, stop := running(t, directory(t))
	defer stop()
	client := d.client(t)
	in := &kms.EncryptInput{KeyId: aws.String(keyARN), Plaintext: []byte("canary-hush")}
	for _, tc := range []struct{ path, body, want string }{
		{"/state", `{"key": "` + keyARN + `", "state": "Enabled"}`, ""},
		{"/state", `{key: "` + keyARN + `", state: Disabled}`, "DisabledException"},
		{"/state", `{key: "` + keyARN + `", state: Enabled}`, ""},
		{"/faults", `{throttle: 1, latency: 1ms}`, "ThrottlingException"},
		{"/faults", `{error: KMSInternalException}`, "KMSInternalException"},
		{"/faults", `{}`, ""},
		{"/denied", `{principal: "` + role + `", denied: true}`, "AccessDeniedException"},
		{"/denied", `{principal: "` + role + `", denied: false}`, ""},
		{"/clock", `{ahead: 10m}`, "InvalidSignatureException"},
		{"/clock", `{ahead: 10m}`, ""}, // the SDK has learnt it
		{"/clock", `{ahead: -10m}`, "InvalidSignatureException"},
		{"/clock", `{ahead: 0s}`, "InvalidSignatureException"},
		{"/clock", `{ahead: 0s}`, ""},
		{"/policy", `{key: "` + keyARN + `", policy: '` + strings.Replace(policy, "kms:*", "kms:Decrypt", 1) + `'}`, "AccessDeniedException"},
		{"/token", `{role: "` + role + `", token: canary-hush-2}`, "AccessDeniedException"},
	} {
		if status, text := d.order(t, http.MethodPut, tc.path, tc.body); status != http.StatusNoContent {
			t.Errorf("%s %s: %d %s", tc.path, tc.body, status, text)
		}
		_, err := client.Encrypt(t.Context(), in)
		got := ""
		if known, ok := errors.AsType[smithy.APIError](err); ok {
			got = known.ErrorCode()
		}
		if got != tc.want || err != nil && got == "" {
			t.Errorf("after %s %s: %v, want %q", tc.path, tc.body, err, tc.want)
		}
	}
	status, text := d.order(t, http.MethodGet, "/trail", "")
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if status != http.StatusOK || len(lines) != 15 || !strings.HasSuffix(lines[1], ": DisabledException: "+keyARN+" is disabled.") || strings.Contains(text, "hush") {
		t.Errorf("%d %s", status, text)
	}
	var events []map[string]any
	if _, text = d.order(t, http.MethodGet, "/trail.json", ""); json.Unmarshal([]byte(text), &events) != nil || len(events) != 15 || events[0]["operation"] != "Encrypt" {
		t.Errorf("%s", text)
	}
}

func TestOrdersRefused(t *testing.T) {
	d, stop := running(t, directory(t))
	defer stop()
	for _, tc := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{http.MethodPut, "/state", `{key: x, state: Disabled}`, http.StatusUnprocessableEntity, `no key "x"`},
		{http.MethodPut, "/state", `{keys: x}`, http.StatusBadRequest, "field keys not found"},
		{http.MethodPut, "/state", `: :`, http.StatusBadRequest, "yaml"},
		{http.MethodPut, "/faults", `{garbage: some}`, http.StatusUnprocessableEntity, "garbage"},
		{http.MethodPut, "/clock", `{}`, http.StatusUnprocessableEntity, "ahead: not given"},
		{http.MethodPut, "/clock", `{ahead: noon}`, http.StatusBadRequest, "noon"},
		{http.MethodPost, "/session", `{role: x, name: demo}`, http.StatusUnprocessableEntity, `no role "x"`},
		{http.MethodPost, "/session", strings.Repeat(" ", maxOrder+1), http.StatusRequestEntityTooLarge, "too large"},
		{http.MethodGet, "/state", "", http.StatusMethodNotAllowed, ""},
	} {
		if status, text := d.order(t, tc.method, tc.path, tc.body); status != tc.status || !strings.Contains(text, tc.want) {
			t.Errorf("%s %.40s: %d %s, want %d %s", tc.path, tc.body, status, text, tc.status, tc.want)
		}
	}
}

// TestRestart: a ciphertext outlives the process, and its clients trust the next one.
func TestRestart(t *testing.T) {
	dir := directory(t)
	d, stop := running(t, dir)
	made, err := d.client(t).Encrypt(t.Context(), &kms.EncryptInput{KeyId: aws.String(keyARN), Plaintext: []byte("canary-hush")})
	ca, _ := os.ReadFile(filepath.Join(dir, "ca.pem"))
	stop()
	if err != nil {
		t.Fatal(err)
	}
	d, stop = running(t, dir)
	defer stop()
	got, err := d.client(t).Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: made.CiphertextBlob})
	if err != nil || string(got.Plaintext) != "canary-hush" {
		t.Errorf("%+v, %v", got, err)
	}
	if again, _ := os.ReadFile(filepath.Join(dir, "ca.pem")); string(again) != string(ca) {
		t.Error("the authority is another one")
	}
	for _, name := range []string{"material", "ca-key.pem"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
}

func TestConfigurationsRefused(t *testing.T) {
	for _, tc := range []struct{ from, to, want string }{
		{"listen:", "lisen:", "field lisen not found"},
		{"listen: 127.0.0.1:0", "", "listen: empty"},
		{"admin: 127.0.0.1:0", "admin: 0.0.0.0:0", "not an address of loopback"},
		{"admin: 127.0.0.1:0", "admin: x", "missing port"},
		{"root.pem", "no.pem", "attestation_root_files: no.pem"},
		{"root.pem", "policy.json", "no PEM block"},
		{"[root.pem]", "[]", "no root for attestation documents"},
		{"policy.json", "no.json", "policy_file"},
		{"policy.json", "token", "policy: want an object"},
		{"material_file: material", "material_file: token", "material: 12 bytes"},
		{"ca_key_file: ca-key.pem", "ca_key_file: no/ca-key.pem", "ca_key_file"},
		{"web_identity_token_file: token", "web_identity_token_file: no", "web_identity_token_file"},
		{"role/signer", "root", "not the ARN of a role"},
	} {
		dir := directory(t)
		if !strings.Contains(file, tc.from) {
			t.Fatalf("%s is not there", tc.from)
		}
		name := filepath.Join(dir, "kmsd.yaml")
		if err := os.WriteFile(name, []byte(strings.Replace(file, tc.from, tc.to, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		var stderr strings.Builder
		if code := start([]string{"-config", name}, io.Discard, &stderr); code != 1 || !strings.Contains(stderr.String(), tc.want) {
			t.Errorf("%s: %d %s, want %q", tc.to, code, stderr.String(), tc.want)
		}
	}
	if code := start(nil, io.Discard, io.Discard); code != 2 {
		t.Errorf("without a configuration: %d", code)
	}
}
