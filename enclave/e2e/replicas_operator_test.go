package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// order is a command of an operator, on its way.
type order struct {
	args []string
	done chan answered // gets one
}

// answered is what became of an order.
type answered struct {
	args           []string
	code           int
	stdout, stderr string
}

// begin runs "containment-chamber operator" against a replica, with the token that a verb needs.
func (s *chamberSite) begin(t *testing.T, r *chamberSigner, args ...string) order {
	t.Helper()
	all := append(append([]string{"operator"}, args...), "--output", "json")
	switch {
	case r == nil:
	case args[0] == "init":
		all = append(all, "--setup-token", "env:SETUP_TOKEN")
	default:
		all = append(all, "--auth-token", "env:ROOT_TOKEN")
	}
	if r != nil {
		all = append(all, "--signer-url", r.url, "--allow-plaintext-signer")
	}
	cmd := exec.CommandContext(t.Context(), filepath.Join(binaries, "containment-chamber"), all...)
	cmd.Env = environment("SETUP_TOKEN="+s.setup, "ROOT_TOKEN="+s.root)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	o := order{args, make(chan answered, 1)}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		err := cmd.Wait()
		code := 0
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			code = exit.ExitCode()
		} else if err != nil {
			code = -1
		}
		o.done <- answered{args, code, stdout.String(), stderr.String()}
	}()
	return o
}

// wait waits for the end of the command. A rotation of the master key takes a minute.
func (o order) wait(t *testing.T) answered {
	t.Helper()
	select {
	case a := <-o.done:
		return a
	case <-time.After(3 * time.Minute):
		t.Fatalf("operator %v does not end", o.args)
		return answered{}
	}
}

func (s *chamberSite) operator(t *testing.T, r *chamberSigner, args ...string) answered {
	t.Helper()
	return s.begin(t, r, args...).wait(t)
}

// does makes sure that a command went well, and reads what it printed unless that is not wanted.
func (a answered) does(t *testing.T, into any) {
	t.Helper()
	if a.code != 0 {
		t.Fatalf("operator %v: exit code %d: %s", a.args, a.code, a.stderr)
	}
	if into == nil {
		return
	}
	if err := json.Unmarshal([]byte(a.stdout), into); err != nil {
		t.Fatalf("operator %v: %v: %s", a.args, err, a.stdout)
	}
}

// refused makes sure that a command was refused in these words.
func (a answered) refused(t *testing.T, words string) {
	t.Helper()
	if a.code != 1 || !strings.Contains(a.stderr, words) {
		t.Fatalf("operator %v: exit code %d, want 1 and %q: %s", a.args, a.code, words, a.stderr)
	}
}

// initializes are the arguments that share a new master key, or the one there is, among all KMS keys.
func initializes(threshold string) []string {
	return append([]string{"init"}, sharesOf(threshold)...)
}

func rotatesKMS(threshold string) []string {
	return append([]string{"rotate", "kms", "--yes"}, sharesOf(threshold)...)
}

func sharesOf(threshold string) []string {
	return []string{"--kms-key-arns", strings.Join(shareKeys, ","), "--kms-threshold", threshold}
}
