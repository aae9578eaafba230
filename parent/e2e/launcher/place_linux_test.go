package launcher

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSecondLauncher(t *testing.T) {
	t.Parallel()
	h, environment := newHost(t)
	first := start(t, environment)
	e := first.awaitRunning(t, h)
	second := start(t, environment)
	second.end(t, 1)
	if want := "another launcher runs on NITRO_CLI_SOCKETS_PATH=" + environment["NITRO_CLI_SOCKETS_PATH"]; !strings.Contains(second.said(), want) {
		t.Errorf("it said %q, want %q", second.said(), want)
	}
	if diff := cmp.Diff([]enclave{e}, h.enclaves(t)); diff != "" {
		t.Errorf("enclaves (-of the first +now):\n%s", diff)
	}
	first.stop(t, h)
}

func TestLogsDoNotGrow(t *testing.T) {
	t.Parallel()
	h, environment := newHost(t)
	logs := environment["NITRO_CLI_LOGS_PATH"]
	if err := os.Mkdir(logs, 0o700); err != nil {
		t.Fatal(err)
	}
	var want []string
	for i := range 13 {
		name := filepath.Join(logs, fmt.Sprintf("err2026-11-22T07:00:%02d.000000000+00:00.log", i))
		if i > 2 {
			want = append(want, name)
		}
		write(t, name, 1)
	}
	log := filepath.Join(logs, "nitro_enclaves.log")
	write(t, log, 1<<20)
	l := start(t, with(environment, "ENCLAVE_LOG_MIB=1"))
	l.awaitRunning(t, h)
	l.awaitLooks(t, h, 1)
	if _, err := os.Stat(log); err != nil {
		t.Errorf("a log of the size that is allowed: %v", err)
	}
	kept, err := filepath.Glob(filepath.Join(logs, "err*.log"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, kept); diff != "" {
		t.Errorf("files of errors (-want +got):\n%s", diff)
	}
	write(t, log, 1<<20+1)
	l.await(t, "the log to be put aside", func() bool {
		_, err := os.Stat(log)
		return os.IsNotExist(err)
	})
	if info, err := os.Stat(log + ".1"); err != nil || info.Size() != 1<<20+1 {
		t.Errorf("what was put aside: %v, %v", info, err)
	}
	l.stop(t, h)
}

func write(t *testing.T, file string, size int) {
	t.Helper()
	if err := os.WriteFile(file, make([]byte, size), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestLevelOfTheLog(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ set, want string }{{"", "warn"}, {"debug", "debug"}} {
		t.Run(c.want, func(t *testing.T) {
			t.Parallel()
			h, environment := newHost(t)
			l := start(t, with(environment, "RUST_LOG="+c.set))
			l.awaitRunning(t, h)
			l.stop(t, h)
			if diff := cmp.Diff([]string{"RUST_LOG=" + c.want}, h.calls(t, "RUST_LOG")); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
