package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/unforeseen-consequences/containment-chamber/enclave/e2e/rig"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/kms/kmstest"
)

// line is a line of the table of the trail.
type line struct{ step, operation, key, principal, pcr0, outcome string }

// showTrail prints every request, those that are alike within a step as one line, and holds them against what must be.
func (s *story) showTrail(context.Context) error {
	trail := s.world.aws.Trail()
	var lines []line
	counts := map[line]int{}
	for i, e := range trail {
		if err := s.judge(e); err != nil {
			return fmt.Errorf("%w: %s", err, e)
		}
		l := s.lineOf(i, e)
		if counts[l]++; counts[l] == 1 {
			lines = append(lines, l)
		}
	}
	w := tabwriter.NewWriter(s.t, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "   step\ttimes\toperation\taccount of the key\tprincipal\tPCR0\toutcome")
	for _, l := range lines {
		_, _ = fmt.Fprintf(w, "   %s\t%d\t%s\t%s\t%s\t%s\t%s\n", l.step, counts[l], l.operation, l.key, l.principal, l.pcr0, l.outcome)
	}
	return w.Flush()
}

// judge returns an error for a request that should not have been allowed.
func (s *story) judge(e kmstest.Event) error {
	operator := strings.HasSuffix(e.Principal, "/operator")
	switch {
	case e.Service != "kms" || !e.Allowed:
		return nil
	case e.Operation == "Encrypt" && operator && e.Key == rig.SealingKey:
		return nil
	case !e.Attested || !slices.Contains([]string{"Decrypt", "GenerateDataKey"}, e.Operation):
		return errors.New("allowed without attestation, or an operation that no enclave needs")
	case e.PCR0 == s.world.images[stranger].pcr0 && e.Key != rig.SealingKey:
		return errors.New("allowed to a stranger")
	}
	return nil
}

func (s *story) lineOf(i int, e kmstest.Event) line {
	step := 0
	for step < len(s.marks) && s.marks[step] <= i {
		step++
	}
	l := line{step: fmt.Sprint(step), operation: e.Service + ":" + e.Operation, outcome: "denied: " + e.Error}
	if e.Key != "" {
		if l.key = rig.Account(e.Key); e.Key == rig.SealingKey {
			l.key += " (password)"
		}
	}
	if _, who, found := strings.Cut(e.Principal, "assumed-role/"); found {
		l.principal = who
	}
	if e.PCR0 != "" {
		l.pcr0 = e.PCR0[:8] + "…"
		for _, image := range s.world.images {
			if image.pcr0 == e.PCR0 {
				l.pcr0 += " " + image.name
			}
		}
	}
	switch {
	case e.Error == "":
		l.outcome = "allowed"
	case e.Allowed:
		l.outcome = "failed: " + e.Error
	}
	return l
}

// showSecrecy looks for what must be nowhere on the host's side: logs, configurations and the backup.
func (s *story) showSecrecy(context.Context) error {
	secrets := map[string]string{
		"database password": s.world.password, "root token": s.tokens.root, "setup token": s.tokens.setup,
	}
	var files []string
	for _, pattern := range []string{"*.log", "*.yaml", "*.backup"} {
		found, err := filepath.Glob(s.world.path(pattern))
		if err != nil || len(found) == 0 {
			return errors.Join(fmt.Errorf("no %s", pattern), err)
		}
		files = append(files, found...)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		for what, secret := range secrets {
			if secret == "" || strings.Contains(string(text), secret) {
				return fmt.Errorf("the %s is in %s", what, file)
			}
		}
	}
	s.t.Note("%d files: logs, configurations, backup; none has the database's password, the root token or the setup token", len(files))
	return nil
}

func sha256Hex(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// messageOf is what a line of the log says, with its error.
func messageOf(line string) string {
	var l struct{ Message, Error string }
	if err := json.Unmarshal([]byte(line), &l); err != nil || l.Error == "" {
		return line
	}
	return l.Message + ": " + l.Error
}

// short names KMS keys by their accounts, and cuts what nobody reads to the end.
func (s *story) short(text string) string {
	const most = 400
	text = s.shown([]string{text})
	if len(text) > most {
		text = text[:most] + "…"
	}
	return text
}
