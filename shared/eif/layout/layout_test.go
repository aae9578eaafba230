package layout_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/unforeseen-consequences/containment-chamber/shared/eif/layout"
	"github.com/unforeseen-consequences/containment-chamber/shared/eif/ramdisk"
)

func listing(t *ramdisk.Tree) (out []string) {
	for _, name := range t.Names() {
		e, _ := t.Get(name)
		out = append(out, fmt.Sprintf("%s %v %q", name, e.Mode, e.Body))
	}
	return out
}

func TestBoot(t *testing.T) {
	got, err := layout.Boot([]byte("init"), []layout.Module{{"rng-core.ko", []byte("r")}, {"nsm.ko", []byte("n")}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{
		`dev directory 0755 ""`, `init file 0755 "init"`, `modules file 0644 "rng-core.ko\nnsm.ko\n"`, `nsm.ko file 0644 "n"`, `rng-core.ko file 0644 "r"`,
	}, listing(got)); diff != "" {
		t.Error(diff)
	}
}

func TestBootRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		init    string
		modules []string
		words   string
	}{
		"no init":     {"", nil, "the init is empty"},
		"a path":      {"x", []string{"a/nsm.ko"}, "want a file name"},
		"no module":   {"x", []string{"init"}, "want a file name that ends in .ko"},
		"a line":      {"x", []string{"a\nb.ko"}, "want a file name"},
		"twice":       {"x", []string{"nsm.ko", "nsm.ko"}, "stands there twice"},
		"above":       {"x", []string{"../nsm.ko"}, "want a file name"},
		"a zero byte": {"x", []string{"a\x00.ko"}, "not a plain path"},
	} {
		var modules []layout.Module
		for _, m := range test.modules {
			modules = append(modules, layout.Module{Name: m})
		}
		if _, err := layout.Boot([]byte(test.init), modules); err == nil || !strings.Contains(err.Error(), test.words) {
			t.Errorf("%s: %v, want %q", name, err, test.words)
		}
	}
}

func rootOf(t *testing.T, entries map[string]ramdisk.Entry) *ramdisk.Tree {
	t.Helper()
	out := ramdisk.NewTree()
	for name, e := range entries {
		if err := out.Put(name, e); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func TestApplication(t *testing.T) {
	root := rootOf(t, map[string]ramdisk.Entry{"app": {Mode: ramdisk.Regular | 0o755, Body: []byte("app")}, "tmp": {Mode: ramdisk.Directory | 0o700}})
	got, err := layout.Application(root, []string{"/app", "", "two words"}, []string{"A=b", "C="})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{
		`cmd file 0644 "/app\n\ntwo words\n"`, `env file 0644 "A=b\nC=\n"`, `rootfs directory 0755 ""`, `rootfs/app file 0755 "app"`,
		`rootfs/dev directory 0755 ""`, `rootfs/proc directory 0755 ""`, `rootfs/run directory 0755 ""`, `rootfs/sys directory 0755 ""`,
		`rootfs/tmp directory 0700 ""`, `rootfs/var directory 0755 ""`,
	}, listing(got)); diff != "" {
		t.Error(diff)
	}
}

// TestApplicationBehindLinks: what a name without a slash, or a symlink, leads to is only known where it runs.
func TestApplicationBehindLinks(t *testing.T) {
	root := map[string]ramdisk.Entry{"bin": {Mode: ramdisk.Symlink | 0o777, Target: "usr/bin"}}
	for _, program := range []string{"sh", "/bin/sh", "/bin"} {
		if _, err := layout.Application(rootOf(t, root), []string{program}, nil); err != nil {
			t.Errorf("%s: %v", program, err)
		}
	}
}

func TestApplicationRefuses(t *testing.T) {
	link := ramdisk.Entry{Mode: ramdisk.Symlink | 0o777, Target: "/elsewhere"}
	for name, test := range map[string]struct {
		root     map[string]ramdisk.Entry
		cmd, env []string
		words    string
	}{
		"no command":         {nil, nil, nil, "no command"},
		"empty command":      {nil, []string{""}, nil, "no command"},
		"lines in a command": {nil, []string{"/a", "b\nc"}, nil, "a line break or a zero byte"},
		"zero in a command":  {nil, []string{"/a\x00"}, nil, "a line break or a zero byte"},
		"lines in a value":   {nil, []string{"/a"}, []string{"A=b\nLD_PRELOAD=c"}, "a line break or a zero byte"},
		"no value":           {nil, []string{"/a"}, []string{"A"}, "want NAME=value"},
		"no name":            {nil, []string{"/a"}, []string{"=b"}, "want NAME=value"},
		"no such program":    {nil, []string{"/bin/a"}, nil, `command "/bin/a": there is no bin in the root`},
		"not executable":     {map[string]ramdisk.Entry{"a": {Mode: ramdisk.Regular | 0o644}}, []string{"/a"}, nil, `command "/a" is a file 0644, want a file that may be executed`},
		"a directory":        {map[string]ramdisk.Entry{"a": {Mode: ramdisk.Directory | 0o755}}, []string{"./a/"}, nil, `want a file that may be executed`},
		"a mount elsewhere":  {map[string]ramdisk.Entry{"proc": link}, []string{"/a"}, nil, `"rootfs/proc" is a symlink`},
	} {
		if _, err := layout.Application(rootOf(t, test.root), test.cmd, test.env); err == nil || !strings.Contains(err.Error(), test.words) {
			t.Errorf("%s: %v, want %q", name, err, test.words)
		}
	}
}
