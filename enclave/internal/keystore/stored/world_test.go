package stored_test

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keystore"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keystore/stored"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/secret"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/dynamodb/dynamodbtest"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/noop"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/postgres/postgrestest"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store/storetest"
)

// The servers of all tests; nil with -short.
var (
	postgresServer *postgrestest.Server
	dynamodbServer *dynamodbtest.Server
)

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(withServers(m.Run))
}

// withServers runs the tests with the servers that they need.
func withServers(run func() int) int {
	if testing.Short() { // a server is a service
		return leaks(run())
	}
	var err error
	if postgresServer, err = postgrestest.Start(); err != nil {
		fmt.Fprintln(os.Stderr, "a PostgreSQL server for the tests:", err)
		return 1
	}
	code := 1
	if dynamodbServer, err = dynamodbtest.Start(); err != nil {
		fmt.Fprintln(os.Stderr, "a DynamoDB server for the tests:", err)
	} else {
		code = run()
		dynamodbServer.Stop()
	}
	if err := postgresServer.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return leaks(code)
}

// leaks fails tests that went well and have left goroutines behind.
func leaks(code int) int {
	if code != 0 {
		return code
	}
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

var (
	errClosed  = errors.New("the chamber is sealed")
	errForeign = errors.New("not of this chamber")
	errCorrupt = errors.New("damaged, or in the place of another")
)

// sealer is a chamber with a master key for each generation, of which it has some. The first byte of a blob is the generation.
type sealer struct {
	mu     sync.Mutex // held while the fields below are used
	master map[byte][]byte
	now    byte
	closed bool
	opened atomic.Int64
	onOpen func() // called at each Open, if set
	given  []secret.Bytes
}

// newSealer makes another chamber, which has generation 1.
func newSealer(t testing.TB) *sealer {
	t.Helper()
	s := &sealer{master: map[byte][]byte{}}
	s.rotate(1)
	return s
}

// rotate makes another generation the one of now.
func (s *sealer) rotate(to byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.master[to] == nil {
		s.master[to] = make([]byte, 32)
		rand.Read(s.master[to])
	}
	s.now = to
}

func (s *sealer) close(closed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = closed
}

func (s *sealer) aead(generation byte) (cipher.AEAD, error) {
	switch key := s.master[generation]; {
	case s.closed:
		return nil, errClosed
	case key == nil:
		return nil, errForeign
	default:
		block, err := aes.NewCipher(key)
		if err != nil {
			return nil, err
		}
		return cipher.NewGCMWithRandomNonce(block)
	}
}

func boundTo(role, name string, version uint64) []byte {
	return fmt.Appendf(nil, "%d %s %d %s %d", len(role), role, len(name), name, version)
}

func (s *sealer) Seal(role, name string, version uint64, plaintext []byte) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, err := s.aead(s.now)
	if err != nil {
		return nil, err
	}
	return a.Seal([]byte{s.now}, nil, plaintext, boundTo(role, name, version)), nil //nolint:gosec // the AEAD makes the nonce
}

func (s *sealer) Open(role, name string, version uint64, blob []byte) (secret.Bytes, error) {
	s.opened.Add(1)
	if s.onOpen != nil {
		s.onOpen()
	}
	if len(blob) == 0 {
		return secret.Bytes{}, errCorrupt
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	a, err := s.aead(blob[0])
	if err != nil {
		return secret.Bytes{}, err
	}
	plaintext, err := a.Open(nil, nil, blob[1:], boundTo(role, name, version))
	if err != nil {
		return secret.Bytes{}, errCorrupt
	}
	given := secret.New(plaintext)
	s.given = append(s.given, given)
	return given, nil
}

// unwiped is how much of what was opened is still there.
func (s *sealer) unwiped() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, given := range s.given {
		if given.Use(func([]byte) error { return nil }) == nil {
			n++
		}
	}
	return n
}

func (s *sealer) Current(blob []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(blob) > 0 && blob[0] == s.now
}

// replica is a source with all that is around it.
type replica struct {
	*stored.Source
	table    store.Keys
	keys     *keystore.Keystore
	sealer   *sealer
	registry *prometheus.Registry
	logs     *observer.ObservedLogs
}

// interval is that of replicas.
const interval = time.Second

