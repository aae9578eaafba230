package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/unforeseen-consequences/containment-chamber/enclave/e2e/rig"
	routes "github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/chamber"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/operator"
)

// States of a chamber, as the status has them.
const (
	uninitialized = "uninitialized"
	unsealed      = "unsealed"
)

func (w *world) importDir() string     { return filepath.Join(w.chamber, "keystores") }
func (w *world) rootTokenFile() string { return filepath.Join(w.chamber, "root-token") }

// showChamber makes a master key and stores a key under it, which a run that finds both tells.
func showChamber(ctx context.Context, c *rig.Client, w *world, t *rig.Transcript) error {
	t.Title("Ask for its chamber, which has the master key that stored keys are encrypted under")
	if err := w.knowOperator(c); err != nil {
		return err
	}
	var status operator.Status
	err := rig.Await(ctx, "a chamber that is uninitialized or unsealed", func() (done bool, err error) {
		if status, err = c.Status(ctx); err != nil {
			return false, err
		}
		return status.Seal.Status == uninitialized || status.Seal.Status == unsealed, fmt.Errorf("%s: %s", status.Seal.Status, status.Seal.Reason)
	})
	if err != nil {
		return err
	}
	if status.Seal.Chamber == nil {
		t.Note("%s: more it tells nobody before there are tokens", status.Seal.Status)
	} else {
		t.Note("%s; %s", status.Seal.Status, status.Seal.KMS)
	}

	t.Title("operator init: a master key in three shares, each sealed by a KMS key of another account; any two give it back")
	if err := initialize(ctx, status, w.operator(c, t), w, t); err != nil {
		return err
	}
	if err := w.knowOperator(c); err != nil {
		return err
	}
	t.Title("operator import-keys: a key of its own, stored in the chamber")
	return importKeys(ctx, w.operator(c, t), w, t)
}

// knowOperator gives a client the root token, if there is one yet.
func (w *world) knowOperator(c *rig.Client) error {
	text, err := os.ReadFile(w.rootTokenFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	c.OperatorToken = string(text)
	return err
}

// operate runs a verb and shows it.
type operate func(ctx context.Context, out any, args ...string) error

func (w *world) operator(c *rig.Client, t *rig.Transcript) operate {
	return func(ctx context.Context, out any, args ...string) error {
		t.Note("$ containment-chamber operator %s", w.show(rig.ShortKeys(strings.Join(args, " "))))
		o := rig.Operator{Binary: w.signer, SignerURL: c.URL, Policy: w.policyFile(), Root: w.rootFile()}
		for file, token := range map[string]*string{w.path("setup-token"): &o.SetupToken, w.rootTokenFile(): &o.RootToken} {
			text, err := os.ReadFile(file)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			*token = string(text)
		}
		return o.Run(ctx, out, args...)
	}
}

func initialize(ctx context.Context, before operator.Status, operator operate, w *world, t *rig.Transcript) error {
	if before.Seal.Status == unsealed {
		t.Note("an earlier run did: chamber %s, %d of %d shares", before.Seal.ID, before.Seal.Threshold, len(before.Seal.Shares))
		return nil
	}
	var done routes.Initialized
	if err := operator(ctx, &done, "init", "--kms-threshold", "2", "--kms-key-arns", strings.Join(rig.ShareKeys(), ",")); err != nil {
		return err
	}
	if err := os.WriteFile(w.rootTokenFile(), []byte(done.RootToken), 0o600); err != nil {
		return err
	}
	if done.Status != unsealed || done.ChamberID == "" || done.RootToken == "" {
		return fmt.Errorf("init answers %+v", done.Done)
	}
	t.Note("KEY1, KEY2 and KEY3 are in the accounts %s, %s and %s", rig.Account(rig.FirstKey), rig.Account(rig.SecondKey), rig.Account(rig.ThirdKey))
	t.Note("chamber %s is %s; the root token, which is told once, is in %s", done.ChamberID, done.Status, w.show(w.rootTokenFile()))
	return nil
}

func importKeys(ctx context.Context, operator operate, w *world, t *rig.Transcript) error {
	keys, err := w.storedKeys()
	if err != nil {
		return err
	}
	if len(keys) == 0 {
		if _, err := rig.MakeKeystore(w.importDir()); err != nil {
			return err
		}
	}
	var done rig.Imported
	if err := operator(ctx, &done, "import-keys", w.importDir()); err != nil {
		return err
	}
	t.Note("%d imported, %d stored before", done.Imported, done.Duplicates)
	if done.Imported+done.Duplicates != 1 {
		return fmt.Errorf("%d keys were imported and %d stored before, want 1 together", done.Imported, done.Duplicates)
	}
	return nil
}

// storedKeys are the public keys of the keystores that are imported.
func (w *world) storedKeys() ([]string, error) { return keysIn(w.importDir(), ".json") }

// showStoredKey has the stored key sign a vote, and returns vote and signature.
func showStoredKey(ctx context.Context, c *rig.Client, key string, t *rig.Transcript) (vote map[string]any, signature string, err error) {
	epoch := rig.CurrentEpoch()
	t.Title("Sign with the stored key: an ATTESTATION, source %d, target %d", epoch-1, epoch)
	vote = rig.Vote(epoch-1, epoch)
	if signature, err = c.Sign(ctx, key, vote); err != nil {
		return nil, "", err
	}
	t.Note("key %s…: %s…", key[:18], signature[:34])
	return vote, signature, rig.Verify(key, vote, signature)
}

// showRestart wants the same of the stored key after a start that nobody helped.
func showRestart(ctx context.Context, c *rig.Client, w *world, key string, vote map[string]any, before string, t *rig.Transcript) error {
	began := t.Since()
	if err := errors.Join(rig.AwaitReady(ctx, w.healthURL()), w.knowOperator(c)); err != nil {
		return err
	}
	status, err := c.Status(ctx)
	if err != nil {
		return err
	}
	if status.Seal.Status != unsealed {
		return fmt.Errorf("the chamber is %s: %s", status.Seal.Status, status.Seal.Reason)
	}
	t.Note("ready after %v, chamber %s unsealed: KMS opened the shares for this image, and nobody did anything", t.Since()-began, status.Seal.ID)
	signature, err := c.Sign(ctx, key, vote)
	if err != nil {
		return err
	}
	if signature != before {
		return errors.New("the stored key signs otherwise than before")
	}
	t.Note("the stored key signs the same vote: the same signature")
	return nil
}
