package app

import (
	"fmt"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/keymanager"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keystore/intake"
)

// serveKeyManager adds the Key Manager API's routes, if they are asked for.
func (s *signer) serveKeyManager(mux api.Router) error {
	c := s.cfg.HTTP.KeyManagerAPI
	if !c.Enabled {
		return nil
	}
	network, err := NetworkOf(s.cfg)
	if err != nil {
		return err
	}
	o := keymanager.Options{
		Keys:    intake.NewKeys(s.intake, s.keys.store, c.Persist),
		Network: network, Ledger: s.ledger, Check: s.guard.Check, KnownOnly: s.cfg.AntiSlashing.UnknownKeys == "refuse",
		MaxReads: c.MaxConcurrentReads, MaxWrites: c.MaxConcurrentWrites, MaxItems: c.MaxItems, Timeout: c.RequestTimeout,
		Log: s.log.Named("keymanager"),
	}
	if s.chamber != nil {
		o.Missing = custody{s.chamber, s.stored}.listed
	}
	if c.Persist {
		const key = "http.key_manager_api.persist"
		if s.stored == nil {
			return fmt.Errorf("%s: needs stored keys: key_sources.dynamodb.table or key_sources.database.enabled", key)
		}
		interval := s.cfg.KeySources.Database.RefreshInterval
		if s.cfg.KeySources.DynamoDB.Table != "" {
			interval = s.cfg.KeySources.DynamoDB.RefreshInterval
		}
		if interval == 0 {
			return fmt.Errorf("%s: needs a refresh_interval_seconds above 0: other replicas would sign on with a key whose record is handed out", key)
		}
		o.Settle = 2 * interval // one may be under way at another replica that began before the deletion
		if o.Settle > c.RequestTimeout {
			return fmt.Errorf("%s: a deletion waits for twice refresh_interval_seconds (%s), until all replicas have followed, and a request may take %s: make the interval shorter or request_timeout_seconds longer",
				key, interval, c.RequestTimeout)
		}
	}
	keymanager.New(o).Register(mux)
	return nil
}
