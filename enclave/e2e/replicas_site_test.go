package e2e

import (
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keystore/filesystem"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/kms/kmstest"
	"github.com/unforeseen-consequences/containment-chamber/shared/attestation/issuer"
)

// chamberRole is who asks KMS, with the access key of the environment.
const (
	chamberRole   = "arn:aws:iam::111122223333:role/signer"
	chamberKeyID  = "AKIDCHAMBER"
	chamberSecret = "canary/hush/replicas"
)

// shareKeys are the KMS keys that shares of the master key are under, each of its own account.
var shareKeys = []string{
	"arn:aws:kms:eu-central-1:111122223333:key/11111111-0000-4000-8000-000000000001",
	"arn:aws:kms:eu-central-1:444455556666:key/22222222-0000-4000-8000-000000000002",
	"arn:aws:kms:eu-central-1:777788889999:key/33333333-0000-4000-8000-000000000003",
}

// chamberStores are sections of a configuration, without the braces around them and the intervals.
type chamberStores struct{ state, keys, slashing string }

// chamberSite is what the replicas of a chamber share, and what its operator has.
type chamberSite struct {
	dir     string
	kms     string // settings of the section chamber
	stores  chamberStores
	refresh int // seconds
	setup   string
	hash    string // of the setup token
	root    string // token, once there is a chamber
}

// newChamberSite makes a site with a KMS of its own, whose calls go through a handler.
func newChamberSite(t *testing.T, through func(http.Handler) http.Handler) *chamberSite {
	t.Helper()
	s := &chamberSite{dir: t.TempDir(), kms: startKMS(t, through)}
	var made struct {
		Token  string `json:"setup_token"`
		SHA256 string `json:"setup_token_sha256"`
	}
	s.begin(t, nil, "setup-token").wait(t).does(t, &made)
	s.setup, s.hash = made.Token, made.SHA256
	return s
}

// startKMS starts the stand-in of KMS, which answers to the role, and returns what a configuration says of it.
func startKMS(t *testing.T, through func(http.Handler) http.Handler) string {
	t.Helper()
	root, err := issuer.NewRoot(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	o := kmstest.Options{Roots: []*x509.Certificate{root.Certificate}, Principals: []kmstest.Principal{
		{ARN: chamberRole, AccessKey: kmstest.AccessKey{ID: chamberKeyID, Secret: chamberSecret}},
	}}
	for _, arn := range shareKeys {
		policy := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"` + chamberRole + `"},"Action":"kms:*","Resource":"*"}]}`
		o.Keys = append(o.Keys, kmstest.Key{ARN: arn, Policy: []byte(policy)})
	}
	kms, err := kmstest.New(o)
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewUnstartedServer(through(kms))
	if web.TLS, err = kms.TLSConfig(); err != nil {
		t.Fatal(err)
	}
	web.Config.ErrorLog = log.New(io.Discard, "", 0) // connections of processes that are killed
	web.StartTLS()
	t.Cleanup(web.Close)
	return fmt.Sprintf("kms_key_arns: [%s], kms_endpoint: %q, kms_ca_pem: %q, share_check_interval_seconds: 0",
		strings.Join(shareKeys, ", "), web.URL, strings.Join(strings.Fields(string(kms.CA().PEM())), " "))
}

// signer writes the configuration of a replica and starts it.
func (s *chamberSite) signer(t *testing.T, name string) *chamberSigner {
	t.Helper()
	ports := freePorts(t, 2)
	r := &chamberSigner{name: name, config: filepath.Join(s.dir, name+".yaml"), url: fmt.Sprintf("http://127.0.0.1:%d", ports[0]), client: newClient(t)}
	writeFile(t, r.config, fmt.Sprintf(`network: hoodi
server: {listen_port: %d}
metrics: {listen_address: 127.0.0.1, listen_port: %d}
chamber: {setup_token_sha256: %s, %s}
signer_state: {%s, refresh_interval_seconds: %d}
key_sources: {%s, refresh_interval_seconds: %d}}
anti_slashing: {%s}
auth: {policy_file: %s}
`, ports[0], ports[1], s.hash, s.kms, s.stores.state, s.refresh, s.stores.keys, s.refresh, s.stores.slashing, policyFile(t, s.dir)))
	r.start(t)
	return r
}

// validator is a key, and the epoch that it voted for last.
type validator struct {
	key   bls.PublicKey
	epoch uint64
}

// keystores writes keys as an operator has them, those with these numbers, and returns their directory.
func keystores(t *testing.T, numbers ...uint64) (dir string, all []*validator) {
	t.Helper()
	dir = t.TempDir()
	for _, n := range numbers {
		var seed [32]byte
		binary.BigEndian.PutUint64(seed[:], n)
		secret, err := bls.SecretKeyFromSeed(seed[:])
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, &validator{secret.PublicKey(), 10})
		err = filesystem.WriteKeystore(dir, secret, []byte("pass word"), filesystem.LightRounds)
		secret.Wipe()
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir, all
}

// imports has a replica store keys.
func (s *chamberSite) imports(t *testing.T, r *chamberSigner, numbers ...uint64) []*validator {
	t.Helper()
	dir, all := keystores(t, numbers...)
	var done struct{ Imported int }
	s.operator(t, r, "import-keys", dir).does(t, &done)
	if done.Imported != len(all) {
		t.Fatalf("%d of %d keys were imported", done.Imported, len(all))
	}
	return all
}
