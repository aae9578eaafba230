package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/nsm/software"
)

// tokens are what an operator has. They are worthless: this world ends with the command.
type tokens struct{ setup, root string }

// operator runs "containment-chamber operator" with the trust and the token that a verb needs, and reads its answer into out, unless that is
// nil.
func (s *story) operator(ctx context.Context, out any, args ...string) error {
	all := append([]string{"operator"}, args...)
	all = append(all, "--output", "json")
	switch args[0] {
	case "setup-token":
	case "init", "restore":
		all = append(all, "--setup-token", "env:SETUP_TOKEN")
	default:
		all = append(all, "--auth-token", "env:ROOT_TOKEN")
	}
	if args[0] != "setup-token" {
		all = append(all, "--signer-url", s.split.client.url, "--policy", s.split.policy, "--attestation-root", software.RootFile(s.world.path("nsm")))
	}
	s.t.note("$ containment-chamber operator %s", s.shown(args))
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, s.world.images[genuine].path, all...)
	cmd.Env = append(withoutProduct(), "SETUP_TOKEN="+s.tokens.setup, "ROOT_TOKEN="+s.tokens.root)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	began := time.Now()
	err := cmd.Run()
	if took := time.Since(began); err == nil && slices.Contains([]string{"init", "import-keys", "rotate", "backup", "restore"}, args[0]) {
		s.took = append(s.took, fmt.Sprintf("operator %s: %v", s.shown(args), took.Round(10*time.Millisecond)))
	}
	if err != nil {
		lines := strings.Split(strings.TrimSpace(stderr.String()), "\n")
		return &operatorError{err, lines[len(lines)-1]}
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(stdout.Bytes(), out); err != nil {
		return fmt.Errorf("operator %s: %w", args[0], err)
	}
	return nil
}

// operatorError is what an operator reads who is refused.
type operatorError struct {
	cause error
	text  string // the last line
}

func (e *operatorError) Error() string { return e.text + " (" + e.cause.Error() + ")" }

// refusedWith makes sure that an operator was refused in these words, with exit code 1.
func refusedWith(err error, words string) (string, error) {
	failed, ok := errors.AsType[*operatorError](err)
	if !ok {
		return "", fmt.Errorf("it was not refused: %w", err)
	}
	exit, ok := errors.AsType[*exec.ExitError](failed.cause)
	if !ok || exit.ExitCode() != 1 || !strings.Contains(failed.text, words) {
		return "", fmt.Errorf("want exit code 1 and %q: %w", words, err)
	}
	return failed.text, nil
}

// shown is a command line for people.
func (s *story) shown(args []string) string {
	line := strings.Join(args, " ")
	for i, arn := range shareKeys() {
		line = strings.ReplaceAll(line, arn, fmt.Sprintf("KEY%d", i+1))
	}
	return strings.ReplaceAll(line, s.world.dir+"/", "")
}

func withoutProduct() (kept []string) {
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "CONTAINMENT_") && !strings.HasPrefix(e, "PRODUCTION=") {
			kept = append(kept, e)
		}
	}
	return kept
}
