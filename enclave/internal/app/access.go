package app

import (
	"context"

	"go.uber.org/zap"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api"
	operators "github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/chamber"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/auth"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/config"
)

// openAccess makes the policies by which callers are known. Before, nobody may do anything.
func (s *signer) openAccess(context.Context) error {
	o := auth.Options{
		Open: s.cfg.Auth.Mode == "open", OpenExits: s.cfg.Auth.OpenExits, Log: s.log.Named("auth"), Registry: s.registry,
	}
	if s.chamber != nil {
		o.Keeper = operators.Keeper{Chamber: s.chamber}
	}
	if path := s.cfg.Auth.PolicyFile; path != "" {
		var err error
		if o.File, err = auth.OpenFile(path, config.Variable, o.Log); err != nil {
			return err
		}
		s.house.start("policy file", o.File.Run)
	}
	var err error
	if s.policies, err = auth.New(o); err != nil {
		return err
	}
	s.limits.Identify(s.policies.Identify, api.Penalty)
	s.log.Info("callers are known by policies", zap.String("auth_mode", s.cfg.Auth.Mode), zap.Bool("open_exits", s.cfg.Auth.OpenExits),
		zap.Bool("policy_file", o.File != nil), zap.Bool("chamber", o.Keeper != nil))
	return nil
}
