package main

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/unforeseen-consequences/containment-chamber/enclave/e2e/rig"
)

// showAll is the demonstration.
func showAll(ctx context.Context, w *world, s *rig.Split, t *rig.Transcript) error {
	t.Title("Wait until the signer answers")
	var client *rig.Client
	var again func(context.Context) error
	err := rig.During(ctx, func(ctx context.Context) (err error) {
		if err = waitStarted(ctx, w, t); err != nil {
			return err
		}
		if client, err = showAttestedTLS(ctx, w, t); err != nil {
			return err
		}
		again, err = showWork(ctx, client, w, s, t)
		return err
	}, s.Parent, s.Signer)
	if client != nil {
		defer client.Close()
	}
	if err != nil {
		return err
	}
	t.Title("Kill the signer and start it again: it unseals itself")
	client.Close()
	if err := errors.Join(s.Signer.Kill(), s.StartSigner()); err != nil {
		return err
	}
	return rig.During(ctx, again, s.Parent, s.Signer)
}

// showWork shows what the signer does, and returns what it must do after a restart.
func showWork(ctx context.Context, client *rig.Client, w *world, s *rig.Split, t *rig.Transcript) (again func(context.Context) error, err error) {
	if err := showChamber(ctx, client, w, t); err != nil {
		return nil, err
	}
	t.Title("Wait until the signer says that it is ready")
	if err := rig.AwaitReady(ctx, w.healthURL()); err != nil {
		return nil, err
	}
	t.Note("ready after %v", t.Since())
	keys, stored, err := showKeys(ctx, client, w, t)
	if err != nil {
		return nil, err
	}
	if err := showVotes(ctx, client, keys[0], t); err != nil {
		return nil, err
	}
	if err := showBlock(ctx, client, keys[1], t); err != nil {
		return nil, err
	}
	if err := showLogs(ctx, w, s, t); err != nil {
		return nil, err
	}
	vote, signature, err := showStoredKey(ctx, client, stored, t)
	return func(ctx context.Context) error { return showRestart(ctx, client, w, stored, vote, signature, t) }, err
}

// waitStarted waits until nothing is missing but the master key.
func waitStarted(ctx context.Context, w *world, t *rig.Transcript) error {
	t.Note("GET %s/readyz, which tells the stage of the start that is missing", w.healthURL())
	var answer struct {
		Checks []struct {
			ID, Status string
			Data       struct{ Reason string }
		}
	}
	err := rig.Await(ctx, "the start", func() (bool, error) {
		_, body, err := rig.Get(ctx, w.healthURL()+"/readyz")
		if err != nil {
			return false, err
		}
		if err := json.Unmarshal(body, &answer); err != nil {
			return false, err
		}
		return len(answer.Checks) > 0 && answer.Checks[0].Status == "UP", errors.New(string(body))
	})
	if err != nil {
		return err
	}
	t.Note("started after %v", t.Since())
	for _, c := range answer.Checks {
		if c.Status != "UP" {
			t.Note("not ready: %s: %s", c.ID, c.Data.Reason)
		}
	}
	return nil
}
