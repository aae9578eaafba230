package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/e2e/rig"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/nsm/software"
)

// tokens are what an operator has. They are worthless: this world ends with the command.
type tokens struct{ setup, root string }

// operator runs a verb of "containment-chamber operator", shows it, and reads its answer into out, unless that is nil.
func (s *story) operator(ctx context.Context, out any, args ...string) error {
	o := rig.Operator{Binary: s.world.images[genuine].path, SetupToken: s.tokens.setup, RootToken: s.tokens.root}
	if s.split != nil {
		o.SignerURL, o.Policy, o.Root = s.split.client.URL, s.split.policy, software.RootFile(s.world.path("nsm"))
	}
	s.t.Note("$ containment-chamber operator %s", s.shown(args))
	began := time.Now()
	if err := o.Run(ctx, out, args...); err != nil {
		return err
	}
	if took := time.Since(began); slices.Contains([]string{"init", "import-keys", "rotate", "backup", "restore"}, args[0]) {
		s.took = append(s.took, fmt.Sprintf("operator %s: %v", s.shown(args), took.Round(10*time.Millisecond)))
	}
	return nil
}

// refusedWith makes sure that an operator was refused in these words, with exit code 1.
func refusedWith(err error, words string) (string, error) {
	failed, ok := errors.AsType[*rig.OperatorError](err)
	if !ok {
		return "", fmt.Errorf("it was not refused: %w", err)
	}
	exit, ok := errors.AsType[*exec.ExitError](failed.Cause)
	if !ok || exit.ExitCode() != 1 || !strings.Contains(failed.Text, words) {
		return "", fmt.Errorf("want exit code 1 and %q: %w", words, err)
	}
	return failed.Text, nil
}

// shown is a command line for people.
func (s *story) shown(args []string) string {
	return strings.ReplaceAll(rig.ShortKeys(strings.Join(args, " ")), s.world.dir+"/", "")
}
