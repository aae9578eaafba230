package app

import (
	"fmt"

	operators "github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/chamber"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keygen"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keystore/fresh"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keystore/intake"
)

// keyCalls sets what the calls to stored keys work on, as far as they are switched on.
func (s *signer) keyCalls(o *operators.Options) error {
	c := s.cfg.Chamber.Keys
	o.Lister = s.stored
	o.List.MaxRequests = c.List.MaxRequests
	if c.Import.Enabled {
		o.Importer, o.Holder = intake.NewKeys(s.intake, s.keys.store, true), intake.NewKeys(s.intake, s.keys.store, false)
		o.Import = operators.Bound{MaxItems: c.Import.MaxItems, MaxRequests: c.Import.MaxRequests, Timeout: c.Import.RequestTimeout}
	}
	if c.Lifecycle.Enabled {
		o.Changer = s.stored
		o.Lifecycle = operators.Bound{MaxItems: c.Lifecycle.MaxItems, MaxRequests: c.Lifecycle.MaxRequests, Timeout: c.Lifecycle.RequestTimeout}
	}
	if !c.Generate.Enabled {
		return nil
	}
	generator, err := keygen.New(c.Generate.Backup.Recipients)
	if err != nil {
		return fmt.Errorf("chamber.keys.generate.backup: %w", err)
	}
	if o.Network, err = NetworkOf(s.cfg); err != nil {
		return err
	}
	o.Generator = fresh.New(generator, s.stored)
	o.Generate = operators.Bound{MaxItems: c.Generate.MaxItems, MaxRequests: c.Generate.MaxRequests, Timeout: c.Generate.RequestTimeout}
	return nil
}
