package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/kms/kmstest"
)

func (s *story) disable(arn string, state kmstest.State) error {
	s.t.note("account %s: KMS key is %s", account(arn), state)
	return s.world.aws.SetState(arn, state)
}

func account(arn string) string { return strings.Split(arn, ":")[4] }

func (s *story) disableOne(ctx context.Context) error {
	if err := s.disable(thirdKey, kmstest.Disabled); err != nil {
		return err
	}
	if err := s.crash(); err != nil {
		return err
	}
	f, err := s.usable(ctx)
	if err != nil {
		return err
	}
	s.t.note("killed and started: unsealed after %v", f.unsealed)
	if err := s.shareFails(ctx, thirdKey); err != nil {
		return err
	}
	return s.signs(ctx)
}

// shareFails waits until the status names one share as broken, and no other.
func (s *story) shareFails(ctx context.Context, arn string) error {
	var shown string
	err := await(ctx, "the share of "+arn, func() (bool, error) {
		status, err := s.split.client.status(ctx)
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
	s.t.note("status: share of account %s: %s", account(arn), s.short(shown))
	return err
}

func (s *story) disableTwo(ctx context.Context) error {
	if err := s.disable(secondKey, kmstest.Disabled); err != nil {
		return err
	}
	if err := s.crash(); err != nil {
		return err
	}
	if err := s.sealedFor(ctx, "1 of 3 shares", secondKey, thirdKey, "DisabledException"); err != nil {
		return err
	}
	if err := s.unready(ctx); err != nil {
		return err
	}
	for _, arn := range []string{secondKey, thirdKey} {
		if err := s.disable(arn, kmstest.Enabled); err != nil {
			return err
		}
	}
	if _, err := s.usable(ctx); err != nil {
		return err
	}
	s.t.note("unsealed by itself, without a start")
	return s.signs(ctx)
}
