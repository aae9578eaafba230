package rolling

import (
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/enclave/e2e/rig"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/kms/kmstest"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/postgres/postgrestest"
	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
	"github.com/unforeseen-consequences/containment-chamber/shared/eif"
)

// drainDelay is above the service's probe period and every voter's pause, in seconds.
const drainDelay = 3

// site is two replicas of one signer, and what they share: the slashing record, the chamber, KMS.
type site struct {
	dir      string
	root     *x509.Certificate // of the simulated enclaves' documents
	pcr8     string
	kms      *kmstest.Running
	agent    *httptest.Server // gives the parents credentials
	token    string           // file that the agent asks for
	database *postgrestest.Server
	slashing string // database
	state    string // database
	replicas [2]*replica
	operator rig.Operator
	policy   attestation.Policy // what clients accept
}

// newSite starts what the replicas need, for KMS keys that an image may use, and writes their configurations.
func newSite(t *testing.T, first image) *site {
	t.Helper()
	dir, err := os.MkdirTemp(binaries, "w") // a short name leaves room for those of sockets
	if err != nil {
		t.Fatal(err)
	}
	s := &site{dir: dir}
	if s.root, err = rig.MakeRoot(s.path("nsm"), first.path, ""); err != nil {
		t.Fatal(err)
	}
	s.pcr8 = eif.PCR8(s.root.Raw).String()
	s.startKMS(t, first)
	s.startDatabase(t)
	s.operator = rig.Operator{Binary: first.path, Policy: s.path("policy.yaml"), Root: s.path("nsm", "root.pem")}
	var made rig.SetupToken
	if err := s.operator.Run(t.Context(), &made, "setup-token"); err != nil {
		t.Fatal(err)
	}
	s.operator.SetupToken = made.Token
	for i, name := range []string{"a", "b"} {
		s.replicas[i] = s.newReplica(t, name, made.SHA256)
	}
	s.operator.SignerURL = fmt.Sprintf("https://127.0.0.1:%d", s.replicas[0].api)
	return s
}

func (s *site) path(name ...string) string { return filepath.Join(append([]string{s.dir}, name...)...) }

// startKMS starts the stand-in of KMS, and an agent that gives its role's credentials to whoever has the token, as EKS Pod Identity's does.
func (s *site) startKMS(t *testing.T, first image) {
	t.Helper()
	keys := kmstest.AccessKey{ID: "ASIAROLLING", Secret: rig.RandomText(), Token: rig.RandomText()}
	o := kmstest.Options{Roots: []*x509.Certificate{s.root}, Principals: []kmstest.Principal{{ARN: rig.KMSRole, AccessKey: keys}}}
	for _, arn := range rig.ShareKeys() {
		o.Keys = append(o.Keys, kmstest.Key{ARN: arn, Policy: s.keyPolicy(arn, first)})
	}
	var err error
	if s.kms, err = kmstest.Start(o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.kms.Stop)
	token := rig.RandomText()
	s.token = s.path("token")
	write(t, s.token, token)
	s.agent = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != token {
			http.Error(w, "another token", http.StatusUnauthorized)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]string{"AccessKeyId": keys.ID, "SecretAccessKey": keys.Secret, "Token": keys.Token})
	}))
	t.Cleanup(s.agent.Close)
}

// startDatabase starts a server with a database for the slashing record and one for the chamber.
func (s *site) startDatabase(t *testing.T) {
	t.Helper()
	var err error
	if s.database, err = postgrestest.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.database.Stop(); err != nil {
			t.Error(err)
		}
	})
	for _, name := range []*string{&s.slashing, &s.state} {
		if *name, _, err = s.database.NewDatabase(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// store is what a section says of a database.
func (s *site) store(database string) string {
	return fmt.Sprintf("backend: postgres, url: %q, ca_pem: %q", s.database.URL(database), strings.Join(strings.Fields(string(s.database.CAPEM())), " "))
}

// configure writes the configuration of a replica, which differs from the other's in ports and sockets alone.
func (s *site) configure(t *testing.T, r *replica, setupTokenSHA256 string, ports []int) {
	t.Helper()
	write(t, r.config, fmt.Sprintf(`network: hoodi
server: {listen_port: %d, drain_delay_seconds: %d}
metrics: {listen_address: 127.0.0.1, listen_port: %d}
tls: {mode: atls, listen_port: %d}
tee:
  platform: simulated
  simulated: {socket_dir: %q, state_dir: %q}
  egress:
    - {name: kms, host: 127.0.0.1, port: %[7]s, vsock_port: 8001}
    - {name: pod-identity, host: 127.0.0.1, port: %[8]s, vsock_port: 8002, plain: true}
    - {name: postgres, host: localhost, port: %[9]d, vsock_port: 8003, plain: true}
key_sources: {database: {enabled: true, refresh_interval_seconds: 1}}
chamber:
  kms_key_arns: [%[10]s]
  setup_token_sha256: %[11]s
  kms_endpoint: https://127.0.0.1:%[7]s
  kms_ca_pem: %[12]q
signer_state: {%[13]s, refresh_interval_seconds: 1}
anti_slashing: {%[14]s, write_timeout_seconds: 10}
parent: {drain_timeout_seconds: 5, health: {listen_port: %[15]d}}
`, ports[0], drainDelay, ports[1], ports[2], r.sockets, s.path("nsm"),
		portOf(s.kms.URL), portOf(s.agent.URL), s.database.Port(), strings.Join(rig.ShareKeys(), ", "), setupTokenSHA256,
		strings.Join(strings.Fields(string(s.kms.CA().PEM())), " "), s.store(s.state), s.store(s.slashing), ports[3]))
}

// portOf is the port in a URL that has one and ends with it.
func portOf(url string) string { return url[strings.LastIndexByte(url, ':')+1:] }

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
