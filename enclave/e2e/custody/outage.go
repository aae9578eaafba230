package main

import (
	"context"
	"fmt"

	"github.com/unforeseen-consequences/containment-chamber/enclave/e2e/rig"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/kms/kmstest"
)

func (s *story) disable(arn string, state kmstest.State) error {
	s.t.Note("account %s: KMS key is %s", rig.Account(arn), state)
	return s.world.aws.SetState(arn, state)
}

func (s *story) disableOne(ctx context.Context) error {
	if err := s.disable(rig.ThirdKey, kmstest.Disabled); err != nil {
		return err
	}
	if err := s.crash(); err != nil {
		return err
	}
	f, err := s.usable(ctx)
	if err != nil {
		return err
	}
	s.t.Note("killed and started: unsealed after %v", f.unsealed)
	if err := s.shareFails(ctx, rig.ThirdKey); err != nil {
		return err
	}
	return s.signs(ctx)
}

// shareFails waits until the status names one share as broken, and no other.
func (s *story) shareFails(ctx context.Context, arn string) error {
	var shown string
	err := rig.Await(ctx, "the share of "+arn, func() (bool, error) {
		status, err := s.split.client.Status(ctx)
		if err != nil || status.Seal.Chamber == nil {
			return false, err
		}
		right := len(status.Seal.Shares) > 0
		for _, share := range status.Seal.Shares {
			right = right && share.OK == (share.KeyARN != arn)
			if share.KeyARN == arn {
				shown = share.Error
			}
		}
		return right, fmt.Errorf("%+v", status.Seal.Shares)
	})
	s.t.Note("status: share of account %s: %s", rig.Account(arn), s.short(shown))
	return err
}

func (s *story) disableTwo(ctx context.Context) error {
	if err := s.disable(rig.SecondKey, kmstest.Disabled); err != nil {
		return err
	}
	if err := s.crash(); err != nil {
		return err
	}
	if err := s.sealedFor(ctx, "1 of 3 shares", rig.SecondKey, rig.ThirdKey, "DisabledException"); err != nil {
		return err
	}
	if err := s.unready(ctx); err != nil {
		return err
	}
	for _, arn := range []string{rig.SecondKey, rig.ThirdKey} {
		if err := s.disable(arn, kmstest.Enabled); err != nil {
			return err
		}
	}
	if _, err := s.usable(ctx); err != nil {
		return err
	}
	s.t.Note("unsealed by itself, without a start")
	return s.signs(ctx)
}
