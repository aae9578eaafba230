package rig

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// Operator is somebody with "containment-chamber operator".
type Operator struct {
	Binary                string // the product's
	SignerURL             string
	Policy, Root          string // files by which the signer is known
	SetupToken, RootToken string // "" if the operator has none
}

// Run runs a verb with the trust and the token that it needs, and reads its answer into out, unless that is nil. The error is an *OperatorError
// if the command failed.
func (o Operator) Run(ctx context.Context, out any, args ...string) error {
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
		all = append(all, "--signer-url", o.SignerURL, "--policy", o.Policy, "--attestation-root", o.Root)
	}
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, o.Binary, all...)
	cmd.Env = append(withoutProduct(os.Environ()), "SETUP_TOKEN="+o.SetupToken, "ROOT_TOKEN="+o.RootToken)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		lines := strings.Split(strings.TrimSpace(stderr.String()), "\n")
		return &OperatorError{err, lines[len(lines)-1]}
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(stdout.Bytes(), out); err != nil {
		return fmt.Errorf("operator %s: %w", args[0], err)
	}
	return nil
}

// OperatorError is what an operator reads who is refused.
type OperatorError struct {
	Cause error
	Text  string // the last line
}

func (e *OperatorError) Error() string { return e.Text + " (" + e.Cause.Error() + ")" }

// Unwrap returns how the command ended.
func (e *OperatorError) Unwrap() error { return e.Cause }

// SetupToken is the answer of "operator setup-token".
type SetupToken struct {
	Token  string `json:"setup_token"`
	SHA256 string `json:"setup_token_sha256"` // of the token, in hex: the configuration has it
}

// Imported is the answer of "operator import-keys".
type Imported struct {
	Imported   int   `json:"imported"`
	Duplicates int   `json:"duplicates"` // stored before
	Errors     []any `json:"errors"`
}
