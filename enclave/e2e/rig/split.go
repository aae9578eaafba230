package rig

import (
	"errors"
	"fmt"
	"os"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/policyfile"
	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
)

// Split is a running parent and the signer beside it.
type Split struct {
	Parent, Signer *Process

	signer Command
}

// StartSplit starts both, or none.
func StartSplit(parent, signer Command) (*Split, error) {
	s := &Split{signer: signer}
	var err error
	if s.Parent, err = Start(parent); err != nil {
		return nil, err
	}
	if s.Signer, err = Start(signer); err != nil {
		return nil, errors.Join(err, s.Parent.Terminate())
	}
	return s, nil
}

// StartSigner starts the signer again after it has ended.
func (s *Split) StartSigner() (err error) {
	s.Signer, err = Start(s.signer)
	return err
}

// Stop drains the signer first, so that the parent still carries its last log lines.
func (s *Split) Stop() error { return errors.Join(s.Signer.Terminate(), s.Parent.Terminate()) }

// WritePolicy writes what a client accepts, as a file for operators.
func WritePolicy(file string, p attestation.Policy) error {
	text, err := policyfile.Format(p, "the signer of this demonstration, with its configuration")
	if err != nil {
		return err
	}
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return fmt.Errorf("write the policy: %w", err)
	}
	return nil
}
