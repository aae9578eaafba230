package main

import (
	"context"
	"errors"
	"path/filepath"

	"github.com/unforeseen-consequences/containment-chamber/enclave/e2e/rig"
)

// split is the two running processes.
type split struct{ parent, signer *rig.Process }

func startSplit(w *world, binaries string) (*split, error) {
	parent, err := rig.Start(rig.Command{
		Name: "parent", Binary: filepath.Join(binaries, "containment-chamber-enclave-proxy"), Args: []string{"run", "-c", w.config},
	})
	if err != nil {
		return nil, err
	}
	signer, err := rig.Start(rig.Command{Name: "signer", Binary: w.signer, Args: []string{"server", "-c", w.config}})
	if err != nil {
		return nil, errors.Join(err, parent.Terminate())
	}
	return &split{parent, signer}, nil
}

// stop drains the signer first, so that the parent still carries its last log lines.
func (s *split) stop(t *transcript) error {
	t.title("Drain both processes")
	err := errors.Join(s.signer.Terminate(), s.parent.Terminate())
	if err == nil {
		t.note("signer and parent stopped with exit code 0")
	}
	return err
}

// during gives a context that also ends when one of the processes does.
func (s *split) during(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stopped := make(chan struct{})
	go func() {
		if err := s.ended(stopped); err != nil {
			cancel(err)
		}
	}()
	return ctx, func() {
		close(stopped)
		cancel(nil)
	}
}

// ended waits until one of the processes has ended by itself and says which, or until stopped.
func (s *split) ended(stopped <-chan struct{}) error {
	select {
	case <-s.parent.Done():
		return errors.New("the parent ended by itself")
	case <-s.signer.Done():
		return errors.New("the signer ended by itself")
	case <-stopped:
		return nil
	}
}

// explain adds what the processes wrote last.
func (s *split) explain(err error) error { return rig.Explain(err, s.parent, s.signer) }
