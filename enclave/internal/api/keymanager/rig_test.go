package keymanager_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/keymanager"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/auth"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/auth/authtest"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keystore"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keystore/filesystem"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keystore/intake"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keystore/stored"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/signing"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/sqlite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const password = "correct horse battery staple"

func network() *eth2.Network {
	return &eth2.Network{Name: "testnet", ValidatorsRoot: eth2.Root{0x11, 0x22}, SlotsPerEpoch: 32}
}

// desk is a signer with all rooms real, asked without a connection between.
type desk struct {
	t        *testing.T
	loaded   *keystore.Keystore
	ledger   slashing.Ledger
	guard    *slashing.Guard
	signer   *signing.Signer
	intake   *intake.Intake
	lines    *observer.ObservedLogs
	handler  http.Handler
	caller   auth.Caller
	registry *prometheus.Registry
}

// settings are what tests change.
type settings struct {
	keymanager.Options

	stored  *stored.Source
	persist bool
	memory  *filesystem.KDFMemory
	loaded  *keystore.Keystore
	ledger  slashing.Ledger
	noop    bool // no record is kept
}

func newDesk(t *testing.T, with func(*settings)) *desk {
	t.Helper()
	core, lines := observer.New(zap.DebugLevel)
	s := settings{
		Options: keymanager.Options{
			Network: network(), MaxReads: 50, MaxWrites: 10, MaxItems: 100, Timeout: 30 * time.Second, Log: zap.New(core),
		},
		memory: filesystem.NewKDFMemory(100, 1<<30), loaded: keystore.New(),
	}
	if with != nil {
		with(&s)
	}
	if s.ledger == nil {
		s.ledger = openLedger(t)
	}
	d := &desk{t: t, loaded: s.loaded, ledger: s.ledger, lines: lines, caller: authtest.Management(), registry: prometheus.NewRegistry()}
	d.guard = slashing.NewGuard(s.ledger, time.Minute)
	if s.KnownOnly {
		d.guard.RefuseUnknown()
	}
	var err error
	d.signer, err = signing.New(signing.Options{Network: network(), Keys: d.loaded, Guard: d.guard, Wait: time.Minute, Registry: d.registry})
	if err != nil {
		t.Fatal(err)
	}
	d.intake = intake.New(s.stored, s.memory)
	s.Keys, s.Check = intake.NewKeys(d.intake, s.loaded, s.persist), d.guard.Check
	if !s.noop {
		s.Ledger = s.ledger
	}
	mux := http.NewServeMux()
	keymanager.New(s.Options).Register(mux)
	d.handler = api.Routes(mux)
	return d
}

func openLedger(t *testing.T) slashing.Ledger {
	t.Helper()
	ledger, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "slashing.sqlite"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := ledger.Close(); err != nil {
			t.Error(err)
		}
	})
	return ledger
}

// secretKey is always the same of n.
func secretKey(n int) *bls.SecretKey {
	seed := make([]byte, 32)
	seed[0], seed[1] = byte(n), byte(n>>8)
	key, err := bls.SecretKeyFromSeed(seed)
	if err != nil {
		panic(err) // a test's own value
	}
	return key
}

func publicKey(n int) bls.PublicKey { return secretKey(n).PublicKey() }

// keystoreOf is the EIP-2335 keystore of key n, with few rounds.
func keystoreOf(n int) string {
	text, err := filesystem.EncryptKeystore(secretKey(n), []byte(password), 2)
	if err != nil {
		panic(err) // a test's own value
	}
	return string(text)
}

// importBody has the keystores of keys, and what more there is.
func importBody(more map[string]any, keys ...int) string {
	keystores, passwords := []string{}, []string{}
	for _, n := range keys {
		keystores, passwords = append(keystores, keystoreOf(n)), append(passwords, password)
	}
	body := map[string]any{"keystores": keystores, "passwords": passwords}
	for name, value := range more {
		body[name] = value
	}
	return encode(body)
}

func deleteBody(keys ...int) string {
	texts := []string{}
	for _, n := range keys {
		texts = append(texts, publicKey(n).String())
	}
	return encode(map[string]any{"pubkeys": texts})
}

func encode(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // a test's own value
	}
	return string(text)
}

// votes is an EIP-3076 file in which key n has attested to targets[n].
func votes(targets map[int]uint64) string {
	var entries []string
	for n, target := range targets {
		entries = append(entries, fmt.Sprintf(`{"pubkey":"%s","signed_blocks":[],"signed_attestations":[{"source_epoch":"1","target_epoch":"%d"}]}`, publicKey(n), target))
	}
	return historyOf(entries...)
}

func historyOf(entries ...string) string {
	root := network().ValidatorsRoot
	return fmt.Sprintf(`{"metadata":{"interchange_format_version":"5","genesis_validators_root":"0x%x"},"data":[%s]}`, root[:], strings.Join(entries, ","))
}

// ask sends one request as the desk's caller.
func (d *desk) ask(method, body string) *httptest.ResponseRecorder {
	d.t.Helper()
	return d.askAs(d.caller, method, body)
}

func (d *desk) askAs(caller auth.Caller, method, body string) *httptest.ResponseRecorder {
	var in io.Reader
	if body != "" {
		in = strings.NewReader(body)
	}
	r := api.WithCaller(httptest.NewRequestWithContext(d.t.Context(), method, keymanager.Route, in), caller)
	w := httptest.NewRecorder()
	d.handler.ServeHTTP(w, r)
	return w
}