func newReplica(t testing.TB, keys store.Keys, chamber *sealer, change ...func(*stored.Options)) *replica {
	t.Helper()
	core, logs := observer.New(zap.InfoLevel)
	r := &replica{table: keys, keys: keystore.New(), sealer: chamber, registry: prometheus.NewRegistry(), logs: logs}
	failures := prometheus.NewCounter(prometheus.CounterOpts{Name: "failures"})
	o := stored.Options{
		Keys: keys, Sealer: chamber, Overhead: overhead, Keystore: r.keys, Closed: func(err error) bool { return errors.Is(err, errClosed) },
		Statuses: []store.Status{store.Active}, RefreshInterval: interval, Readers: 8, Log: zap.New(core),
		Failures: failures, Registry: r.registry,
	}
	for _, f := range change {
		f(&o)
	}
	var err error
	if r.Source, err = stored.New(o); err != nil {
		t.Fatal(err)
	}
	r.registry.MustRegister(failures)
	return r
}

// load is a Load that must end well.
func (r *replica) load(t testing.TB) {
	t.Helper()
	if err := r.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// run follows changes until the test ends.
func (r *replica) run(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := r.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	}()
	t.Cleanup(func() { cancel(); <-ended })
}

// metric is the value of a metric without labels.
func (r *replica) metric(t testing.TB, name string) float64 {
	t.Helper()
	families, err := r.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			m := f.GetMetric()[0]
			return m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

// errorsLogged are the lines at level error since it was called last.
func (r *replica) errorsLogged() (lines []string) {
	for _, e := range r.logs.TakeAll() {
		if e.Level != zap.ErrorLevel {
			continue
		}
		lines = append(lines, fmt.Sprintf("%s: %v %v %v %v", e.Message, e.ContextMap()["key"], e.ContextMap()["version"],
			e.ContextMap()["status"], e.ContextMap()["error"]))
	}
	return lines
}

// signs says whether the replica signs with a key.
func (r *replica) signs(t testing.TB, public bls.PublicKey) bool {
	t.Helper()
	key, err := r.keys.Find(public)
	if err != nil {
		return false
	}
	return sign(t, key) == nil
}

// sign returns the error of a signature, and fails the test if there is a wrong one.
func sign(t testing.TB, key *keystore.Key) error {
	t.Helper()
	duty := eth2.NewRandaoReveal(eth2.ForkInfo{}, 7)
	permit, err := slashing.NewGuard(noop.Open(), time.Second).Permit(context.Background(), key.PublicKey(), duty)
	if err != nil {
		t.Error(err)
		return err
	}
	sig, err := key.Sign(permit, bls.NewMessages(1))
	if err == nil && !bls.Verify(key.PublicKey(), duty.SigningRoot(), sig) {
		t.Error("the signature does not verify")
	}
	return err
}

// secretKey makes the same key of n each time.
func secretKey(t testing.TB, n int) *bls.SecretKey {
	t.Helper()
	scalar := make([]byte, bls.SecretKeySize)
	binary.BigEndian.PutUint32(scalar[28:], uint32(n+1))
	key, err := bls.NewSecretKey(scalar)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func public(t testing.TB, n int) bls.PublicKey {
	t.Helper()
	return secretKey(t, n).PublicKey()
}

// activeKeys are keys from one number up to another.
func activeKeys(t testing.TB, from, to int) (keys []stored.Key) {
	t.Helper()
	for n := from; n < to; n++ {
		keys = append(keys, stored.Key{Secret: secretKey(t, n), Status: store.Active})
	}
	return keys
}

// mustImport imports keys of which none may fail or be there.
func mustImport(t testing.TB, r *replica, keys []stored.Key) {
	t.Helper()
	for i, result := range r.Import(t.Context(), keys) {
		if result.Outcome != stored.Imported || result.Err != nil || result.PublicKey != keys[i].Secret.PublicKey() {
			t.Fatalf("key %d: %+v", i, result)
		}
	}
}

func get(t testing.TB, keys store.Keys, public bls.PublicKey) store.Key {
	t.Helper()
	item, err := keys.Get(context.Background(), public)
	if err != nil {
		t.Fatal(err)
	}
	return item
}

// damage writes an item over another that does not open: the same body, in the next version.
func damage(t testing.TB, keys store.Keys, public bls.PublicKey) {
	t.Helper()
	item := get(t, keys, public)
	item.Version++
	if err := keys.Put(t.Context(), item); err != nil {
		t.Fatal(err)
	}
}

// sealedItems are n active keys, sealed.
func sealedItems(t testing.TB, chamber *sealer, n int) []store.Key {
	t.Helper()
	table := new(storetest.Keys)
	mustImport(t, newReplica(t, table, chamber), activeKeys(t, 0, n))
	items := make([]store.Key, n)
	for i := range items {
		items[i] = get(t, table, public(t, i))
	}
	return items
}

// fill puts items into a table, eight at once.
func fill(t testing.TB, table store.Keys, items []store.Key) {
	t.Helper()
	var next atomic.Int64
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(items); i = int(next.Add(1)) - 1 {
				if err := table.Put(context.Background(), items[i]); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
}
