// Package chambertest runs a chamber and its calls in memory, for tests.
package chambertest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api"
	routes "github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/chamber"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/diagnostics"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/operator"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/auth"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/chamber"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keygen"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keystore"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keystore/filesystem"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keystore/fresh"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keystore/intake"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keystore/stored"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store/storetest"
)

// SlashingStore is the identity of the slashing store.
const SlashingStore = "5ab0a2a6b8ce4bd9a3d9e4f2ce0d1b4a"

// ARN is the n-th KMS key, each of its own account.
func ARN(n int) string {
	return fmt.Sprintf("arn:aws:kms:eu-central-1:%012d:key/00000000-0000-0000-0000-%012d", n, n)
}

// ARNs are those with these numbers.
func ARNs(numbers ...int) (all []string) {
	for _, n := range numbers {
		all = append(all, ARN(n))
	}
	return all
}

// World is what replicas share. The zero World is empty.
type World struct {
	KMS   KMS
	State storetest.State
	Table storetest.Keys
	// Recipients are those of the backups of new keys.
	Recipients []string
	// OnPut is called before each write of a key, by many at once, and its error stands for the write's; nil is not called.
	OnPut func() error
}

// table is the one of a world.
type table struct {
	*storetest.Keys

	world *World
}

// Put implements store.Keys, for callers who are still there.
func (t table) Put(ctx context.Context, key store.Key) error {
	if t.world.OnPut != nil {
		if err := t.world.OnPut(); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return t.Keys.Put(ctx, key)
}

// Signer is one replica: a chamber that may have the KMS keys 1 to 5, a source of stored keys, and their routes. It reads the signer state
// before operations alone.
type Signer struct {
	Chamber  *chamber.Chamber
	Policies *auth.Policies
	Stored   *stored.Source
	Keys     *keystore.Keystore
	Importer *intake.Keys
	Maker    *fresh.Maker
	Handler  http.Handler
}

// Signer makes a replica. With may change the options of the chamber and of the calls.
func (w *World) Signer(log *zap.Logger, with func(*chamber.Options, *routes.Options)) (*Signer, error) {
	slashingStore := func(context.Context) (string, error) { return SlashingStore, nil }
	of := chamber.Options{
		State: &w.State, KMS: &w.KMS, AllowedKeys: ARNs(1, 2, 3, 4, 5), SlashingStore: slashingStore, Log: log, Registry: prometheus.NewRegistry(),
	}
	to := routes.Options{KMSKeyARNs: of.AllowedKeys, SlashingStore: slashingStore, Log: log}
	if with != nil {
		with(&of, &to)
	}
	s := &Signer{Keys: keystore.New()}
	var err error
	if s.Chamber, err = chamber.New(of); err != nil {
		return nil, err
	}
	_ = s.Chamber.Refresh(context.Background()) // what keeps it sealed is in its status
	if s.Stored, err = stored.New(stored.Options{
		Keys: table{&w.Table, w}, Sealer: s.Chamber, Keystore: s.Keys, Overhead: chamber.Overhead, Statuses: []store.Status{store.Active}, Readers: 4, Log: log, Registry: prometheus.NewRegistry(),
		Closed: func(err error) bool { return errors.Is(err, chamber.ErrSealed) || errors.Is(err, chamber.ErrStale) },
	}); err != nil {
		return nil, err
	}
	opener := intake.New(s.Stored, filesystem.NewKDFMemory(100, 1<<30))
	s.Importer = intake.NewKeys(opener, s.Keys, true)
	s.Policies, err = auth.New(auth.Options{Open: true, Keeper: routes.Keeper{Chamber: s.Chamber}, Log: log, Registry: prometheus.NewRegistry()})
	if err != nil {
		return nil, err
	}
	limits, err := api.NewLimits(api.DefaultRequests, prometheus.NewRegistry())
	if err != nil {
		return nil, err
	}
	limits.Identify(s.Policies.Identify, time.Millisecond)
	to.Policies = s.Policies
	to.Chamber, to.Reencrypt, to.Changer, to.Lister = s.Chamber, s.Stored.Reencrypt, s.Stored, s.Stored
	to.Importer, to.Holder = s.Importer, intake.NewKeys(opener, s.Keys, false)
	generator, err := keygen.New(w.Recipients)
	if err != nil {
		return nil, err
	}
	s.Maker = fresh.New(generator, s.Stored)
	to.Generator = s.Maker
	if to.Network, err = eth2.NetworkByName("hoodi"); err != nil {
		return nil, err
	}
	to.Sections = []chamber.Section{routes.StoredKeys(s.Stored)}
	mux := http.NewServeMux()
	routes.New(to).Register(mux)
	operator.New(operator.Options{
		Seal: func() operator.Seal { return operator.SealOf(s.Chamber.Status()) },
		Keys: func() map[string]int { return nil },
	}).Register(mux)
	diagnostics.New(diagnostics.Options{
		Level: func() diagnostics.Level { return diagnostics.Level{Level: "info", Configured: "info"} },
		SetLevel: func(level string, d time.Duration, _ string) diagnostics.Level {
			return diagnostics.Level{Level: level, Configured: "info", Until: time.Now().Add(d)}
		},
		Log: log,
	}).Register(mux)
	s.Handler = limits.Identified(api.Routes(mux))
	return s, nil
}