// askIn is ask in a context.
func (d *desk) askIn(ctx context.Context, method, body string) *httptest.ResponseRecorder {
	r := api.WithCaller(httptest.NewRequestWithContext(ctx, method, keymanager.Route, strings.NewReader(body)), d.caller)
	w := httptest.NewRecorder()
	d.handler.ServeHTTP(w, r)
	return w
}

// answer is every answer with status 200.
type answer struct {
	Data []struct {
		Status, Message string
		PublicKey       string `json:"validating_pubkey"`
		Path            string `json:"derivation_path"`
		ReadOnly        *bool
	}
	SlashingProtection *string `json:"slashing_protection"`
}

// ok fails the test unless the answer is 200.
func (d *desk) ok(w *httptest.ResponseRecorder) (a answer) {
	d.t.Helper()
	a, err := answerOf(w)
	if err != nil {
		d.t.Fatal(err)
	}
	return a
}

func answerOf(w *httptest.ResponseRecorder) (a answer, err error) {
	if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "application/json; charset=utf-8" || w.Header().Get("Cache-Control") != "no-store" {
		return a, fmt.Errorf("%d %s %v", w.Code, w.Body, w.Header())
	}
	if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil || a.Data == nil {
		return a, fmt.Errorf("%w: %s", err, w.Body)
	}
	return a, nil
}

// did sends a request that must be answered with 200 and these statuses.
func (d *desk) did(method, body, statuses string) answer {
	d.t.Helper()
	a := d.ok(d.ask(method, body))
	if got := a.statuses(); got != statuses {
		d.t.Fatalf("%s: %s, want %s: %+v", method, got, statuses, a.Data)
	}
	return a
}

func (a answer) statuses() string {
	var all []string
	for _, r := range a.Data {
		all = append(all, r.Status)
	}
	return strings.Join(all, " ")
}

// refused fails the test unless the answer is a refusal in the form of every other, with these words.
func (d *desk) refused(w *httptest.ResponseRecorder, code int, words string) {
	d.t.Helper()
	var got struct {
		Code           int
		Message, Error string
	}
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != code || got.Code != code || got.Message != got.Error || !strings.Contains(got.Message, words) {
		d.t.Errorf("%d %s (%v), want %d with %q", w.Code, w.Body, err, code, words)
	}
	if code == http.StatusServiceUnavailable && w.Header().Get("Retry-After") == "" {
		d.t.Error("no Retry-After")
	}
}

// listed are the keys of the list, as "public key path readonly" with the public keys shortened.
func (d *desk) listed(caller auth.Caller) (lines []string) {
	d.t.Helper()
	for _, k := range d.ok(d.askAs(caller, "GET", "")).Data {
		lines = append(lines, fmt.Sprintf("%.10s %s %v", k.PublicKey, k.Path, *k.ReadOnly))
	}
	return lines
}

// line is one of listed.
func line(n int, path string, readOnly bool) string {
	return fmt.Sprintf("%.10s %s %v", publicKey(n), path, readOnly)
}

// attest has key n sign the vote for a target.
func (d *desk) attest(n int, target uint64) error {
	request := eth2.NewAttestation(eth2.ForkInfo{ValidatorsRoot: network().ValidatorsRoot}, eth2.AttestationData{
		Source: eth2.Checkpoint{Epoch: 1}, Target: eth2.Checkpoint{Epoch: target},
	})
	grant, err := authtest.Open().Grant(publicKey(n), request.Kind())
	if err != nil {
		return err
	}
	_, err = d.signer.Sign(d.t.Context(), grant, request)
	return err
}

// onRecord is the highest target of each key on record, as "public key:target" shortened.
func (d *desk) onRecord() string {
	d.t.Helper()
	var all []string
	err := d.ledger.Each(d.t.Context(), func(r slashing.Record) error {
		if r.Attestation != nil {
			all = append(all, fmt.Sprintf("%s:%d", r.Key.Short(), r.Attestation.Target))
		}
		return nil
	})
	if err != nil {
		d.t.Fatal(err)
	}
	return strings.Join(all, " ")
}

// watched is a ledger that calls its hooks, where they are set: before it is read or merged into, and after it was read or has recorded votes.
type watched struct {
	slashing.Ledger

	reading, read, merging, recorded func()
}

func (w *watched) Each(ctx context.Context, f func(slashing.Record) error) error {
	if w.reading != nil {
		w.reading()
	}
	err := w.Ledger.Each(ctx, f)
	if w.read != nil {
		w.read()
	}
	return err
}

func (w *watched) Merge(ctx context.Context, records []slashing.Record) error {
	if w.merging != nil {
		w.merging()
	}
	return w.Ledger.Merge(ctx, records)
}

func (w *watched) Advance(ctx context.Context, claims []slashing.Claim) ([]slashing.Outcome, error) {
	outcomes, err := w.Ledger.Advance(ctx, claims)
	if w.recorded != nil {
		w.recorded()
	}
	return outcomes, err
}

// watchedDesk is one whose ledger is watched.
func watchedDesk(t *testing.T, with func(*settings)) (*desk, *watched) {
	t.Helper()
	ledger := &watched{Ledger: openLedger(t)}
	return newDesk(t, func(s *settings) {
		s.ledger = ledger
		if with != nil {
			with(s)
		}
	}), ledger
}

// askPath sends a GET elsewhere.
func (d *desk) askPath(path string) *httptest.ResponseRecorder {
	r := api.WithCaller(httptest.NewRequestWithContext(d.t.Context(), "GET", path, nil), d.caller)
	w := httptest.NewRecorder()
	d.handler.ServeHTTP(w, r)
	return w
}
