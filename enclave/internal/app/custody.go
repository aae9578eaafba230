package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"

	"go.uber.org/zap"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api"
	operators "github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/chamber"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/health"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/chamber"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keystore"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keystore/stored"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/kms"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/nsm"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
	"github.com/unforeseen-consequences/containment-chamber/shared/atls"
	"github.com/unforeseen-consequences/containment-chamber/shared/wire"
)

// openChamber opens the signer state, and has the chamber rebuild the master key by itself. The start does not wait for it: an operator
// reaches a sealed signer.
func (s *signer) openChamber(ctx context.Context) error {
	if s.cfg.SignerState.Backend == "" {
		return nil
	}
	open, err := pick("signer_state.backend", s.cfg.SignerState.Backend, "signer state", s.backends.State)
	if err != nil {
		return err
	}
	state, err := open(ctx, s.cfg.SignerState, s.dial())
	if err != nil {
		return err
	}
	s.house.onStop("signer state", state.Close)
	first, err := kms.ParseARN(s.cfg.Chamber.KMSKeyARNs[0])
	if err != nil {
		return fmt.Errorf("chamber.kms_key_arns: %w", err)
	}
	client, err := s.openKMS(ctx, first.Region())
	if err != nil {
		return err
	}
	s.chamber, err = chamber.New(s.chamberOptions(state, client))
	if err != nil {
		return err
	}
	if token := s.chamber.SetupToken(); token != "" {
		if exists, err := chamber.Exists(ctx, state); err != nil {
			return err
		} else if !exists {
			s.log.Warn("Setup token generated (save securely, one-time use)", zap.String("setup_token", token), zap.Duration("lifetime", chamber.SetupTokenLifetime))
		}
	}
	s.house.start("chamber", s.chamber.Run)
	return nil
}

func (s *signer) chamberOptions(state store.State, client *kms.Client) chamber.Options {
	c := s.cfg.Chamber
	o := chamber.Options{
		State: state, KMS: client, AllowedKeys: c.KMSKeyARNs, Threshold: c.KMSThreshold, PinnedID: c.ID, Wrap: chamber.WrapDataKey,
		SlashingStore:   s.slashingStore,
		RefreshInterval: s.cfg.SignerState.RefreshInterval, CheckInterval: c.ShareCheckInterval,
		SetupTokenSHA256: c.SetupTokenSHA256, Log: s.log.Named("chamber"), Registry: s.registry,
	}
	if c.Wrap == "encrypt" {
		o.Wrap = chamber.WrapEncrypt
	}
	if s.device != nil {
		o.ConfigDigest = hex.EncodeToString(s.digest[:])
	}
	return o
}

// slashingStore is the identity of the slashing store, "" if it has none.
func (s *signer) slashingStore(ctx context.Context) (string, error) {
	if s.ledger == nil {
		return "", nil
	}
	id, err := s.ledger.Identify(ctx)
	return id.ID, err
}

// openKMS makes the client of KMS, which in an enclave asks with this enclave's attestation document. Credentials, if there are none yet, come from
// the region's STS.
func (s *signer) openKMS(ctx context.Context, region string) (*kms.Client, error) {
	if s.kms != nil {
		return s.kms, nil
	}
	c := s.cfg.Chamber
	cas, err := c.CAs()
	if err == nil && s.inEnclave() { // the configuration was checked; what else answered as KMS could misuse this enclave's documents
		err = c.TrustedKMSHost(region)
	}
	if err != nil {
		return nil, err
	}
	credentials, err := s.backends.Credentials(ctx, region, s.dial())
	if err != nil {
		return nil, fmt.Errorf("KMS: %w", err)
	}
	o := kms.Options{Credentials: credentials, Dial: s.dial(), RootCAs: cas, Endpoint: c.Endpoint}
	if s.device != nil {
		o.Attest = s.attestToKMS
	}
	if s.kms, err = kms.New(o); err != nil {
		return nil, err
	}
	s.house.start("KMS", s.kms.Run)
	return s.kms, nil
}

// attestToKMS makes a document that KMS encrypts to the public key of.
func (s *signer) attestToKMS(ctx context.Context, publicKey []byte) ([]byte, error) {
	userData, err := atls.Binding{Purpose: atls.PurposeKMS, SPKI: sha256.Sum256(publicKey), Config: s.digest, Build: wire.Release}.Marshal()
	if err != nil {
		return nil, err
	}
	return s.device.Attest(ctx, nsm.Attestation{UserData: userData, PublicKey: publicKey})
}

