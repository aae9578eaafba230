package main

import (
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api"
	routes "github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/slashing"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/auth/authtest"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/config"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/admin"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/sqlite"
)

// signerRoutes are those of a signer with a store of its own.
func signerRoutes(t *testing.T) http.Handler {
	t.Helper()
	store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "signer.sqlite"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	network, err := eth2.NetworkByName("hoodi")
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Pin(t.Context(), network.ValidatorsRoot); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	routes.New(admin.New(store, network, "sqlite"), zap.NewNop()).Register(mux)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller := authtest.Anonymous()
		if r.Header.Get("Authorization") == "Bearer "+authtest.ManagementToken {
			caller = authtest.Management()
		}
		api.Routes(mux).ServeHTTP(w, api.WithCaller(r, caller))
	})
}

// withOperator adds the token of an operator to a command's flags.
func withOperator(args ...string) []string {
	return append(args, "--auth-token", authtest.ManagementToken, "--allow-plaintext-signer")
}

// TestSlashingThroughASigner: every verb prints through a signer what it prints of a store.
func TestSlashingThroughASigner(t *testing.T) {
	config, file := protected(t)
	server := httptest.NewServer(signerRoutes(t))
	t.Cleanup(server.Close)
	lower := filepath.Join(t.TempDir(), "lower.json")
	interchangeFile(t, lower, history(1, `{"slot": "6"}`, `{"source_epoch": "1", "target_epoch": "2"}`))
	exported := filepath.Join(t.TempDir(), "exported.json")
	withoutID := func(out string) string {
		lines := strings.Split(out, "\n")
		for i, line := range lines {
			if fields := strings.Fields(line); len(fields) == 3 && fields[0] == "store" || strings.Contains(line, `"store_id"`) {
				lines[i] = ""
			}
		}
		return strings.Join(lines, "\n")
	}
	for _, args := range []string{
		"import --dry-run " + file,
		"import " + file,
		"import " + lower, // and lowers nothing
		"raise --slot 8 --dry-run",
		"raise --slot 8 --source-epoch 1 --target-epoch 4 --key " + publicKey(1),
		"raise --slot 9",
		"init --key " + publicKey(5) + " --key " + publicKey(1) + " --dry-run",
		"init --key " + publicKey(5) + " --key " + publicKey(1),
		"high-watermark",
		"high-watermark --slot 1000",
		"high-watermark --epoch 100 --key " + publicKey(5),
		"status",
		"status --json",
		"high-watermark --remove --key " + publicKey(5),
		"high-watermark --remove",
		"export",
		"export -",
		"export " + exported,
	} {
		words := strings.Fields(args)
		if args == "import --dry-run "+file { // a dry run needs a store
			slashingRun(t, 0, "", "migrate", "-c", config)
		}
		want := slashingRun(t, 0, "", append(words, "-c", config)...)
		got := slashingRun(t, 0, "", withOperator(append(words, "--signer-url", server.URL)...)...)
		if withoutID(got) != withoutID(want) || want == "" {
			t.Errorf("%s: through the signer\n%s, of the store\n%s", args, got, want)
		}
	}
	if text, err := os.ReadFile(exported); err != nil || string(text) != slashingRun(t, 0, "", "export", "-c", config) {
		t.Errorf("the file is not what is on record: %v", err)
	}
}

