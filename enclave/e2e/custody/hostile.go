package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/e2e/rig"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/chamber"
)

// strangerImage shows both locks: KMS does not open the database's password, and if that were given away it does not open any share.
func (s *story) strangerImage(ctx context.Context) error {
	foreign, mark := s.world.images[stranger], len(s.world.aws.Trail())
	s.t.Note("the same program and two bytes more: PCR0 %s…, the policies want %s…", foreign.pcr0[:16], s.image.pcr0[:16])
	if err := s.begin(foreign, s.config); err != nil {
		return err
	}
	line, err := s.split.awaitLine(ctx, "AccessDeniedException")
	if err != nil {
		return err
	}
	s.t.Note("its log: %s", s.short(messageOf(line)))
	<-s.split.Signer.Done()
	s.t.Note("the start has ended: without the password there is no slashing record")
	s.forget()

	s.t.Note("now the policy of the password's KMS key is opened to it, by mistake:")
	if err := s.world.aws.allow([]string{rig.SealingKey}, s.image, foreign); err != nil {
		return err
	}
	if err := s.begin(foreign, s.config); err != nil {
		return err
	}
	if err := s.sealedFor(ctx, append(rig.ShareKeys(), "0 of 3 shares", "AccessDeniedException")...); err != nil {
		return err
	}
	denied := 0
	for _, e := range s.world.aws.Trail()[mark:] {
		if e.PCR0 == foreign.pcr0 && e.Key != rig.SealingKey {
			if e.Allowed {
				return fmt.Errorf("it was allowed: %s", e)
			}
			denied++
		}
	}
	s.t.Note("%d requests for shares, all denied", denied)
	if denied < 3 {
		return errors.New("want three at least")
	}
	return s.world.aws.allow([]string{rig.SealingKey}, s.image)
}

// forget lets go of a split whose enclave has ended by itself.
func (s *story) forget() {
	running := s.split
	s.split = nil
	running.client.Close()
	if err := running.Parent.Terminate(); err != nil {
		s.t.Note("%v", err)
	}
}

func (s *story) hostileConfigurations(ctx context.Context) error {
	for _, h := range []struct {
		name, what string
		change     func(*settings)
	}{
		{"hostile-access", "exits for everybody", func(c *settings) { c.OpenExits = true }},
		{"hostile-record", "another slashing store", func(c *settings) { c.Database = otherDatabase }},
		{"hostile-keys", "another table of keys, and the slashing record open to all", func(c *settings) { c.KeyTable, c.SlashingAPI = "hostile-keys", true }},
		{"hostile-state", "other tables, and a setup token of its own", func(c *settings) {
			c.StateTable, c.KeyTable, c.SetupTokenSHA256 = "hostile-state", "hostile-keys", strings.Repeat("ab", 32)
		}},
	} {
		c := s.config.settings
		h.change(&c)
		made, err := s.world.configure(h.name, c)
		if err != nil {
			return err
		}
		s.t.Note("%s:", h.what)
		if c.StateTable != stateTable {
			return s.otherTables(ctx, c)
		}
		if c.KeyTable != keyTable {
			if err := s.world.makeTables(ctx, "hostile-state", "hostile-keys"); err != nil {
				return err
			}
		}
		if c.Database != slashingDatabase {
			if err := s.withoutPassword(ctx, made); err != nil {
				return err
			}
			continue
		}
		if err := s.begin(s.image, made); err != nil {
			return err
		}
		if err := s.sealedFor(ctx, "this replica's configuration", "is not one that chamber "+c.ChamberID+" may run with"); err != nil {
			return err
		}
	}
	return nil
}

