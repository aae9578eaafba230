package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestConnectRefuses: each mistake has its own word, before anything is asked or listened to.
func TestConnectRefuses(t *testing.T) {
	dir := t.TempDir()
	policy := filepath.Join(dir, "policy.yaml")
	if err := os.WriteFile(policy, []byte("sets: [{pcrs: {PCR0: "+strings.Repeat("0a", 48)+"}}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	t.Setenv("PRODUCTION", "")
	t.Setenv("XDG_CONFIG_HOME", dir)
	const signer = "--signer https://127.0.0.1:9443 "
	free := "--health-listen= --listen 127.0.0.1:0 " + signer
	for _, test := range []struct {
		args  string
		code  int
		words string // on standard error
	}{
		{"", exitUsage, "--signer is needed"},
		{"extra", exitUsage, `unknown command "extra"`},
		{signer, exitUsage, "nothing says which enclave to accept: name --policy or --trust-on-first-use"},
		{"--signer http://127.0.0.1:9000", exitUsage, "want https://HOST:PORT"},
		{"--signer https://user:hunter2@127.0.0.1:9443", exitUsage, "want https://HOST:PORT"},
		{"--signer https://127.0.0.1:9443/path", exitUsage, "want https://HOST:PORT"},
		{"--signer 127.0.0.1:9443", exitUsage, "--signer: want "},
		{signer + "--policy " + filepath.Join(dir, "none.yaml"), exitUsage, "none.yaml: no such file"},
		{signer + "--tls-cert a.pem", exitUsage, "--tls-cert and --tls-key go together"},
		{signer + "--max-requests 0", exitUsage, "--max-requests: want 1 or more"},
		{signer + "--drain-timeout -1s", exitUsage, "--drain-timeout: want 0 or more"},
		{signer + "--drain-timeout soon", exitUsage, "invalid argument"},
		{signer + "--log-level loud", exitUsage, `--log-level: "loud", want debug, info, warn or error`},
		{free + "--policy " + policy + " --auth-token hunter2", exitUsage, "--auth-token: want env:VARIABLE or file:PATH"},
		{free + "--policy " + policy + " --auth-token env:NO_SUCH_TOKEN", exitUsage, "--auth-token: environment variable NO_SUCH_TOKEN is not set"},
		{free + "--policy " + policy + " --tls-cert " + policy + " --tls-key " + policy, exitUsage, "--tls-cert: certificate " + policy + ": malformed PEM"},
		{free + "--policy /dev/null", exitUsage, "--policy: /dev/null is no regular file, and is to be read again and again"},
		{free + "--policy " + dir, exitUsage, "is a directory"},
		{free + "--policy=", exitUsage, "--policy: want the name of a file, and it is empty"},
		{free + "--attestation-root=", exitUsage, "--attestation-root: want the name of a file"},
		{free + "--trust-file=", exitUsage, "--trust-file: want the name of a file"},
		{free + "--signer-ca=", exitUsage, "--signer-ca: want the name of a file"},
		{free + "--policy " + policy + " --policy=", exitUsage, "--policy: want the name of a file, and it is empty"},
		{free + "--trust-on-first-use=false", exitUsage, "nothing says which enclave to accept"},
		{free + "--danger-skip-attestation-verification=false", exitUsage, "nothing says which enclave to accept"},
		{free + "--policy " + policy + " --auth-token=", exitUsage, "--auth-token: want a value, and it is empty"},
		{free + "--policy " + policy + " --tls-cert= --tls-key=", exitUsage, "--tls-cert: want the name of a file"},
		{free + "--policy " + policy + " --listen=", exitUsage, "--listen: want a value"},
		{"--listen nowhere " + signer + "--policy " + policy, exitUsage, "--listen: address nowhere: missing port"},
		{"--listen " + taken.Addr().String() + " " + signer + "--policy " + policy, exitFailure, "--listen: listen tcp " + taken.Addr().String()},
		{"--listen 127.0.0.1:0 --health-listen " + taken.Addr().String() + " " + signer + "--policy " + policy, exitFailure, "--health-listen: listen tcp "},
	} {
		var out, errs strings.Builder
		code := run(t.Context(), append([]string{"connect"}, strings.Fields(test.args)...), &out, &errs)
		if code != test.code || !strings.Contains(errs.String(), test.words) || strings.Contains(errs.String()+out.String(), "hunter2") {
			t.Errorf("%q: exit code %d, said %q; want %d and %q", test.args, code, errs.String(), test.code, test.words)
		}
	}
	t.Setenv("PRODUCTION", "true")
	var errs strings.Builder
	if code := run(t.Context(), strings.Fields("connect "+free+"--danger-skip-attestation-verification"), &errs, &errs); code != exitUsage || !strings.Contains(errs.String(), "refused with PRODUCTION=true") {
		t.Errorf("%d %s", code, errs.String())
	}
}

// TestConnectWarns of a listener that other machines reach in clear, or sign with the token, and of no other.
func TestConnectWarns(t *testing.T) {
	const clear, token = "without TLS", "whoever gets there signs with the token"
	for _, test := range []struct {
		address, token string
		secured        bool
		want           []string
	}{
		{"127.0.0.1:0", "", false, nil},
		{"127.0.0.1:0", "env:TOKEN", true, nil},
		{"0.0.0.0:0", "", false, []string{clear}},
		{":0", "env:TOKEN", false, []string{clear, token}},
		{":0", "env:TOKEN", true, []string{token}},
		{":0", "", true, nil},
	} {
		t.Run(fmt.Sprint(test), func(t *testing.T) {
			var errs strings.Builder
			cmd := newConnectCommand()
			cmd.SetErr(&errs)
			f := &connectFlags{listen: test.address, token: test.token}
			listener, health, err := f.bind(cmd, test.secured)
			if err != nil {
				t.Fatal(err)
			}
			defer listener.Close()
			if health != nil {
				t.Error("a listener for probes that nobody asked for")
			}
			for _, words := range []string{clear, token} {
				if strings.Contains(errs.String(), words) != slices.Contains(test.want, words) {
					t.Errorf("said %q, want %q", errs.String(), test.want)
				}
			}
		})
	}
}

// TestServiceUnit: what the unit says fits the command.
func TestServiceUnit(t *testing.T) {
	text, err := os.ReadFile("../../../scripts/systemd/containment-chamber-connect.service")
	if err != nil {
		t.Fatal(err)
	}
	command := regexp.MustCompile(`(?m)^ExecStart=\S+ connect (.*)$`).FindSubmatch(text)
	if command == nil {
		t.Fatal("the unit does not start connect")
	}
	flags := newConnectCommand().Flags()
	for _, name := range regexp.MustCompile(`--([a-z-]+)`).FindAllStringSubmatch(string(command[1]), -1) {
		if flags.Lookup(name[1]) == nil {
			t.Errorf("the unit names --%s, which the command has not", name[1])
		}
	}
	drain, err := flags.GetDuration("drain-timeout")
	if err != nil {
		t.Fatal(err)
	}
	stop := regexp.MustCompile(`(?m)^TimeoutStopSec=(\d+)$`).FindSubmatch(text)
	if stop == nil {
		t.Fatal("the unit does not say how long a stop may take")
	}
	if limit, err := time.ParseDuration(string(stop[1]) + "s"); err != nil || limit <= drain {
		t.Errorf("systemd kills after %v, %v; requests are let finish for %v", limit, err, drain)
	}
	if want := fmt.Sprintf("RestartPreventExitStatus=%d\n", exitUsage); !strings.Contains(string(text), want) {
		t.Errorf("the unit lacks %s", want)
	}
}
