package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	routes "github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/chamber"

	"github.com/unforeseen-consequences/containment-chamber/enclave/e2e/rig"
)

func (s *story) upgradeImage(ctx context.Context) error {
	before, next := s.image, s.world.images[upgrade]
	all := append(rig.ShareKeys(), rig.SealingKey)
	s.t.Note("policies: PCR0 %s… or %s…", before.pcr0[:16], next.pcr0[:16])
	if err := s.world.aws.allow(all, before, next); err != nil {
		return err
	}
	if err := s.use(next, s.config); err != nil {
		return err
	}
	f, err := s.usable(ctx)
	if err != nil {
		return err
	}
	s.t.Note("the new image unseals after %v", f.unsealed)
	if err := s.signs(ctx); err != nil {
		return err
	}
	s.t.Note("policies: PCR0 %s…", next.pcr0[:16])
	if err := s.world.aws.allow(all, next); err != nil {
		return err
	}
	if err := s.begin(before, s.config); err != nil {
		return err
	}
	line, err := s.split.awaitLine(ctx, "AccessDeniedException")
	if err != nil {
		return err
	}
	s.t.Note("the old image: %s", s.short(messageOf(line)))
	<-s.split.Signer.Done()
	s.forget()
	if err := s.use(next, s.config); err != nil {
		return err
	}
	if _, err := s.usable(ctx); err != nil {
		return err
	}
	return s.signs(ctx)
}

func (s *story) sealAndUnseal(ctx context.Context) error {
	if err := s.operator(ctx, nil, "seal", "--yes"); err != nil {
		return err
	}
	if err := s.sealedFor(ctx, "sealed by an operator"); err != nil {
		return err
	}
	if err := s.crash(); err != nil {
		return err
	}
	s.t.Note("killed and started:")
	if err := s.sealedFor(ctx, "sealed by an operator"); err != nil {
		return err
	}
	if err := s.operator(ctx, nil, "unseal"); err != nil {
		return err
	}
	if _, err := s.usable(ctx); err != nil {
		return err
	}
	return s.signs(ctx)
}

func (s *story) freeze(ctx context.Context) error {
	file := s.world.path("frozen.txt")
	if err := os.WriteFile(file, []byte(s.keys[0]+"\n"), 0o600); err != nil {
		return err
	}
	if err := s.operator(ctx, nil, "freeze", "--pubkeys", file); err != nil {
		return err
	}
	if err := s.refuses(ctx, s.keys[0], http.StatusForbidden, "frozen by an operator"); err != nil {
		return err
	}
	s.signed = s.signed/uint64(len(s.keys))*uint64(len(s.keys)) + 1 // another key's turn
	if err := s.signs(ctx); err != nil {
		return err
	}
	if err := s.operator(ctx, nil, "freeze"); err != nil {
		return err
	}
	if err := s.refuses(ctx, s.keys[1], http.StatusForbidden, "frozen by an operator"); err != nil {
		return err
	}
	if _, err := s.split.client.Sign(ctx, s.keys[0], rig.Reveal(s.epoch)); err != nil {
		return err
	}
	s.t.Note("a RANDAO reveal, which cannot be slashed, is signed")
	if err := s.operator(ctx, nil, "unfreeze"); err != nil {
		return err
	}
	return s.signs(ctx)
}

func (s *story) rotateKMS(ctx context.Context) error {
	if err := s.operator(ctx, nil, "rotate", "kms", "--kms-threshold", "3", "--kms-key-arns", strings.Join(rig.ShareKeys(), ","), "--yes"); err != nil {
		return err
	}
	status, err := s.await(ctx, unsealed)
	if err != nil {
		return err
	}
	s.t.Note("chamber %s: %d of %d", status.Seal.ID, status.Seal.Threshold, len(status.Seal.Shares))
	if status.Seal.Threshold != 3 || status.Seal.ID != s.config.ChamberID {
		return fmt.Errorf("%+v", status.Seal.Chamber)
	}
	if err := s.crash(); err != nil {
		return err
	}
	if _, err := s.usable(ctx); err != nil {
		return err
	}
	return s.signs(ctx)
}

