package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/unforeseen-consequences/containment-chamber/enclave/e2e/chambertest"
	routes "github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/chamber"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/chamber"
)

// chamberSigner is a signer with a chamber, which commands reach over http.
type chamberSigner struct {
	t     *testing.T
	world *chambertest.World
	*chambertest.Signer
	url string
}

func startChamberSigner(t *testing.T, with func(*chamber.Options, *routes.Options)) *chamberSigner {
	t.Helper()
	return startInWorld(t, &chambertest.World{}, with)
}

func startInWorld(t *testing.T, world *chambertest.World, with func(*chamber.Options, *routes.Options)) *chamberSigner {
	t.Helper()
	s, err := world.Signer(zap.NewNop(), with)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("SETUP_TOKEN", s.Chamber.SetupToken())
	out := &chamberSigner{t: t, world: world, Signer: s}
	out.serve(s.Handler)
	return out
}

// operator runs a verb with the token of the environment.
func (s *chamberSigner) operator(args ...string) (code int, stdout, stderr string) {
	s.t.Helper()
	flag := []string{"--auth-token", "env:ROOT_TOKEN"}
	if args[0] == "init" || args[0] == "restore" {
		flag = []string{"--setup-token", "env:SETUP_TOKEN"}
	}
	all := append([]string{"operator"}, args...)
	return command(s.t, append(append(all, "--signer-url", s.url, "--allow-plaintext-signer"), flag...)...)
}

// does fails the test unless a verb goes well and prints these words.
func (s *chamberSigner) does(args []string, words ...string) string {
	s.t.Helper()
	code, out, errs := s.operator(args...)
	if code != exitOK {
		s.t.Fatalf("%v: exit code %d, %s%s", args, code, out, errs)
	}
	for _, word := range words {
		if !strings.Contains(out, word) {
			s.t.Errorf("%v: no %q in\n%s", args, word, out)
		}
	}
	return out
}

// refuses fails the test unless a verb ends with a code and says these words.
func (s *chamberSigner) refuses(args []string, code int, words string) {
	s.t.Helper()
	got, out, errs := s.operator(args...)
	if got != code || !strings.Contains(errs, words) || out != "" {
		s.t.Errorf("%v: exit code %d, %q, %q; want %d and %q", args, got, out, errs, code, words)
	}
	for _, secret := range []string{os.Getenv("ROOT_TOKEN"), os.Getenv("SETUP_TOKEN")} {
		if secret != "" && strings.Contains(errs, secret) {
			s.t.Errorf("%v prints a token: %s", args, errs)
		}
	}
}

// initialized is such a signer after a 2-of-3 init, with its root token in the environment.
func initializedSigner(t *testing.T) *chamberSigner {
	t.Helper()
	return initializedSignerFor(t)
}

// initializedSignerFor is one whose new keys have backups for recipients.
func initializedSignerFor(t *testing.T, recipients ...string) *chamberSigner {
	t.Helper()
	s := startInWorld(t, &chambertest.World{Recipients: recipients}, nil)
	out := s.does([]string{"init", "--kms-key-arns", strings.Join(chambertest.ARNs(1, 2, 3), ","), "--kms-threshold", "2", "--output", "json"})
	var got routes.Initialized
	if err := json.Unmarshal([]byte(out), &got); err != nil || got.Status != "unsealed" {
		t.Fatalf("%s: %v", out, err)
	}
	t.Setenv("ROOT_TOKEN", got.RootToken)
	return s
}

