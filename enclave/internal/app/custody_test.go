package app

import (
	"context"
	"crypto/x509"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/config"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/egress"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/kms/kmstest"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
	files "github.com/unforeseen-consequences/containment-chamber/enclave/internal/store/sqlite"
	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
)

const (
	kmsKey  = "arn:aws:kms:eu-central-1:111122223333:key/0f3cbd2e-9d1c-4d3a-8b43-6f2f3f7a1c55"
	kmsRole = "arn:aws:iam::111122223333:role/signer"
)

// vault is KMS with one key, whose policy leaves all to the account.
type vault struct{ *kmstest.Running }

func startVault(t *testing.T) vault {
	t.Helper()
	s, err := kmstest.Start(kmstest.Options{
		Roots: []*x509.Certificate{attestation.AWSRoot()},
		Keys: []kmstest.Key{{ARN: kmsKey, Policy: []byte(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"` + kmsRole +
			`"},"Action":["kms:Decrypt","kms:GenerateDataKey"],"Resource":"*"}]}`)}},
		Principals: []kmstest.Principal{{ARN: kmsRole, AccessKey: kmstest.AccessKey{ID: "ASIATEST", Secret: "hush", Token: "session"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return vault{s}
}

// configuration is what a signer with stored keys says of its chamber; it stands after a comma.
func (v vault) configuration() string {
	ca := v.CA().PEM()
	return fmt.Sprintf(`, signer_state: {backend: sqlite, path: DIR/state.sqlite}, chamber: {kms_key_arns: ['%s'], kms_endpoint: '%s', kms_ca_pem: '%s'}`,
		kmsKey, v.URL, strings.Join(strings.Fields(string(ca)), " "))
}

// custodyBackends are those of a machine alone, whose credentials the vault knows.
func custodyBackends(slashing map[string]OpenStore) Backends {
	return Backends{
		Slashing: slashing,
		Credentials: func(context.Context, string, egress.DialFunc) (aws.CredentialsProvider, error) {
			return credentials.NewStaticCredentialsProvider("ASIATEST", "hush", "session"), nil
		},
		State: map[string]OpenState{"sqlite": func(ctx context.Context, c config.SignerState, _ egress.DialFunc) (store.State, error) {
			return files.OpenState(ctx, c.Path)
		}},
		Keys: map[string]OpenKeys{"sqlite": func(ctx context.Context, c *config.Config, _ egress.DialFunc) (store.Keys, error) {
			return files.OpenKeys(ctx, c.SignerState.Path)
		}},
	}
}

// initialize makes the chamber's master key, once the signer has said with which token.
func (a *alone) initialize() {
	a.t.Helper()
	var token string
	a.until(func() bool {
		for _, l := range a.lines.with("Setup token generated (save securely, one-time use)") {
			token = fmt.Sprint(l["setup_token"])
		}
		a.find()
		if token == "" || a.main == "" {
			return false
		}
		status, _, _ := a.ask(http.MethodGet, a.main+"/api/v1/operator/status", "", "")
		return status == http.StatusOK
	})
	status, body := a.order(token, "/api/v1/chamber/operator/init", `{"kms_key_arns":["`+kmsKey+`"],"threshold":1}`)
	if status != http.StatusOK {
		a.t.Fatalf("init: %d %s", status, body)
	}
	a.root = decodeJSON(a.t, body).(map[string]any)["root_token"].(string)
}

// order makes an operator's call.
func (a *alone) order(token, path, body string) (int, string) {
	a.t.Helper()
	before := a.token
	a.token = token
	defer func() { a.token = before }()
	status, _, text := a.ask(http.MethodPost, a.main+path, "", body)
	return status, text
}
