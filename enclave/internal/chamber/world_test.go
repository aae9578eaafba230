package chamber

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/kms"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/secret"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// software is KMS in memory: every key seals with AES-GCM, bound to the encryption context.
type software struct {
	mu       sync.Mutex // held while keys is used
	keys     map[kms.ARN]cipher.AEAD
	attested bool
	calls    atomic.Int64
	fault    atomic.Pointer[func(ctx context.Context, operation, arn string) error] // asked before every call
	forge    atomic.Pointer[func(arn string, plaintext []byte) []byte]              // changes what Decrypt answers
}

func (k *software) Attested() bool { return k.attested }

// breaks has calls fail where f returns an error.
func (k *software) breaks(f func(ctx context.Context, operation, arn string) error) {
	k.fault.Store(&f)
}

// denies has all calls to these keys fail.
func (k *software) denies(arns ...string) {
	k.breaks(func(_ context.Context, _, arn string) error {
		if slices.Contains(arns, arn) {
			return fmt.Errorf("%w: the key's policy says no", kms.ErrDenied)
		}
		return nil
	})
}

func (k *software) key(ctx context.Context, operation string, arn kms.ARN) (cipher.AEAD, error) {
	k.calls.Add(1)
	if f := k.fault.Load(); f != nil {
		if err := (*f)(ctx, operation, arn.String()); err != nil {
			return nil, fmt.Errorf("KMS %s %s: %w", operation, arn, err)
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.keys == nil {
		k.keys = map[kms.ARN]cipher.AEAD{}
	}
	if k.keys[arn] == nil {
		b := make([]byte, 32)
		rand.Read(b)
		block, err := aes.NewCipher(b)
		if err != nil {
			return nil, err
		}
		if k.keys[arn], err = cipher.NewGCMWithRandomNonce(block); err != nil {
			return nil, err
		}
	}
	return k.keys[arn], nil
}

func about(ec map[string]string) []byte {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(ec)) {
		all = append(all, name+"="+ec[name])
	}
	return []byte(strings.Join(all, "\n"))
}

func (k *software) Decrypt(ctx context.Context, arn kms.ARN, ciphertext []byte, ec map[string]string) (secret.Bytes, error) {
	a, err := k.key(ctx, "Decrypt", arn)
	if err != nil {
		return secret.Bytes{}, err
	}
	plain, err := a.Open(nil, nil, ciphertext, about(ec))
	if err != nil {
		return secret.Bytes{}, kms.ErrInvalidCiphertext
	}
	if f := k.forge.Load(); f != nil {
		plain = (*f)(arn.String(), plain)
	}
	return secret.New(plain), nil
}

func (k *software) GenerateDataKey(ctx context.Context, arn kms.ARN, ec map[string]string) (secret.Bytes, []byte, error) {
	a, err := k.key(ctx, "GenerateDataKey", arn)
	if err != nil {
		return secret.Bytes{}, nil, err
	}
	plain := make([]byte, kms.DataKeySize)
	rand.Read(plain)
	return secret.New(plain), a.Seal(nil, nil, plain, about(ec)), nil //nolint:gosec // this cipher makes its own nonces
}

func (k *software) Encrypt(ctx context.Context, arn kms.ARN, plaintext secret.Bytes, ec map[string]string) ([]byte, error) {
	a, err := k.key(ctx, "Encrypt", arn)
	if err != nil {
		return nil, err
	}
	var sealed []byte
	err = plaintext.Use(func(b []byte) error { sealed = a.Seal(nil, nil, b, about(ec)); return nil }) //nolint:gosec // this cipher makes its own nonces
	return sealed, err
}

// arn is the n-th KMS key, each of its own account.
func arn(n int) string {
	return fmt.Sprintf("arn:aws:kms:eu-central-1:%012d:key/00000000-0000-0000-0000-%012d", n, n)
}

func arns(numbers ...int) []string {
	var all []string
	for _, n := range numbers {
		all = append(all, arn(n))
	}
	return all
}

// world is where replicas live.
type world struct {
	t     *testing.T
	state store.State
	kms   *software
	logs  *observer.ObservedLogs
	core  *zap.Logger
}

func newWorld(t *testing.T) *world {
	core, logs := observer.New(zap.DebugLevel)
	return &world{t, &storetest.State{}, &software{}, logs, zap.New(core)}
}

const digestA, digestB = "aa", "bb"

func digest(two string) string { return strings.Repeat(two, 48) }

// replica makes a chamber on the world's store.
func (w *world) replica(with ...func(*Options)) *Chamber {
	w.t.Helper()
	o := Options{
		State: w.state, KMS: w.kms, AllowedKeys: arns(1, 2, 3, 4, 5), ConfigDigest: digest(digestA), RefreshInterval: time.Second,
		CheckInterval: time.Hour,
		SlashingStore: func(context.Context) (string, error) { return "store-1", nil },
		Log:           w.core, Registry: prometheus.NewRegistry(),
	}
	for _, f := range with {
		f(&o)
	}
	c, err := New(o)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// initialized is a replica after a 2-of-3 Init.
func (w *world) initialized(with ...func(*Options)) (*Chamber, InitResult) {
	w.t.Helper()
	c := w.replica(with...)
	r, err := c.Init(w.t.Context(), InitRequest{KeyARNs: arns(1, 2, 3), Threshold: 2})
	if err != nil {
		w.t.Fatal(err)
	}
	w.in(c, Unsealed)
	return c, r
}

// in fails the test if the chamber is in another state.
func (w *world) in(c *Chamber, want State) {
	w.t.Helper()
	if s := c.Status(); s.State != want {
		w.t.Fatalf("the chamber is %s (%s), want %s", s.State, s.Reason, want)
	}
}

// restarted is a new replica that has read the state.
func (w *world) restarted(want State, with ...func(*Options)) *Chamber {
	w.t.Helper()
	c := w.replica(with...)
	err := c.Refresh(w.t.Context())
	if s := c.Status(); s.State != want {
		w.t.Fatalf("a new replica is %s (%s, %v), want %s", s.State, s.Reason, err, want)
	}
	return c
}

// edit changes the stored manifest as its owner could not have.
func (w *world) edit(f func(m *manifest)) {
	w.t.Helper()
	item, err := w.state.Get(w.t.Context(), manifestName)
	if err != nil {
		w.t.Fatal(err)
	}
	m, err := parseManifest(item.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	f(m)
	w.put(encoded(w.t, m))
}

// put stores a manifest's text, whatever it is.
func (w *world) put(text []byte) {
	w.t.Helper()
	item, err := w.state.Get(w.t.Context(), manifestName)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		w.t.Fatal(err)
	}
	if err := w.state.Put(w.t.Context(), store.Item{Name: manifestName, Version: item.Version + 1, Body: text}); err != nil {
		w.t.Fatal(err)
	}
}

// stored is the manifest's text.
func (w *world) stored() []byte {
	w.t.Helper()
	item, err := w.state.Get(w.t.Context(), manifestName)
	if err != nil {
		w.t.Fatal(err)
	}
	return item.Body
}

// wantErr fails the test unless err is of a kind and has these words.
func wantErr(t *testing.T, what string, err, kind error, words ...string) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Errorf("%s: %v, want %v", what, err, kind)
		return
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%s: %q does not say %q", what, err, word)
		}
	}
}

// works fails the test unless the chamber opens what was sealed before and seals anew.
func works(t *testing.T, c *Chamber, blob []byte) {
	t.Helper()
	got, err := c.Open("key", "k1", 7, blob)
	if err != nil {
		t.Fatalf("open what was sealed before: %v", err)
	}
	if b := opened(t, got); string(b) != "a validator key" {
		t.Errorf("opened %q", b)
	}
	if _, err := c.Seal("key", "k2", 1, nil); err != nil {
		t.Errorf("seal: %v", err)
	}
}

func sealed(t *testing.T, c *Chamber) []byte {
	t.Helper()
	blob, err := c.Seal("key", "k1", 7, []byte("a validator key"))
	if err != nil {
		t.Fatal(err)
	}
	return blob
}

// opFails has an operation of a key fail; "" is any.
func opFails(operation, key string, err error) func(context.Context, string, string) error {
	return func(_ context.Context, op, arn string) error {
		if (operation == "" || op == operation) && (key == "" || arn == key) {
			return err
		}
		return nil
	}
}