// TestSlashingSignerRefuses: what a signer refuses, and why, is told as it says.
func TestSlashingSignerRefuses(t *testing.T) {
	_, file := protected(t)
	server := httptest.NewServer(signerRoutes(t))
	t.Cleanup(server.Close)
	bad := filepath.Join(t.TempDir(), "bad.json")
	interchangeFile(t, bad, history(1, `{"slot": 99}`, ``), history(2, `{"slot": -1}`, ``))
	foreign := filepath.Join(t.TempDir(), "foreign.json")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(foreign, []byte(strings.Replace(string(text), "0x212f", "0x0000", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	plain := httptest.NewServer(api.Routes(http.NewServeMux()))
	t.Cleanup(plain.Close)
	gone := httptest.NewServer(nil)
	gone.Close()
	for _, test := range []struct {
		code             int
		words, url, args string
	}{
		{1, `bad.json: data[1].signed_blocks[0].slot: not a usable EIP-3076 interchange file: "-1" is negative; nothing was imported (status 400)`, server.URL, "import " + bad},
		{1, "foreign.json: metadata.genesis_validators_root: the file is for another network", server.URL, "import " + foreign},
		{1, "the store has no key on record", server.URL, "raise --slot 1"},
		{1, "the signer does not serve these routes; anti_slashing.api of its configuration turns them on", plain.URL, "import " + file},
		{1, "the signer does not serve these routes", plain.URL, "status"},
		{1, "no answer of the signer: dial tcp", gone.URL, "status"},
		{1, "export: no answer of the signer: dial tcp", gone.URL, "export"},
		{1, "a token is needed", server.URL, "status"},
		{2, "migrate goes without --signer-url: a signer brings the schema to its own release", server.URL, "migrate"},
		{2, "--signer-url goes without --config: the signer has its own configuration", server.URL, "status -c x.yaml"},
		{2, "--signer-url goes without --network", server.URL, "export --network hoodi"},
		{2, "want http://host:port or https://host:port", "127.0.0.1:9000", "status"},
		{2, "want http://host:port or https://host:port", "ftp://127.0.0.1", "status"},
		{2, "want http://host:port or https://host:port", "", "status"},
		{2, "want nothing after the path", server.URL + "/?x=1", "status"},
		{2, "--signer-ca goes with https", server.URL, "status --signer-ca " + bad},
		{1, "--signer-ca: open none.pem", "https://127.0.0.1:1", "status --signer-ca none.pem"},
		{2, "bad.json has no certificate in PEM", "https://127.0.0.1:1", "status --signer-ca " + bad},
	} {
		words := append(strings.Fields("slashing "+test.args), "--signer-url", test.url)
		if test.code == 1 && test.url == server.URL && !strings.Contains(test.words, "token") {
			words = withOperator(words...)
		}
		var out, errs strings.Builder
		code := run(t.Context(), words, &out, &errs)
		if code != test.code || !strings.Contains(errs.String(), test.words) || out.Len() > 0 {
			t.Errorf("%s of %s: exit code %d, said %q and %q; want %d and %q", test.args, test.url, code, out.String(), errs.String(), test.code, test.words)
		}
	}
	if exported := slashingRun(t, 0, "", withOperator("export", "--signer-url", server.URL)...); strings.Contains(exported, "pubkey") {
		t.Errorf("something was imported: %s", exported)
	}
}

// TestSlashingSignerTLS: a signer is trusted for the authorities that are named, and not without.
func TestSlashingSignerTLS(t *testing.T) {
	_, file := protected(t)
	server := httptest.NewUnstartedServer(signerRoutes(t))
	server.Config.ErrorLog = zap.NewStdLog(zap.NewNop()) // the refused handshake is ours
	server.StartTLS()
	t.Cleanup(server.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	slashingRun(t, 1, "no answer of the signer: tls: failed to verify certificate", "status", "--signer-url", server.URL)
	slashingRun(t, 0, "", withOperator("import", file, "--signer-url", server.URL, "--signer-ca", ca)...)
	if out := slashingRun(t, 0, "", withOperator("status", "--signer-url", server.URL, "--signer-ca", ca)...); !strings.Contains(out, "attestations             2,") {
		t.Error(out)
	}
}

// TestSlashingWarnsOfClearText: a password in the URL is not printed, and clear text to another machine is warned of.
func TestSlashingWarnsOfClearText(t *testing.T) {
	for _, test := range []struct{ url, want string }{
		{"http://u:hush@[::1]:1", "signer: http://u:xxxxx@[::1]:1\ncontainment-chamber: no answer"},
		{"http://localhost:1", "signer: http://localhost:1\ncontainment-chamber: no answer"},
		{"http://192.0.2.1.invalid:1", "signer: http://192.0.2.1.invalid:1\nwarning: http to another machine: "},
		{"https://192.0.2.1.invalid:1", "signer: https://192.0.2.1.invalid:1\ncontainment-chamber: no answer"},
	} {
		var out, errs strings.Builder
		if code := run(t.Context(), []string{"slashing", "status", "--signer-url", test.url}, &out, &errs); code != 1 || !strings.HasPrefix(errs.String(), test.want) || strings.Contains(errs.String(), "hush") {
			t.Errorf("%s: exit code %d, said %q, want %q", test.url, code, errs.String(), test.want)
		}
	}
}

// TestSlashingStoreIsSilent: a server that takes connections and says nothing does not keep a command waiting.
func TestSlashingStoreIsSilent(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	accepted := make(chan struct{})
	go func() {
		defer close(accepted)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			defer func() { _ = c.Close() }()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-accepted })
	cfg, err := config.Load(config.Sources{Path: configFile(t, fmt.Sprintf(
		"network: hoodi\nanti_slashing: {backend: postgres, url: 'postgres://signer@%s/slashing?sslmode=disable'}\n", l.Addr()))})
	if err != nil {
		t.Fatal(err)
	}
	_, err = openLedger(t.Context(), cfg, false, 20*time.Millisecond)
	if err == nil || !strings.HasPrefix(err.Error(), "the slashing protection store was not opened within 20ms: slashing database slashing on 127.0.0.1") {
		t.Errorf("%v", err)
	}
	if got := storeName(cfg.AntiSlashing); got != "postgres slashing on "+l.Addr().String()+" as signer" {
		t.Error(got)
	}
}

// TestKeysAreCounted wherever the writes begin and end.
func TestKeysAreCounted(t *testing.T) {
	const text = `{"data": [{"pubkey": "a"},{"pubkey": "b"}, {"pubkey": "c"}]}`
	for size := 1; size <= len(text); size++ {
		var out strings.Builder
		c := &keyCounter{w: &out}
		for part := range chunks(text, size) {
			if _, err := io.WriteString(c, part); err != nil {
				t.Fatal(err)
			}
		}
		if c.keys != 3 || out.String() != text {
			t.Errorf("in pieces of %d: %d keys, %s", size, c.keys, out.String())
		}
	}
}

func chunks(text string, size int) func(func(string) bool) {
	return func(yield func(string) bool) {
		for len(text) > 0 {
			n := min(size, len(text))
			if !yield(text[:n]) {
				return
			}
			text = text[n:]
		}
	}
}