// rotateMasterKey is done twice: the id changes with the key, and the configuration names it.
func (s *story) rotateMasterKey(ctx context.Context) error {
	before := s.config.ChamberID
	text, err := refusedWith(s.operator(ctx, nil, "rotate", "master-key", "--yes"), "status 409")
	if err != nil {
		return err
	}
	s.t.Note("%s", s.short(text))
	status, err := s.await(ctx, rotating)
	if err != nil {
		return err
	}
	s.t.Note("status: %s: chamber %s, before %s", status.Seal.Status, status.Seal.ID, status.Seal.PreviousID)
	if err := s.signs(ctx); err != nil {
		return err
	}
	c := s.config.settings
	c.ChamberID = status.Seal.ID
	next, err := s.world.configure("rotated", c)
	if err != nil {
		return err
	}
	if err := s.approve(ctx, next, "rotated"); err != nil {
		return err
	}
	if err := s.use(s.image, next); err != nil {
		return err
	}
	if _, err := s.await(ctx, rotating); err != nil {
		return err
	}
	var done routes.Done
	if err := s.operator(ctx, &done, "rotate", "master-key", "--yes"); err != nil {
		return err
	}
	s.t.Note("chamber %s is %s", done.ChamberID, done.Status)
	if done.Status != unsealed || done.ChamberID == before {
		return fmt.Errorf("rotated: %+v", done)
	}
	if err := s.crash(); err != nil {
		return err
	}
	if _, err := s.usable(ctx); err != nil {
		return err
	}
	return s.signs(ctx)
}

// restoreElsewhere approves the configuration of the new tables before the backup is made: that is in it.
func (s *story) restoreElsewhere(ctx context.Context) error {
	c := s.config.settings
	c.StateTable, c.KeyTable = "restored-state", "restored-keys"
	var setup string
	setup, c.SetupTokenSHA256 = newSetupToken()
	next, err := s.world.configure("restored", c)
	if err != nil {
		return err
	}
	if err := s.approve(ctx, next, "restored"); err != nil {
		return err
	}
	file := s.world.path("chamber.backup")
	var made struct{ Bytes int }
	if err := s.operator(ctx, &made, "backup", "--output-file", file); err != nil {
		return err
	}
	s.t.Note("%d bytes, all of it ciphertext", made.Bytes)
	if err := s.halt(); err != nil {
		return err
	}
	for _, table := range []string{stateTable, keyTable} {
		if _, err := s.world.tables.Client().UpdateTable(ctx, &dynamodb.UpdateTableInput{TableName: &table, DeletionProtectionEnabled: aws.Bool(false)}); err != nil {
			return err
		}
		if _, err := s.world.tables.Client().DeleteTable(ctx, &dynamodb.DeleteTableInput{TableName: &table}); err != nil {
			return err
		}
		s.t.Note("table %s is deleted", table)
	}
	if err := s.world.makeTables(ctx, c.StateTable, c.KeyTable); err != nil {
		return err
	}
	if err := s.use(s.image, next); err != nil {
		return err
	}
	if _, err := s.await(ctx, uninitialized); err != nil {
		return err
	}
	s.tokens.setup = setup
	var done routes.Backup
	if err := s.operator(ctx, &done, "restore", file, "--yes"); err != nil {
		return err
	}
	s.t.Note("restored: %t, version %d of chamber %s, %d keys", done.Restored, done.Version, done.ChamberID, done.Records["keys"])
	if !done.Restored || done.Records["keys"] != len(s.keys) {
		return fmt.Errorf("restored: %+v", done)
	}
	if _, err := s.usable(ctx); err != nil {
		return err
	}
	if err := s.signs(ctx); err != nil {
		return err
	}
	return s.halt()
}
