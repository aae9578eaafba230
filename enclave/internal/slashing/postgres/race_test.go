package postgres_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
)

// TestTwoSigners: two stores, each with a pool of its own, take groups that conflict in every key. Each key gets one vote.
func TestTwoSigners(t *testing.T) {
	database := newDatabase(t)
	stores := []slashing.Ledger{open(t, options(database)), open(t, options(database))}
	const rounds, keys = 20, 64
	for round := range uint64(rounds) {
		var recorded [keys]atomic.Int32
		var voting sync.WaitGroup
		for signer, s := range stores {
			for half := range 2 {
				voting.Go(func() {
					claims := make([]slashing.Claim, 0, keys)
					for i := range keys {
						at := i
						if half == 1 { // in the opposite order
							at = keys - 1 - i
						}
						vote := slashing.Attestation{Source: round, Target: round + 1, Root: eth2.Root{byte(2*signer + half)}}
						claims = append(claims, slashing.Claim{Key: bls.PublicKey{byte(at)}, Vote: vote})
					}
					outcomes, err := s.Advance(t.Context(), claims)
					if err != nil {
						t.Error(err)
						return
					}
					for i, o := range outcomes {
						if o.Err != nil {
							t.Error(o.Err)
						} else if o.Standing == claims[i].Vote {
							recorded[claims[i].Key[0]].Add(1)
						}
					}
				})
			}
		}
		voting.Wait()
		for key := range recorded {
			if n := recorded[key].Load(); n != 1 {
				t.Errorf("round %d, key %d: %d votes recorded, want 1", round, key, n)
			}
		}
	}
}

// attestation is a request for a vote whose signing root depends on who asks.
func attestation(target uint64, who int) *eth2.AttestationRequest {
	return eth2.NewAttestation(eth2.ForkInfo{}, eth2.AttestationData{
		BeaconBlockRoot: eth2.Root{byte(who), byte(who >> 8)}, Target: eth2.Checkpoint{Epoch: target},
	})
}

// TestGuards: 64 callers at each of two signers ask for conflicting votes of the same keys. Each vote goes to exactly one.
func TestGuards(t *testing.T) {
	database := newDatabase(t)
	const rounds, callers = 8, 64
	guards := make([]*slashing.Guard, 2)
	for i := range guards {
		guards[i] = slashing.NewGuard(open(t, options(database)), 5*time.Second)
	}
	for round := range rounds {
		var winners [4]atomic.Int32
		var voting sync.WaitGroup
		for caller := range 2 * callers {
			voting.Go(func() {
				key := caller / 2 % len(winners)
				_, err := guards[caller%2].Permit(context.WithoutCancel(t.Context()), bls.PublicKey{byte(key)}, attestation(uint64(round+1), caller))
				switch {
				case err == nil:
					winners[key].Add(1)
				case !errors.Is(err, slashing.ErrRefused):
					t.Errorf("caller %d: %v", caller, err)
				}
			})
		}
		voting.Wait()
		for key := range winners {
			if n := winners[key].Load(); n != 1 {
				t.Errorf("round %d, key %d: %d permits for conflicting votes, want 1", round, key, n)
			}
		}
	}
}
