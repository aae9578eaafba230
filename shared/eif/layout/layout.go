// Package layout puts together the two ramdisks of an enclave image, so that AWS's stock init and ours find what they look for.
package layout

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/unforeseen-consequences/containment-chamber/shared/eif/ramdisk"
)

// The names of what the init looks for. AWS's looks for nsm.ko, env, cmd and rootfs; modules is ours.
const (
	initFile    = "init"
	modulesFile = "modules"
	envFile     = "env"
	cmdFile     = "cmd"
	rootDir     = "rootfs"
)

// Module is a module of the kernel, such as nsm.ko.
type Module struct {
	Name string // of the file, ending in .ko
	Body []byte // as the kernel loads it, not compressed
}

// Boot is the first ramdisk: the init, the modules, and a list of them in the order in which they are loaded. It is what PCR1 has
// besides the kernel.
func Boot(init []byte, modules []Module) (*ramdisk.Tree, error) {
	t := ramdisk.NewTree()
	if len(init) == 0 {
		return nil, errors.New("boot ramdisk: the init is empty")
	}
	files := []struct {
		name  string
		entry ramdisk.Entry
	}{
		{initFile, ramdisk.Entry{Mode: ramdisk.Regular | 0o755, Body: init}},
		{"dev", ramdisk.Entry{Mode: ramdisk.Directory | 0o755}},
	}
	var list strings.Builder
	for _, m := range modules {
		name := m.Name
		if path.Base(name) != name || !strings.HasSuffix(name, ".ko") || strings.ContainsAny(name, "\n") {
			return nil, fmt.Errorf("boot ramdisk: module %q, want a file name that ends in .ko", name)
		}
		if _, twice := t.Get(name); twice {
			return nil, fmt.Errorf("boot ramdisk: module %s stands there twice", name)
		}
		if err := t.Put(name, ramdisk.Entry{Mode: ramdisk.Regular | 0o644, Body: m.Body}); err != nil {
			return nil, fmt.Errorf("boot ramdisk: %w", err)
		}
		list.WriteString(name + "\n")
	}
	files = append(files, struct {
		name  string
		entry ramdisk.Entry
	}{modulesFile, ramdisk.Entry{Mode: ramdisk.Regular | 0o644, Body: []byte(list.String())}})
	for _, f := range files {
		if err := t.Put(f.name, f.entry); err != nil {
			return nil, fmt.Errorf("boot ramdisk: %w", err)
		}
	}
	return t, nil
}

// Application is the second ramdisk: a program's files below rootfs, the command that is run in it and its environment. It is what PCR2
// has. The directories that the init mounts on are made if they are missing.
func Application(root *ramdisk.Tree, cmd, env []string) (*ramdisk.Tree, error) {
	t, err := application(root, cmd, env)
	if err != nil {
		return nil, fmt.Errorf("application ramdisk: %w", err)
	}
	return t, nil
}

func application(root *ramdisk.Tree, cmd, env []string) (*ramdisk.Tree, error) {
	if len(cmd) == 0 || cmd[0] == "" {
		return nil, errors.New("no command")
	}
	for _, v := range env {
		if name, _, ok := strings.Cut(v, "="); !ok || name == "" {
			return nil, fmt.Errorf("environment %.80q, want NAME=value", v)
		}
	}
	t := ramdisk.NewTree()
	if err := t.Graft(rootDir, root); err != nil {
		return nil, err
	}
	for name, mode := range map[string]ramdisk.Mode{"dev": 0o755, "proc": 0o755, "run": 0o755, "sys": 0o755, "tmp": 0o1777, "var": 0o755} {
		name = path.Join(rootDir, name)
		if e, ok := t.Get(name); ok {
			if e.Mode.Type() != ramdisk.Directory {
				return nil, fmt.Errorf("%q is a %v; the init needs a directory there", name, e.Mode)
			}
			continue
		}
		if err := t.Put(name, ramdisk.Entry{Mode: ramdisk.Directory | mode}); err != nil {
			return nil, err
		}
	}
	for name, list := range map[string][]string{cmdFile: cmd, envFile: env} {
		text, err := lines(list)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if err := t.Put(name, ramdisk.Entry{Mode: ramdisk.Regular | 0o644, Body: text}); err != nil {
			return nil, err
		}
	}
	return t, runnable(root, cmd[0])
}

// runnable refuses a program that is not there: the enclave would send its heartbeat, and then end without a word. One without a slash
// is looked for when it runs, and what is behind a symlink is not followed.
func runnable(root *ramdisk.Tree, program string) error {
	if !strings.Contains(program, "/") {
		return nil
	}
	at := ""
	for element := range strings.SplitSeq(strings.TrimPrefix(path.Clean("/"+program), "/"), "/") {
		at = path.Join(at, element)
		e, ok := root.Get(at)
		if !ok {
			return fmt.Errorf("command %.200q: there is no %s in the root", program, at)
		}
		if e.Mode.Type() == ramdisk.Symlink {
			return nil
		}
	}
	if e, _ := root.Get(at); e.Mode.Type() != ramdisk.Regular || e.Mode&0o111 == 0 {
		return fmt.Errorf("command %.200q is a %v, want a file that may be executed", program, e.Mode)
	}
	return nil
}

// lines is how the init reads a list.
func lines(list []string) ([]byte, error) {
	var out strings.Builder
	for _, line := range list {
		if strings.ContainsAny(line, "\n\x00") {
			return nil, fmt.Errorf("%.80q has a line break or a zero byte, which has no form in this file", line)
		}
		out.WriteString(line + "\n")
	}
	return []byte(out.String()), nil
}
