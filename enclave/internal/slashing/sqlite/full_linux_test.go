package sqlite_test

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/sqlite"
)

// smallEnv has the test mount a small file system on the directory that it names.
const smallEnv = "SQLITE_TEST_SMALL"

// mounted is what the test says in its namespace once the small file system is there.
const mounted = "a file system of 512 KiB is mounted"

// TestFullDisk runs itself in a namespace of its own, where it may mount a small file system, and fills that. Where that is
// forbidden, TestFullDatabase alone stands for it.
func TestFullDisk(t *testing.T) {
	if dir := os.Getenv(smallEnv); dir != "" {
		if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=512k"); err != nil {
			t.Fatal(err)
		}
		t.Log(mounted)
		testFullDisk(t, dir)
		return
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.CommandContext(t.Context(), exe, "-test.run=^TestFullDisk$", "-test.v")
	child.Env = append(os.Environ(), smallEnv+"="+t.TempDir())
	child.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}
	out, err := child.CombinedOutput()
	switch {
	case !strings.Contains(string(out), mounted):
		t.Logf("no file system can be mounted here: %v\n%s", err, out)
	case err != nil:
		t.Errorf("%v\n%s", err, out)
	}
}

// fill writes a file until nothing fits any more.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for err == nil {
		_, err = io.WriteString(f, strings.Repeat("x", 512))
	}
	if !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
}

func testFullDisk(t *testing.T, dir string) {
	path, filler := filepath.Join(dir, "s.sqlite"), filepath.Join(dir, "filler")
	s := open(t, path)
	blocks := func(slot uint64, keys ...byte) []slashing.Claim {
		var claims []slashing.Claim
		for _, key := range keys {
			claims = append(claims, slashing.Claim{Key: bls.PublicKey{key}, Vote: slashing.Block{Slot: slot}})
		}
		return claims
	}
	checkRecorded(t, s, blocks(1, 1, 2))
	fill(t, filler)
	for name, call := range map[string]func() error{
		"Advance":              func() error { _, err := s.Advance(t.Context(), blocks(2, 1)); return err },
		"Advance of a new key": func() error { _, err := s.Advance(t.Context(), blocks(2, 3)); return err },
		"Merge": func() error {
			return s.Merge(t.Context(), []slashing.Record{{Key: bls.PublicKey{2}, Block: &slashing.Block{Slot: 7}}})
		},
		"SetHighWatermark": func() error { return s.SetHighWatermark(t.Context(), nil, slashing.HighWatermark{}) },
	} {
		if err := call(); !errors.Is(err, slashing.ErrUnavailable) || !strings.Contains(err.Error(), "database or disk is full") {
			t.Errorf("%s on a full disk: %v", name, err)
		}
	}
	if got := onRecord(t, s); got != "1:1 2:1" {
		t.Errorf("on record: %s", got)
	}

	// What a crash would leave now. To read the file in this process would release its lock.
	crashed := t.TempDir()
	for _, name := range []string{"s.sqlite", "s.sqlite-wal"} {
		if out, err := exec.CommandContext(t.Context(), "cp", filepath.Join(dir, name), crashed).CombinedOutput(); err != nil { //nolint:gosec // both are this test's
			t.Fatalf("%v: %s", err, out)
		}
	}
	if got := onRecord(t, open(t, filepath.Join(crashed, "s.sqlite"))); got != "1:1 2:1" {
		t.Errorf("on record after a crash: %s", got)
	}

	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	checkRecorded(t, s, blocks(2, 1, 3))
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	s = open(t, path)
	if got := onRecord(t, s); got != "1:2 2:1 3:2" {
		t.Errorf("on record once there is room: %s", got)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}

	// It says so if it cannot even be opened, and nothing is lost.
	fill(t, filler)
	if s, err := sqlite.Open(t.Context(), path); err == nil {
		_ = s.Close()
		t.Error("opened on a full disk")
	} else if text := err.Error(); !strings.Contains(text, "slashing database "+path+": ") || !strings.Contains(text, "database or disk is full") {
		t.Error(err)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	checkRecorded(t, open(t, path), blocks(3, 1, 2, 3))
}
