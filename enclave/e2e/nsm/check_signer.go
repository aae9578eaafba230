package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/unforeseen-consequences/containment-chamber/enclave/e2e/rig"
	routes "github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/chamber"
	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
)

// signerChecks are about the signer of the same image, whose documents are signed under the development root.
func signerChecks() []check {
	return []check{
		{"the signer mixes the device's random bytes into the kernel's", stage("entropy")},
		{"the configuration comes over vsock 7001 and is measured into PCR16", stage("measurement")},
		{"the clock agrees with the device's", stage("clock")},
		{"KMS gives the database's password to this PCR0 and role, and the slashing store opens", stage("slashing")},
		{"a client of attested TLS finds PCR0, 1, 2, 3, 8 and 16 as measured, through the parent", (*story).meets},
		{"operator init: a master key, whose shares KMS opens for this image", (*story).initialize},
		{"operator import-keys: a key, stored under the master key", (*story).importKey},
		{"operator policy and token: a vote without a token is refused with 401, and a client gets one", (*story).allow},
		{"a vote is signed, and the signature verifies", (*story).signs},
		{"another vote for the same epoch is refused with 412", (*story).refusesAnother},
		{"an enclave that was cut off boots anew, unseals by itself, and signs the same vote", (*story).again},
	}
}

// stage is a check that the enclave has come to the end of one.
func stage(name string) func(*story, context.Context) error {
	return func(s *story, ctx context.Context) error {
		_, err := s.awaitLine(ctx, "stage done", `"stage":"`+name+`"`)
		return err
	}
}

// policy allows the image of the guest, with the configuration, in the role.
func (s *story) policy() (attestation.Policy, error) {
	registers := attestation.Measurements{16: s.pcr16}
	for i, text := range map[int]string{
		0: s.world.guest.pcrs["PCR0"], 1: s.world.guest.pcrs["PCR1"], 2: s.world.guest.pcrs["PCR2"], 3: s.facts.PCRs["3"],
		8: s.world.guest.pcrs["PCR8"],
	} {
		value, err := attestation.ParsePCR(text)
		if err != nil {
			return attestation.Policy{}, fmt.Errorf("PCR%d: %w", i, err)
		}
		registers[i] = value
	}
	return attestation.Policy{Sets: []attestation.Set{{Label: "this image", PCRs: registers}}}, nil
}

func (s *story) policyFile() string { return s.world.path("policy.yaml") }

func (s *story) meets(ctx context.Context) error {
	policy, err := s.policy()
	if err != nil {
		return err
	}
	if err := rig.WritePolicy(s.policyFile(), policy); err != nil {
		return err
	}
	if s.client, err = rig.NewClient(s.world.ports.API, policy, s.world.root.Certificate); err != nil {
		return err
	}
	if _, err := s.awaitLine(ctx, "stage done", `"stage":"listeners"`); err != nil {
		return err
	}
	if _, err := s.client.Handshake(ctx); err != nil {
		return err
	}
	other := policy
	other.Sets = []attestation.Set{{Label: "another image", PCRs: attestation.Measurements{0: s.pcr16}}}
	stranger, err := rig.NewClient(s.world.ports.API, other, s.world.root.Certificate)
	if err != nil {
		return err
	}
	defer stranger.Close()
	if _, err := stranger.Handshake(ctx); err == nil || !strings.Contains(err.Error(), "PCR0") {
		return fmt.Errorf("a client that wants another PCR0: %w", errors.Join(err))
	}
	unnamed, err := rig.NewClient(s.world.ports.API, policy, nil)
	if err != nil {
		return err
	}
	defer unnamed.Close()
	if _, err := unnamed.Handshake(ctx); err == nil {
		return errors.New("a client that knows AWS's root alone accepts it")
	}
	return nil
}

func (s *story) operator(ctx context.Context, out any, args ...string) error {
	return rig.Operator{
		Binary: s.world.binary("containment-chamber"), SignerURL: s.client.URL, Policy: s.policyFile(), Root: s.world.rootFile(),
		SetupToken: s.tokens.setup, RootToken: s.tokens.root,
	}.Run(ctx, out, args...)
}

func (s *story) initialize(ctx context.Context) error {
	var done routes.Initialized
	if err := s.operator(ctx, &done, "init", "--kms-threshold", "2", "--kms-key-arns", strings.Join(rig.ShareKeys(), ",")); err != nil {
		return err
	}
	s.tokens.root, s.client.OperatorToken = done.RootToken, done.RootToken
	if done.Status != "unsealed" || done.ChamberID == "" {
		return fmt.Errorf("init: %+v", done.Done)
	}
	s.note("chamber %s", done.ChamberID)
	return nil
}

// allow makes the policy and the token of a validator client, without which an enclave signs nothing.
func (s *story) allow(ctx context.Context) error {
	if _, err := s.client.Sign(ctx, s.key, rig.Vote(1, 2)); !unauthenticated(err) {
		return fmt.Errorf("a vote without a token: want 401: %w", errors.Join(err))
	}
	if err := s.operator(ctx, nil, "policy", "create", "validators", "--scopes", "sign"); err != nil {
		return err
	}
	var made routes.ClientToken
	if err := s.operator(ctx, &made, "token", "create", "client", "--policies", "validators"); err != nil {
		return err
	}
	s.client.Token = made.Secret
	return nil
}

func unauthenticated(err error) bool {
	refusal, ok := errors.AsType[*rig.Refused](err)
	return ok && refusal.Status == http.StatusUnauthorized
}

func (s *story) importKey(ctx context.Context) (err error) {
	if s.key, err = rig.MakeKeystore(s.world.path("keys")); err != nil {
		return err
	}
	var done rig.Imported
	if err := s.operator(ctx, &done, "import-keys", s.world.path("keys")); err != nil {
		return err
	}
	if done.Imported != 1 {
		return fmt.Errorf("%+v", done)
	}
	return nil
}

func (s *story) signs(ctx context.Context) (err error) {
	epoch := rig.CurrentEpoch()
	s.vote = rig.Vote(epoch-1, epoch)
	if s.signed, err = s.client.Sign(ctx, s.key, s.vote); err != nil {
		return err
	}
	return rig.Verify(s.key, s.vote, s.signed)
}

func (s *story) refusesAnother(ctx context.Context) error {
	epoch := rig.CurrentEpoch()
	_, err := s.client.Sign(ctx, s.key, rig.Vote(epoch-2, epoch))
	if refusal, ok := errors.AsType[*rig.Refused](err); !ok || refusal.Status != http.StatusPreconditionFailed {
		return fmt.Errorf("want 412: %w", errors.Join(err))
	}
	return nil
}

func (s *story) again(ctx context.Context) error {
	s.client.Close()
	if err := s.boot(s.world.guest); err != nil {
		return err
	}
	if _, err := s.machine.facts(ctx); err != nil {
		return err
	}
	if err := stage("listeners")(s, ctx); err != nil {
		return err
	}
	err := rig.Await(ctx, "the key", func() (bool, error) {
		status, err := s.client.Status(ctx)
		return err == nil && status.Keys.Total == 1, errors.Join(err, fmt.Errorf("%s: %s", status.Seal.Status, status.Seal.Reason))
	})
	if err != nil {
		return err
	}
	signature, err := s.client.Sign(ctx, s.key, s.vote)
	if err != nil {
		return err
	}
	if signature != s.signed {
		return errors.New("it signs otherwise than before")
	}
	return nil
}