// otherTables has a host offer empty tables, to have a new master key made. That is no harm to ours, and chamber.id refuses it; without it
// the host has another chamber, whose clients see another PCR16.
func (s *story) otherTables(ctx context.Context, c settings) error {
	right := s.tokens
	defer func() { s.tokens = right }()
	var err error
	s.tokens.setup, c.SetupTokenSHA256 = newSetupToken()
	made, err := s.world.configure("hostile-state", c)
	if err != nil {
		return err
	}
	if err := s.begin(s.image, made); err != nil {
		return err
	}
	status, err := s.await(ctx, uninitialized)
	if err != nil {
		return err
	}
	s.t.Note("status: %s: %d keys", status.Seal.Status, status.Keys.Total)
	text, err := refusedWith(s.operator(ctx, nil, "init", "--kms-threshold", "2", "--kms-key-arns", strings.Join(rig.ShareKeys(), ",")), "status 403")
	if err != nil {
		return err
	}
	s.t.Note("%s", s.short(text))
	return s.refuses(ctx, s.keys[0], http.StatusServiceUnavailable, "")
}

// impostors has the host name a database of its own, with an authority of its own. KMS does not see the configuration, but the encryption context,
// which names the server: the enclave has no password that it could tell an impostor, or prove to one that passes the real server's challenge on.
func (s *story) impostors(ctx context.Context) error {
	for _, real := range []string{"", s.world.database.Address()} {
		secured, err := s.world.aws.TLSConfig()
		if err != nil {
			return err
		}
		i, err := newImpostor(secured, real)
		if err != nil {
			return err
		}
		err = s.meetImpostor(ctx, i)
		if err == nil {
			err = s.meetBothImpostors(ctx, i)
		}
		i.stop()
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *story) meetImpostor(ctx context.Context, i *impostor) error {
	what := "asks for the password in clear"
	if i.real != "" {
		what = "passes the real server's challenge on"
	}
	c := s.config.settings
	c.ImpostorPort = i.port()
	made, err := s.world.configure("impostor", c)
	if err != nil {
		return err
	}
	if err := s.withoutPassword(ctx, made); err != nil {
		return err
	}
	select {
	case v := <-i.verdicts:
		return fmt.Errorf("the enclave went to an impostor that %s: password in clear %t, login %t: %w", what, v.password == s.world.password, v.entered, v.err)
	default:
		s.t.Note("an impostor that %s sees nobody", what)
		return nil
	}
}

// withoutPassword starts the right image with a configuration that names another database than the password is encrypted for.
func (s *story) withoutPassword(ctx context.Context, made configured) error {
	if err := s.begin(s.image, made); err != nil {
		return err
	}
	line, err := s.split.awaitLine(ctx, "the ciphertext is not of this key and encryption context")
	if err != nil {
		return err
	}
	s.t.Note("its log: %s", s.short(messageOf(line)))
	<-s.split.Signer.Done()
	s.forget()
	return nil
}

// otherDatabase has the same URL lead to an empty record, which no digest of a configuration shows.
func (s *story) otherDatabase(ctx context.Context) error {
	if err := s.halt(); err != nil {
		return err
	}
	if err := s.world.database.Exec(ctx, "postgres", "ALTER DATABASE "+slashingDatabase+" RENAME TO kept"); err != nil {
		return err
	}
	if err := s.world.makeDatabase(ctx, slashingDatabase); err != nil {
		return err
	}
	s.t.Note("database %s is empty now; the configuration is the approved one", slashingDatabase)
	if err := s.use(s.image, s.config); err != nil {
		return err
	}
	if err := s.sealedFor(ctx, "this replica's slashing store is", "the chamber's is"); err != nil {
		return err
	}
	if err := s.halt(); err != nil {
		return err
	}
	if err := s.world.database.Exec(ctx, "postgres", "DROP DATABASE "+slashingDatabase, "ALTER DATABASE kept RENAME TO "+slashingDatabase); err != nil {
		return err
	}
	if err := s.use(s.image, s.config); err != nil {
		return err
	}
	if _, err := s.usable(ctx); err != nil {
		return err
	}
	s.t.Note("with the record that it had, it unseals")
	return s.signs(ctx)
}

func newSetupToken() (token, hash string) {
	token = chamber.NewSetupToken(time.Now().Add(time.Hour))
	return token, sha256Hex(token)
}