// openStored opens the table of stored keys, and loads them whenever the chamber is unsealed.
func (s *signer) openStored(ctx context.Context) error {
	sources := s.cfg.KeySources
	if !sources.Stored() {
		return nil
	}
	key, backend := "key_sources.database", s.cfg.SignerState.Backend
	o := stored.Options{
		Sealer: s.chamber, Keystore: s.keys.store, Closed: chamber.Closed, Overhead: chamber.Overhead, Readers: 1, RefreshInterval: sources.Database.RefreshInterval,
		Log: s.log.Named("keystore"), Failures: s.keys.failures.WithLabelValues(keystore.Stored.String()), Registry: s.registry,
	}
	filter := sources.Database.StatusFilter
	if sources.DynamoDB.Table != "" {
		key, backend, filter = "key_sources.dynamodb", "dynamodb", sources.DynamoDB.StatusFilter
		o.Readers, o.RefreshInterval = sources.DynamoDB.MaxConcurrentReads, sources.DynamoDB.RefreshInterval
	}
	for _, text := range filter {
		status, err := store.ParseStatus(text)
		if err != nil {
			return fmt.Errorf("%s.status_filter: %w", key, err)
		}
		o.Statuses = append(o.Statuses, status)
	}
	open, err := pick(key, backend, "stored keys", s.backends.Keys)
	if err != nil {
		return err
	}
	if o.Keys, err = open(ctx, s.cfg, s.dial()); err != nil {
		return err
	}
	s.house.onStop("stored keys", o.Keys.Close)
	if s.stored, err = stored.New(o); err != nil {
		return err
	}
	s.house.start("stored keys", s.stored.Run)
	s.house.start("custody of stored keys", s.followChamber)
	return nil
}

// followChamber loads the stored keys whenever there is a master key that they were not loaded with, and drops them when there is none.
func (s *signer) followChamber(ctx context.Context) error {
	defer s.stored.Drop()
	loaded := ""
	for {
		changed := s.chamber.Changed()
		switch id := s.chamber.Unsealed(); {
		case id == "":
			if loaded != "" {
				s.stored.Drop()
			}
			loaded = ""
		case id != loaded:
			loaded = id
			s.loadStored(ctx, id)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil
		}
	}
}

// loadStored loads the stored keys, and gives up as soon as the master key is another: who seals does not wait for a slow table.
func (s *signer) loadStored(ctx context.Context, id string) {
	ctx, cancel := context.WithCancel(ctx)
	var watching sync.WaitGroup
	watching.Go(func() {
		for {
			changed := s.chamber.Changed()
			if s.chamber.Unsealed() != id {
				cancel()
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
		}
	})
	if err := s.stored.Load(ctx); err != nil && ctx.Err() == nil {
		s.log.Error("stored keys are not loaded yet: tried again", zap.Error(err))
	}
	cancel()
	watching.Wait()
}

// custody is what the signing path and the list of keys ask of the chamber and its keys.
type custody struct {
	*chamber.Chamber
	stored *stored.Source // nil without stored keys
}

// Missing implements signing.Custody.
func (c custody) Missing() error {
	if c.stored == nil || c.stored.Status().Loaded {
		return nil
	}
	return errNotLoaded
}

var errNotLoaded = errors.New("the stored keys are not loaded yet")

// listed returns why the list of keys is not whole.
func (c custody) listed() error {
	if err := c.Sealed(); err != nil {
		return err
	}
	return c.Missing()
}

// storedChecks are those of the stored keys: that this replica has them, and that the table, which all replicas share, answers.
func (s *signer) storedChecks() []health.Check {
	return []health.Check{
		{ID: "stored-keys", Replica: true, Probe: func(context.Context) (map[string]any, error) {
			status := s.stored.Status()
			data := map[string]any{"keys-loaded": status.Keys, "unusable": status.Unusable}
			if !status.Loaded {
				return data, errNotLoaded
			}
			return data, nil
		}},
		{ID: "key-table", Probe: func(ctx context.Context) (map[string]any, error) { return nil, s.stored.Check(ctx) }},
	}
}

// chamberCheck is the master key's part of /healthcheck and /readyz.
func (s *signer) chamberCheck() health.Check {
	return health.Check{ID: "chamber", Replica: true, Probe: func(context.Context) (map[string]any, error) {
		return map[string]any{"state": s.chamber.Status().State.String()}, s.chamber.Ready()
	}}
}

// serveChamber adds the operators' routes to the chamber, if there is one.
func (s *signer) serveChamber(mux api.Router) error {
	if s.chamber == nil {
		return nil
	}
	o := operators.Options{
		Chamber: s.chamber, Policies: s.policies, KMSKeyARNs: s.cfg.Chamber.KMSKeyARNs, KMSThreshold: s.cfg.Chamber.KMSThreshold,
		SlashingStore: s.slashingStore, Log: s.log.Named("chamber"),
	}
	if s.stored != nil {
		o.Reencrypt, o.Sections = s.stored.Reencrypt, []chamber.Section{operators.StoredKeys(s.stored)}
		if err := s.keyCalls(&o); err != nil {
			return err
		}
	}
	operators.New(o).Register(mux)
	return nil
}
