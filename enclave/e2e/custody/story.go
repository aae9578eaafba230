package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/e2e/rig"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/operator"
)

// The states of a chamber, as the status has them.
const (
	uninitialized = "uninitialized"
	sealed        = "sealed"
	unsealed      = "unsealed"
	rotating      = "awaiting_rotation"
)

// story is what has happened so far.
type story struct {
	world  *world
	t      *rig.Transcript
	split  *split // that runs; nil if none does
	tokens tokens
	config configured // in use
	image  image      // in use
	keys   []string   // public keys that are stored
	epoch  uint64     // the last vote's target
	signed uint64     // how many votes there were
	marks  []int      // how long AWS's trail was when each step began
	first  figures    // of the first start that unsealed
	took   []string   // what an operator waited for, and how long
}

// figures are how long a start took, from the start of the process.
type figures struct{ unsealed, usable time.Duration }

// step is a part of the story.
type step struct {
	title string
	tell  func(*story, context.Context) error
}

func (s *story) tell(ctx context.Context) error {
	s.epoch = rig.CurrentEpoch() - 1000 // leaves room for more votes than there are, and is not before the fork
	for _, step := range []step{
		{"A new signer has no master key, and signs nothing", (*story).startUninitialized},
		{"init: a new master key, two of three KMS keys rebuild it", (*story).initialize},
		{"chamber.id is pinned, and that configuration approved before it is rolled out", (*story).pin},
		{"Keys are imported, and sign", (*story).importKeys},
		{"kill -9, and a start with the pinned configuration: it unseals by itself", (*story).restart},
		{"One account disables its KMS key: two are enough", (*story).disableOne},
		{"Two accounts disable theirs: it stays sealed, and says which", (*story).disableTwo},
		{"An image with another PCR0 gets nothing from KMS", (*story).strangerImage},
		{"The genuine image with a hostile configuration stays sealed", (*story).hostileConfigurations},
		{"A hostile configuration names a database of the host's own", (*story).impostors},
		{"The configured database is replaced by another", (*story).otherDatabase},
		{"An upgrade: the policies allow the old and the new PCR0, then the new alone", (*story).upgradeImage},
		{"seal, until somebody unseals", (*story).sealAndUnseal},
		{"freeze: nothing that can be slashed is signed", (*story).freeze},
		{"rotate kms: all three KMS keys are needed from now on", (*story).rotateKMS},
		{"rotate master-key: every stored key is sealed anew", (*story).rotateMasterKey},
		{"backup, delete everything, restore into empty tables", (*story).restoreElsewhere},
		{"What AWS saw", (*story).showTrail},
		{"What nobody saw", (*story).showSecrecy},
	} {
		s.t.Title("%s", step.title)
		s.marks = append(s.marks, len(s.world.aws.Trail()))
		if err := step.tell(s, ctx); err != nil {
			return fmt.Errorf("%s: %w", step.title, err)
		}
	}
	s.t.Title("How long it took, on this machine and with %d keys", len(s.keys))
	s.t.Note("a start: unsealed after %v, all keys usable after %v, from the start of the process", s.first.unsealed, s.first.usable)
	for _, line := range s.took {
		s.t.Note("%s", line)
	}
	return nil
}

// begin starts an image with a configuration, in the place of what runs.
func (s *story) begin(i image, c configured) error {
	if err := s.halt(); err != nil {
		return err
	}
	var err error
	if s.split, err = s.world.startSplit(i, c); err == nil {
		s.split.client.OperatorToken = s.tokens.root
	}
	return err
}

// use is begin, for what is in use from now on.
func (s *story) use(i image, c configured) error {
	s.image, s.config = i, c
	return s.begin(i, c)
}

// halt ends what runs.
func (s *story) halt() error {
	if s.split == nil {
		return nil
	}
	running := s.split
	s.split = nil
	return running.stop()
}

// crash kills the enclave and starts it again.
func (s *story) crash() error { return errors.Join(s.split.kill(), s.split.startEnclave()) }

// explain adds what the processes wrote last.
func (s *story) explain(err error) error {
	if s.split == nil {
		return err
	}
	return rig.Explain(err, s.split.Parent, s.split.Signer)
}

// await waits until the chamber is in a state and its reason has all these words.
func (s *story) await(ctx context.Context, state string, words ...string) (status operator.Status, err error) {
	err = rig.Await(ctx, "status "+state, func() (bool, error) {
		if status, err = s.split.client.Status(ctx); err != nil {
			if s.split.ended() {
				err = errors.Join(err, fmt.Errorf("the enclave %w", rig.ErrEnded))
			}
			return false, err
		}
		for _, word := range words {
			if !strings.Contains(status.Seal.Reason, word) {
				return false, fmt.Errorf("%s: %s, without %q", status.Seal.Status, status.Seal.Reason, word)
			}
		}
		return string(status.Seal.Status) == state, fmt.Errorf("%s: %s", status.Seal.Status, status.Seal.Reason)
	})
	return status, err
}

// usable waits until the chamber is unsealed and all keys can sign. It measures from the enclave's start.
func (s *story) usable(ctx context.Context) (f figures, err error) {
	if _, err = s.await(ctx, unsealed); err != nil {
		return f, err
	}
	f.unsealed = time.Since(s.split.began).Round(10 * time.Millisecond)
	err = rig.Await(ctx, fmt.Sprintf("%d keys", len(s.keys)), func() (bool, error) {
		status, err := s.split.client.Status(ctx)
		return err == nil && status.Keys.Total == len(s.keys), errors.Join(err, fmt.Errorf("%d keys", status.Keys.Total))
	})
	f.usable = time.Since(s.split.began).Round(10 * time.Millisecond)
	return f, err
}

// signs has a key sign a vote that no key has signed before, and checks the signature.
func (s *story) signs(ctx context.Context) error {
	key := s.keys[int(s.signed)%len(s.keys)]
	request := rig.Vote(s.epoch, s.epoch+1)
	signature, err := s.split.client.Sign(ctx, key, request)
	if err != nil {
		return err
	}
	s.epoch, s.signed = s.epoch+1, s.signed+1
	if err := rig.Verify(key, request, signature); err != nil {
		return err
	}
	s.t.Note("key %s… signs a vote for epoch %d; the signature verifies", key[:10], s.epoch)
	return nil
}

// refuses makes sure that a vote is refused, with a status and in these words.
func (s *story) refuses(ctx context.Context, key string, status int, words string) error {
	_, err := s.split.client.Sign(ctx, key, rig.Vote(s.epoch, s.epoch+1))
	refusal, ok := errors.AsType[*rig.Refused](err)
	if !ok || refusal.Status != status || !strings.Contains(refusal.Message, words) {
		return fmt.Errorf("a vote: want %d %q: %w", status, words, errors.Join(err))
	}
	s.t.Note("a vote: %s", s.short(refusal.Error()))
	return nil
}

// sealedFor waits for a chamber that stays sealed for a reason, shows it, and makes sure that nothing is signed.
func (s *story) sealedFor(ctx context.Context, words ...string) error {
	status, err := s.await(ctx, sealed, words...)
	if err != nil {
		return err
	}
	s.t.Note("status: %s: %s", status.Seal.Status, s.short(status.Seal.Reason))
	if status.Keys.Total != 0 {
		return fmt.Errorf("%d keys are loaded", status.Keys.Total)
	}
	return s.refuses(ctx, s.keys[0], http.StatusServiceUnavailable, "the signer is sealed")
}
