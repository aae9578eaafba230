package signing

import (
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/problem"
)

// check refuses what needs neither key nor record to be refused.
func (s *Signer) check(req eth2.Request) error {
	if err := s.sealed(); err != nil {
		return err
	}
	if err := s.checkNetwork(req); err != nil {
		return err
	}
	return s.checkFuture(req)
}

// checkNetwork refuses what belongs to another chain. Kinds without a chain pass.
func (s *Signer) checkNetwork(req eth2.Request) error {
	root, ok := req.ValidatorsRoot()
	if !ok || root == s.network.ValidatorsRoot {
		return nil
	}
	return problem.New(problem.Forbidden, "genesis validators root 0x%x is not that of network %s, 0x%x",
		root, s.network.Name, s.network.ValidatorsRoot)
}

// checkFuture refuses votes that are further ahead than the clock and the options allow: recorded, they would refuse
// all that the key is to sign until then.
func (s *Signer) checkFuture(req eth2.Request) error {
	current, ok := s.network.EpochAt(s.now())
	if s.future == 0 || !ok {
		return nil
	}
	var what string
	var epoch uint64
	switch r := req.(type) {
	case *eth2.AttestationRequest:
		what, epoch = "target epoch", r.Target
	case *eth2.BlockRequest:
		what, epoch = "epoch of the slot", s.network.EpochOf(r.Slot)
	default:
		return nil
	}
	if epoch <= current || epoch-current <= s.future {
		return nil
	}
	return problem.New(problem.Forbidden, "%s %d is ahead of the current epoch %d by more than %d (anti_slashing.max_future_epochs)",
		what, epoch, current, s.future)
}
