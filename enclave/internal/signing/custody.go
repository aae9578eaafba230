package signing

import (
	"errors"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keystore"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/problem"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/secret"
)

// Custody says what may be done with the keys that are loaded. Its answers are there at once.
type Custody interface {
	// Sealed returns why nothing may be signed; nil if it may.
	Sealed() error
	// Missing returns why keys may not be loaded yet that will be; nil if all are there.
	Missing() error
	// Frozen says that a key must not sign what can be slashed.
	Frozen(public [48]byte) bool
}

// sealed refuses everything while the master key is not there, keys that do not need it too: sealing is how operators stop a signer.
func (s *Signer) sealed() error {
	if s.custody == nil {
		return nil
	}
	if err := s.custody.Sealed(); err != nil {
		return problem.Wrap(problem.Sealed, err, "the signer is sealed")
	}
	return nil
}

// find returns a key that may sign a request of its kind.
func (s *Signer) find(public bls.PublicKey, req eth2.Request) (*keystore.Key, error) {
	key, err := s.keys.Find(public)
	if err != nil && s.custody != nil {
		if missing := s.custody.Missing(); missing != nil { // a client that hears of an unknown key gives it up
			return nil, problem.Wrap(problem.Sealed, missing, "the keys are being loaded")
		}
	}
	if err != nil {
		return nil, err
	}
	if err := s.frozen(public, req); err != nil {
		return nil, err
	}
	return key, nil
}

// frozen refuses what can be slashed to a key that an operator has frozen.
func (s *Signer) frozen(public bls.PublicKey, req eth2.Request) error {
	if s.custody == nil || !slashable(req) || !s.custody.Frozen(public) {
		return nil
	}
	return problem.New(problem.Forbidden, "key %s is frozen by an operator: it signs no block and no attestation", public)
}

// halted asks again, when a vote is on record, whether an operator has sealed or frozen meanwhile: the record may have taken as long as the
// host wanted. A vote on record that is not signed harms nobody.
func (s *Signer) halted(public bls.PublicKey, req eth2.Request) error {
	if err := s.sealed(); err != nil {
		return err
	}
	return s.frozen(public, req)
}

func slashable(req eth2.Request) bool {
	switch req.(type) {
	case *eth2.AttestationRequest, *eth2.BlockRequest:
		return true
	default:
		return false
	}
}

// gone is what a failed signature means: a key that was wiped meanwhile, by a seal or because it is not loaded any more.
func (s *Signer) gone(key *keystore.Key, err error) error {
	if !errors.Is(err, secret.ErrWiped) {
		return err
	}
	if sealed := s.sealed(); sealed != nil {
		return sealed
	}
	return problem.Wrap(problem.UnknownKey, err, "no key "+key.PublicKey().String()+" is loaded any more")
}
