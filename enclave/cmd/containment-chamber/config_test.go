package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// configRun runs "config ARGS" and returns what it printed.
func configRun(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out strings.Builder
	cmd := newConfigCommand()
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetOut(&out)
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

func configFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const configNoop = "network: hoodi\nanti_slashing: {backend: noop}\n"

func TestConfigCheck(t *testing.T) {
	out, err := configRun(t, "check", "-c", configFile(t, configNoop))
	if err != nil || !strings.HasPrefix(out, "warning: anti_slashing.backend is noop") || !strings.HasSuffix(out, "\nok\n") {
		t.Errorf("got %q, %v", out, err)
	}
	path := configFile(t, "netwerk: hoodi\n")
	t.Setenv("CONTAINMENT_LOG__LEVEL", "loud")
	out, err = configRun(t, "check", "-c", path, "--server-listen-port", "http")
	if err == nil || out != "" {
		t.Fatalf("got %q, %v", out, err)
	}
	for _, want := range []string{path + ":1: netwerk: unknown key", "log.level: want", "server.listen_port: want", "anti_slashing.backend: must be set"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in\n%v", want, err)
		}
	}
}

func TestConfigDigest(t *testing.T) {
	path := configFile(t, configNoop)
	// printf %s '{"anti_slashing":{"backend":"noop"},"network":"hoodi"}' | sha384sum
	const want = "1c303f0f48dbeca8a384ee96a6da293cd73c771702833c6727a765e678286dc625fd03b057be66246c986a384db7a0e5\n"
	if out, err := configRun(t, "digest", "-c", path); err != nil || out != want {
		t.Errorf("got %q, %v; want %q", out, err, want)
	}
	const json = `{"anti_slashing":{"backend":"noop"},"network":"hoodi"}` + "\n"
	if out, err := configRun(t, "digest", "--verbose", "-c", path); err != nil || out != json {
		t.Errorf("got %q, %v; want %q", out, err, json)
	}
}

func TestConfigDiff(t *testing.T) {
	base := configFile(t, configNoop)
	for _, test := range []struct {
		name, text, out string
		code            int
	}{
		{"equal", "# the same\n" + configNoop, "", 0},
		{"unmeasured", configNoop + "log: {level: debug}\n", "          log.level: unset (default info) -> \"debug\"\n", 3},
		{"measured", strings.Replace(configNoop, "hoodi", "mainnet", 1), "measured  network: \"hoodi\" -> \"mainnet\"\n", 4},
	} {
		t.Run(test.name, func(t *testing.T) {
			out, err := configRun(t, "diff", base, configFile(t, test.text))
			code := 0
			if e, ok := errors.AsType[exitError](err); ok {
				code = e.ExitCode()
			} else if err != nil {
				t.Fatal(err)
			}
			if out != test.out || code != test.code {
				t.Errorf("got %q and exit code %d, want %q and %d", out, code, test.out, test.code)
			}
		})
	}
	if out, err := configRun(t, "diff", base, "missing.yaml"); err == nil || !strings.Contains(err.Error(), "missing.yaml") || out != "" {
		t.Errorf("got %q, %v", out, err)
	}
}

func TestConfigExample(t *testing.T) {
	out, err := configRun(t, "example")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := configRun(t, "check", "-c", configFile(t, out)); err != nil {
		t.Error(err)
	}
}
