package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/e2e/rig"
	routes "github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/chamber"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/chamber"
)

func (s *story) startUninitialized(ctx context.Context) error {
	var made rig.SetupToken
	if err := s.operator(ctx, &made, "setup-token"); err != nil {
		return err
	}
	s.tokens.setup = made.Token
	s.t.Note("chamber.setup_token_sha256: %s…", made.SHA256[:16])
	c, err := s.world.configure("first", settings{
		SetupTokenSHA256: made.SHA256, StateTable: stateTable, KeyTable: keyTable, Database: slashingDatabase,
	})
	if err != nil {
		return err
	}
	if err := s.use(s.world.images[genuine], c); err != nil {
		return err
	}
	status, err := s.await(ctx, uninitialized)
	if err != nil {
		return err
	}
	s.t.Note("status: %s", status.Seal.Status)
	s.t.Note("the database's password came out of KMS for PCR0 %s…, the role's credentials by the parent", s.image.pcr0[:16])
	if s.keys, err = s.world.makeKeystores(); err != nil {
		return err
	}
	if err := s.refuses(ctx, s.keys[0], http.StatusServiceUnavailable, ""); err != nil {
		return err
	}
	return s.unready(ctx)
}

// unready makes sure that /readyz says why.
func (s *story) unready(ctx context.Context) error {
	code, body, err := s.split.client.Send(ctx, http.MethodGet, "/readyz", nil)
	if err != nil || code != http.StatusServiceUnavailable || !strings.Contains(string(body), `"chamber"`) {
		return errors.Join(fmt.Errorf("/readyz: %d %s", code, body), err)
	}
	s.t.Note("/readyz: %d", code)
	return nil
}

func (s *story) initialize(ctx context.Context) error {
	args := []string{"init", "--kms-threshold", "2", "--kms-key-arns", strings.Join(rig.ShareKeys(), ",")}
	right := s.tokens.setup
	s.tokens.setup = chamber.NewSetupToken(time.Now().Add(time.Hour))
	text, err := refusedWith(s.operator(ctx, nil, args...), "status 401")
	if err != nil {
		return err
	}
	s.t.Note("with another setup token: %s", text)
	s.tokens.setup = right
	var done routes.Initialized
	if err := s.operator(ctx, &done, args...); err != nil {
		return err
	}
	s.tokens.root, s.split.client.OperatorToken = done.RootToken, done.RootToken
	s.t.Note("chamber %s is %s; the root token is shown once", done.ChamberID, done.Status)
	if done.Status != unsealed || done.ChamberID == "" || done.RootToken == "" {
		return fmt.Errorf("init: %+v", done.Done)
	}
	s.config.ChamberID = done.ChamberID // of the next configuration
	text, err = refusedWith(s.operator(ctx, nil, args...), "status 401")
	s.t.Note("again with the same setup token: %s", text)
	return err
}

// pin approves the configuration with chamber.id, which the next start has.
func (s *story) pin(ctx context.Context) error {
	c, err := s.world.configure("pinned", s.config.settings)
	if err != nil {
		return err
	}
	return s.approve(ctx, c, "pinned")
}

// approve has the running signer approve a configuration, which is in use from the next start on.
func (s *story) approve(ctx context.Context, c configured, label string) error {
	before, err := s.split.client.Status(ctx)
	if err != nil {
		return err
	}
	if err := s.operator(ctx, nil, "approve-config", "--config", c.enclave, "--label", label); err != nil {
		return err
	}
	after, err := s.split.client.Status(ctx)
	if err != nil {
		return err
	}
	if len(after.Seal.ApprovedConfigs) != len(before.Seal.ApprovedConfigs)+1 {
		return fmt.Errorf("approved are %+v", after.Seal.ApprovedConfigs)
	}
	for _, a := range after.Seal.ApprovedConfigs {
		s.t.Note("approved: %s… %s", a.Digest[:16], a.Label)
	}
	s.config = c
	return nil
}

func (s *story) importKeys(ctx context.Context) error {
	var done rig.Imported
	for _, want := range [][2]int{{len(s.keys), 0}, {0, len(s.keys)}} {
		if want[0] == 0 && len(s.keys) > 1000 {
			break // once is enough
		}
		if err := s.operator(ctx, &done, "import-keys", s.world.path("keys")); err != nil {
			return err
		}
		s.t.Note("%d imported, %d stored before, %d failed", done.Imported, done.Duplicates, len(done.Errors))
		if [2]int{done.Imported, done.Duplicates} != want {
			return fmt.Errorf("want %d imported and %d stored before", want[0], want[1])
		}
	}
	if _, err := s.usable(ctx); err != nil {
		return err
	}
	if err := s.signs(ctx); err != nil {
		return err
	}
	s.epoch-- // to ask for another vote for the same epoch
	key := s.keys[int(s.signed-1)%len(s.keys)]
	other := rig.Vote(s.epoch-1, s.epoch+1)
	_, err := s.split.client.Sign(ctx, key, other)
	s.epoch++
	refusal, ok := errors.AsType[*rig.Refused](err)
	if !ok || refusal.Status != http.StatusPreconditionFailed {
		return fmt.Errorf("a second vote for the same epoch: want 412: %w", errors.Join(err))
	}
	s.t.Note("another vote for the same epoch: %s", s.short(refusal.Error()))
	return nil
}

func (s *story) restart(ctx context.Context) error {
	if err := s.split.kill(); err != nil {
		return err
	}
	s.t.Note("the enclave was killed; parent and enclave start with %s", s.shown([]string{s.config.parent}))
	s.split.client.Close()
	running := s.split
	s.split = nil
	if err := running.Parent.Terminate(); err != nil {
		return err
	}
	if err := s.use(s.image, s.config); err != nil {
		return err
	}
	var err error
	if s.first, err = s.usable(ctx); err != nil {
		return err
	}
	s.t.Note("unsealed %v after the start, %d keys usable after %v; nobody did anything", s.first.unsealed, len(s.keys), s.first.usable)
	return s.signs(ctx)
}