func TestOperatorVerbs(t *testing.T) {
	s := initializedSigner(t)
	keys := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(keys, []byte("0x"+strings.Repeat("ab", 48)+" # one\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	digest := strings.Repeat("CD", 48)
	s.does([]string{"freeze", "--pubkeys", keys}, "unsealed", "frozen          1 keys")
	s.does([]string{"unfreeze", "--pubkeys", keys}, "frozen          none")
	s.does([]string{"freeze"}, "frozen          all")
	s.does([]string{"rotate", "slashing-store", "--store-id", "other", "--yes"}, "slashing store  other")
	s.does([]string{"rotate", "slashing-store", "--yes"}, chambertest.SlashingStore)
	s.does([]string{"unfreeze"}, "none")
	s.does([]string{"approve-config", "--digest", digest, "--label", "next"}, "version")
	s.does([]string{"approve-config", "--config", configFile(t, configNoop)})
	s.does([]string{"revoke-config", "--digest", digest, "--yes"})
	s.does([]string{"rotate", "kms", "--kms-key-arns", chambertest.ARN(4), "--kms-threshold", "1", "--yes"}, "unsealed")
	s.does([]string{"rotate", "master-key", "--yes"}, "unsealed")

	var token routes.Token
	if err := json.Unmarshal([]byte(s.does([]string{"generate-root-token", "--lifetime", "8h", "--output", "json"})), &token); err != nil {
		t.Fatal(err)
	}
	status := s.does([]string{"generate-root-token"}, "expires     never")
	if !strings.Contains(status, chamber.RootTokenPrefix) {
		t.Error(status)
	}
	code, out, errs := command(t, "operator", "status", "--signer-url", s.url, "--output", "table", "--auth-token", token.RootToken, "--allow-plaintext-signer")
	for _, want := range []string{"unsealed\n", "standard mode:", "share 1  " + chambertest.ARN(4) + "  ", "approved config  none  init  since", token.ID} {
		if code != exitOK || !strings.Contains(out, want) {
			t.Errorf("status: exit code %d, no %q in\n%s%s", code, want, out, errs)
		}
	}
	s.does([]string{"revoke-root-token", token.ID, "--yes"})
	s.does([]string{"seal", "--yes"}, "status          sealed", "sealed by an operator")
	s.does([]string{"unseal"}, "status          unsealed")
}

func TestOperatorBackupAndRestore(t *testing.T) {
	from := initializedSigner(t)
	file := filepath.Join(t.TempDir(), "backup")
	from.does([]string{"backup", "--output-file", file}, "bytes")
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatal(info, err)
	}
	root := os.Getenv("ROOT_TOKEN")
	to := startChamberSigner(t, func(o *chamber.Options, _ *routes.Options) { o.KMS = &from.world.KMS })
	code, out, errs := to.operator("restore", file)
	if code != exitUsage || out != "" || !strings.Contains(errs, "backup of chamber  "+from.Chamber.Status().ChamberID+", version 1") || !strings.Contains(errs, "--yes is needed") {
		t.Errorf("exit code %d, %q %q", code, out, errs)
	}
	if to.Chamber.Status().State != chamber.Uninitialized {
		t.Error("it was restored without a confirmation")
	}
	to.does([]string{"restore", file, "--yes"}, "restored        true", "unsealed")
	t.Setenv("ROOT_TOKEN", root)
	to.does([]string{"freeze"})
	to.refuses([]string{"restore", file, "--yes"}, exitFailure, "it was used to initialize the chamber (status 401)")
	if err := os.WriteFile(file, []byte("no backup\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	empty := startChamberSigner(t, nil)
	empty.refuses([]string{"restore", file, "--yes"}, exitFailure, "not a backup of a chamber (status 400)")
}

func TestOperatorRefuses(t *testing.T) {
	s := initializedSigner(t)
	dir := t.TempDir()
	bad := filepath.Join(dir, "bad")
	if err := os.WriteFile(bad, []byte("# nothing\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args  string
		code  int
		words string
	}{
		{"seal", exitUsage, "--yes is needed: standard input is no terminal"},
		{"rotate kms --kms-key-arns x --kms-threshold 1", exitUsage, "--yes is needed"},
		{"rotate master-key", exitUsage, "--yes is needed"},
		{"rotate slashing-store", exitUsage, "--yes is needed"},
		{"rotate slashing-store --yes --store-id=", exitUsage, "--store-id: want a value"},
		{"rotate slashing-store --yes --store-id other", exitFailure, "only while all keys are frozen"},
		{"rotate kms --yes", exitUsage, "--kms-key-arns is needed"},
		{"rotate kms --yes --kms-key-arns x", exitUsage, "--kms-threshold: want at least 1"},
		{"rotate kms --yes --kms-key-arns x --kms-threshold 2", exitUsage, "there are fewer KMS keys"},
		{"rotate kms --yes --kms-key-arns " + chambertest.ARN(9) + " --kms-threshold 1", exitFailure, "is not in chamber.kms_key_arns of the configuration (status 403)"},
		{"init --kms-key-arns " + chambertest.ARN(1) + " --kms-threshold 1", exitFailure, "it was used to initialize the chamber (status 401)"},
		{"revoke-root-token", exitUsage, "accepts 1 arg(s)"},
		{"revoke-root-token x", exitUsage, "--yes is needed"},
		{"revoke-root-token 0123456789abcdef --yes", exitFailure, `there is no root token "0123456789abcdef"`},
		{"revoke-config --digest none", exitUsage, "--yes is needed"},
		{"revoke-config --digest none --yes", exitFailure, "is this replica's own"},
		{"approve-config", exitUsage, "either --digest or --config is needed"},
		{"approve-config --digest ab --config x", exitUsage, "either --digest or --config is needed"},
		{"approve-config --digest ab", exitFailure, "want SHA-384 in 96 hexadecimal digits"},
		{"approve-config --config " + filepath.Join(dir, "missing"), exitUsage, "missing"},
		{"freeze --pubkeys " + bad, exitUsage, "it names no key"},
		{"freeze --pubkeys=", exitUsage, "--pubkeys: "},
		{"freeze x", exitUsage, "unknown command"},
		{"generate-root-token --lifetime -1s", exitUsage, "--lifetime"},
		{"generate-root-token --output yaml", exitUsage, `--output: "yaml"`},
		{"backup", exitUsage, "--output-file is needed"},
		{"backup --output-file " + dir, exitFailure, "is not a regular file"},
		{"restore " + filepath.Join(dir, "missing"), exitUsage, "missing"},
		{"import-keys " + dir, exitUsage, "there is no *.json there"},
		{"import-keys", exitUsage, "requires at least 1 arg(s)"},
		{"import-keys " + bad + " --password x --password-file y", exitUsage, "--password goes without --password-file"},
		{"import-keys " + bad + " --password env:NOT_SET", exitUsage, "environment variable NOT_SET is not set"},
	} {
		s.refuses(strings.Fields(test.args), test.code, test.words)
	}
	if v := s.Chamber.Status(); v.Version != 1 || v.State != chamber.Unsealed {
		t.Errorf("a refused command changed something: %+v", v)
	}
}

// TestOperatorTokensStaySecret: they go nowhere unasked, and only where they were meant to.
func TestOperatorTokensStaySecret(t *testing.T) {
	s := initializedSigner(t)
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(os.Getenv("ROOT_TOKEN")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		args  []string
		code  int
		words string
	}{
		"of a file":     {[]string{"--signer-url", s.url, "--allow-plaintext-signer", "--auth-token", "file:" + file}, exitOK, ""},
		"as it is":      {[]string{"--signer-url", s.url, "--allow-plaintext-signer", "--auth-token", os.Getenv("ROOT_TOKEN")}, exitOK, ""},
		"plaintext":     {[]string{"--signer-url", s.url, "--auth-token", "env:ROOT_TOKEN"}, exitUsage, "--allow-plaintext-signer allows it"},
		"no URL":        {[]string{"--auth-token", "env:ROOT_TOKEN"}, exitUsage, "--signer-url is needed"},
		"no token":      {[]string{"--signer-url", s.url, "--allow-plaintext-signer"}, exitUsage, "--auth-token is needed"},
		"not set":       {[]string{"--signer-url", s.url, "--allow-plaintext-signer", "--auth-token", "env:NOT_SET"}, exitUsage, "NOT_SET is not set"},
		"an empty file": {[]string{"--signer-url", s.url, "--allow-plaintext-signer", "--auth-token", "file:" + os.DevNull}, exitUsage, "there is nothing in it"},
		"not of ASCII":  {[]string{"--signer-url", s.url, "--allow-plaintext-signer", "--auth-token", "a b"}, exitUsage, "want visible characters of ASCII"},
		"a wrong one":   {[]string{"--signer-url", s.url, "--allow-plaintext-signer", "--auth-token", chamber.NewRootToken()}, exitFailure, "the token is not valid (status 401)"},
		"another path":  {[]string{"--signer-url", s.url + "/below", "--allow-plaintext-signer", "--auth-token", "env:ROOT_TOKEN"}, exitFailure, "it has no chamber, or this is its health port"},
		"a policy":      {[]string{"--signer-url", s.url, "--allow-plaintext-signer", "--auth-token", "env:ROOT_TOKEN", "--policy", file}, exitUsage, "--policy goes with https"},
	} {
		code, out, errs := command(t, append([]string{"operator", "freeze"}, test.args...)...)
		if code != test.code || !strings.Contains(errs, test.words) || strings.Contains(out+errs, chamber.RootTokenPrefix) {
			t.Errorf("%s: exit code %d, %q %q; want %d and %q", name, code, out, errs, test.code, test.words)
		}
	}
}

func TestOperatorSetupToken(t *testing.T) {
	code, out, errs := command(t, "operator", "setup-token", "--output", "json")
	var got struct {
		Token string `json:"setup_token"`
		Hash  string `json:"setup_token_sha256"`

		Expires time.Time `json:"expires"`
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != exitOK || errs != "" {
		t.Fatalf("exit code %d, %q %q: %v", code, out, errs, err)
	}
	if sum := sha256.Sum256([]byte(got.Token)); hex.EncodeToString(sum[:]) != got.Hash || !strings.HasPrefix(got.Token, chamber.SetupTokenPrefix) {
		t.Errorf("%+v", got)
	}
	if code, out, _ := command(t, "operator", "setup-token"); code != exitOK || !strings.Contains(out, "chamber.setup_token_sha256  ") {
		t.Errorf("exit code %d, %q", code, out)
	}
	for _, wrong := range []string{"0s", "-1h", "1500ms", "0.1s"} {
		if code, _, errs := command(t, "operator", "setup-token", "--lifetime", wrong); code != exitUsage || !strings.Contains(errs, "--lifetime: want whole seconds, at least 1s") {
			t.Errorf("--lifetime %s: exit code %d, %q", wrong, code, errs)
		}
	}
	var short struct {
		Expires time.Time `json:"expires"`
	}
	if _, out, _ := command(t, "operator", "setup-token", "--lifetime", "1h", "--output", "json"); json.Unmarshal([]byte(out), &short) != nil ||
		got.Expires.Sub(short.Expires).Round(time.Hour) != 6*24*time.Hour+23*time.Hour {
		t.Errorf("expires %s, and with --lifetime 1h %s", got.Expires, short.Expires)
	}
	s := startChamberSigner(t, func(o *chamber.Options, _ *routes.Options) { o.SetupTokenSHA256 = got.Hash })
	t.Setenv("SETUP_TOKEN", got.Token)
	s.does([]string{"init", "--kms-key-arns", chambertest.ARN(1), "--kms-threshold", "1"}, "root token      cc-root-", "set chamber.id to "+s.Chamber.Status().ChamberID)
}

func TestAskYes(t *testing.T) {
	for answer, ok := range map[string]bool{"yes\n": true, "yes": true, "y\n": false, "no\n": false, "\n": false, "": false} {
		var out strings.Builder
		if err := askYes(strings.NewReader(answer), &out, "Sure?"); (err == nil) != ok || out.String() != "Sure? Type yes to go on: " {
			t.Errorf("%q: %v, %q", answer, err, out.String())
		}
	}
}

// serve has another handler answer from now on.
func (s *chamberSigner) serve(h http.Handler) {
	server := httptest.NewServer(h)
	s.t.Cleanup(server.Close)
	s.url = server.URL
}
