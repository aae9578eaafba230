package launcher

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// with is an environment with other values; one that is empty is not set at all.
func with(environment map[string]string, changes ...string) map[string]string {
	changed := maps.Clone(environment)
	for _, change := range changes {
		name, value, _ := strings.Cut(change, "=")
		if changed[name] = value; value == "" {
			delete(changed, name)
		}
	}
	return changed
}

func TestConfigurationIsRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		changes []string
		want    string // how the line goes on after FATAL
	}{
		{"debug in production", []string{"PRODUCTION=true", "ENCLAVE_DEBUG=1"}, "ENCLAVE_DEBUG=1 with PRODUCTION=true: "},
		{"the same in other words", []string{"PRODUCTION=1", "ENCLAVE_DEBUG=TRUE"}, "ENCLAVE_DEBUG=TRUE with PRODUCTION=1: "},
		{"misspelt production", []string{"PRODUCTION=ture"}, "PRODUCTION=ture: want true or false"},
		{"misspelt debug", []string{"ENCLAVE_DEBUG=yes"}, "ENCLAVE_DEBUG=yes: want true or false"},
		{"memory not set", []string{"ENCLAVE_MEMORY_MIB="}, "ENCLAVE_MEMORY_MIB is not set: want MiB of memory for the enclave, at least 5 for this image"},
		{"memory below four times the image", []string{"ENCLAVE_MEMORY_MIB=4"}, "ENCLAVE_MEMORY_MIB=4: the image"},
		{"memory, what it has to be", []string{"ENCLAVE_MEMORY_MIB=4"}, "has 1048577 bytes, and an enclave needs 4 times that: want at least 5"},
		{"memory that is no number", []string{"ENCLAVE_MEMORY_MIB=1 GiB"}, "ENCLAVE_MEMORY_MIB=1 GiB: want MiB"},
		{"memory that bash would compute", []string{"ENCLAVE_MEMORY_MIB=a[$(id)]"}, "ENCLAVE_MEMORY_MIB=a[$(id)]: want MiB"},
		{"no CPU", []string{"ENCLAVE_CPU_COUNT=0"}, "ENCLAVE_CPU_COUNT=0: want how many"},
		{"CPUs not set", []string{"ENCLAVE_CPU_COUNT="}, "ENCLAVE_CPU_COUNT is not set: "},
		{"the host's identifier", []string{"ENCLAVE_CID=3"}, "ENCLAVE_CID=3: want a vsock context identifier from 4"},
		{"the identifier that stands for all", []string{"ENCLAVE_CID=4294967295"}, "ENCLAVE_CID=4294967295: "},
		{"policy", []string{"ENCLAVE_RESTART=sometimes"}, "ENCLAVE_RESTART=sometimes: want always, on-failure or never"},
		{"parent", []string{"ENCLAVE_PARENT_HEALTH=127.0.0.1:3001"}, "ENCLAVE_PARENT_HEALTH=127.0.0.1:3001: want a URL"},
		{"wait", []string{"ENCLAVE_POLL_MS=0"}, "ENCLAVE_POLL_MS=0: want milliseconds"},
		{"image", []string{"ENCLAVE_EIF=/nonexistent.eif"}, "ENCLAVE_EIF=/nonexistent.eif: no such file"},
		{"image that is no file", []string{"ENCLAVE_EIF=" + os.DevNull}, "ENCLAVE_EIF=/dev/null: no such file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h, environment := newHost(t)
			l := start(t, with(environment, c.changes...))
			l.end(t, 2)
			if said := l.said(); !strings.HasPrefix(said, "FATAL ") || !strings.Contains(said, c.want) || strings.Count(said, "\n") != 1 {
				t.Errorf("it said %q, want one line that begins with FATAL and has %q", said, c.want)
			}
			if calls := h.calls(t, ""); len(calls) > 0 {
				t.Errorf("it called %q", calls)
			}
		})
	}
}

func TestEmptyImage(t *testing.T) {
	t.Parallel()
	h, environment := newHost(t)
	h.set(t, "empty.eif")
	l := start(t, with(environment, "ENCLAVE_EIF="+h.path("empty.eif")))
	l.end(t, 2)
	if want := "FATAL ENCLAVE_EIF=" + h.path("empty.eif") + ": the file is empty\n"; l.said() != want {
		t.Errorf("it said %q, want %q", l.said(), want)
	}
}

func TestWhatIsMissing(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		make func(t *testing.T, h host, environment map[string]string)
		code int
		want string
	}{
		{"nitro-cli", func(t *testing.T, h host, _ map[string]string) {
			if err := os.Remove(h.path("bin/nitro-cli")); err != nil {
				t.Fatal(err)
			}
		}, 3, "nitro-cli is missing"},
		{"device", func(_ *testing.T, _ host, environment map[string]string) {
			environment["ENCLAVE_DEVICE"] = "/nonexistent/nitro_enclaves"
		}, 3, "there is no device /nonexistent/nitro_enclaves"},
		{"device that is a file", func(_ *testing.T, _ host, environment map[string]string) {
			environment["ENCLAVE_DEVICE"] = environment["ENCLAVE_EIF"]
		}, 3, "there is no device"},
		{"sockets", func(t *testing.T, h host, _ map[string]string) { h.set(t, "sockets") }, 1, "NITRO_CLI_SOCKETS_PATH="},
		{"logs", func(t *testing.T, h host, _ map[string]string) { h.set(t, "logs") }, 1, "NITRO_CLI_LOGS_PATH="},
		{"artifacts", func(_ *testing.T, _ host, environment map[string]string) {
			environment["NITRO_CLI_ARTIFACTS"] = filepath.Join(environment["ENCLAVE_EIF"], "artifacts")
		}, 1, "NITRO_CLI_ARTIFACTS="},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h, environment := newHost(t)
			c.make(t, h, environment)
			l := start(t, environment)
			l.end(t, c.code)
			if !strings.Contains(l.said(), c.want) {
				t.Errorf("it said %q, want %q", l.said(), c.want)
			}
			if calls := h.calls(t, "nitro-cli"); len(calls) > 0 {
				t.Errorf("it called %q", calls)
			}
		})
	}
}

func TestSwitchesInOtherWords(t *testing.T) {
	t.Parallel()
	for _, changes := range [][]string{
		{"PRODUCTION=TRUE"}, {"PRODUCTION=1", "ENCLAVE_DEBUG=0"}, {"PRODUCTION=true", "ENCLAVE_DEBUG=False"}, {"PRODUCTION=false"},
	} {
		t.Run(strings.Join(changes, " "), func(t *testing.T) {
			t.Parallel()
			h, environment := newHost(t)
			l := start(t, with(environment, changes...))
			l.awaitRunning(t, h)
			l.signal(t, syscall.SIGTERM)
			l.end(t, 0)
		})
	}
}
