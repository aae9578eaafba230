package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func TestListModules(t *testing.T) {
	dir := t.TempDir()
	if list, err := listModules(dir); err != nil || list != nil {
		t.Errorf("nothing there: %v, %v", list, err)
	}
	write(t, dir, "nsm.ko", "", 0o644)
	if list, err := listModules(dir); err != nil || !cmp.Equal(list, []string{"nsm.ko"}) {
		t.Errorf("as AWS has it: %v, %v", list, err)
	}
	write(t, dir, "modules", "", 0o644)
	if list, err := listModules(dir); err != nil || list != nil {
		t.Errorf("an empty list: %v, %v", list, err)
	}
}

// refusal is what this kernel says of a file that is no module. It looks at nothing before it knows that the process may load any.
func refusal() error {
	if err := unix.FinitModule(-1, "", 0); !errors.Is(err, unix.EBADF) {
		return err
	}
	return unix.ENOEXEC
}

func TestLoadModulesRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		modules string // the file, unless it is empty
		make    func(path string) error
		want    error
		words   string
	}{
		"a module that is not there": {"none.ko\n", nil, fs.ErrNotExist, "load module none.ko: "},
		"what is no module":          {"no.ko\n", func(dir string) error { return os.WriteFile(dir+"/no.ko", []byte("no module"), 0o600) }, refusal(), "load module no.ko: "},
		"no module, as AWS has it":   {"", func(dir string) error { return os.WriteFile(dir+"/nsm.ko", []byte("no module"), 0o600) }, refusal(), "load module nsm.ko: "},
		"what cannot be found out":   {"", func(dir string) error { return os.Symlink("nsm.ko", dir+"/nsm.ko") }, unix.ELOOP, "load module nsm.ko: "},
		"a list that cannot be read": {"", func(dir string) error { return os.Mkdir(dir+"/modules", 0o700) }, unix.EISDIR, "modules: is a directory"},
	} {
		dir := t.TempDir()
		if test.modules != "" {
			write(t, dir, "modules", test.modules, 0o644)
		}
		if test.make != nil {
			if err := test.make(dir); err != nil {
				t.Fatal(err)
			}
		}
		if err := readySecurityModule(dir); !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.words) {
			t.Errorf("%s: got %v, want %q of %v", name, err, test.words, test.want)
		}
	}
}

// TestSecurityModuleIsNeeded: with no driver to load, which may be built in, what counts is the device.
func TestSecurityModuleIsNeeded(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"nothing":       {},
		"an empty list": {"modules": ""},
		"another file":  {"modules": "", "dev/nsm": "a file"},
	} {
		synctest.Test(t, func(t *testing.T) {
			dir := t.TempDir()
			for file, text := range files {
				write(t, dir, file, text, 0o644)
			}
			err := readySecurityModule(dir)
			if words := filepath.Join(dir, "dev/nsm"); err == nil || !strings.Contains(err.Error(), words) {
				t.Errorf("%s: got %v, want something of %s", name, err, words)
			}
		})
	}
}

// TestSecurityModuleIsAwaited has the device of the machine that is always there in its place, at once or after a while.
func TestSecurityModuleIsAwaited(t *testing.T) {
	for _, after := range []time.Duration{0, time.Nanosecond, driverTime - 20*time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			dir := t.TempDir()
			appear := func() {
				if err := errors.Join(os.Mkdir(dir+"/dev", 0o700), os.Symlink("/dev/null", dir+"/dev/nsm")); err != nil {
					t.Error(err)
				}
			}
			if after == 0 {
				appear()
			} else {
				time.AfterFunc(after, appear)
			}
			if err := readySecurityModule(dir); err != nil {
				t.Errorf("after %v: %v", after, err)
			}
		})
	}
}
