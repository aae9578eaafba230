package rig

import (
	"context"
	"errors"
	"strings"
	"testing"
)

// TestDuring: what is done ends with a process that ends by itself, and knows which; one that is stopped afterwards is no concern of it.
func TestDuring(t *testing.T) {
	shell := func(name, script string) *Process {
		p, err := Start(Command{Name: name, Binary: "/bin/sh", Args: []string{"-c", script}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = p.Kill() })
		return p
	}
	stays := shell("one that stays", "exec cat /dev/zero >/dev/null")
	if err := During(t.Context(), func(ctx context.Context) error { return ctx.Err() }, stays); err != nil {
		t.Errorf("nothing has ended: %v", err)
	}
	err := During(t.Context(), func(ctx context.Context) error {
		<-ctx.Done()
		return context.Cause(ctx)
	}, stays, shell("one that goes", "exit 3"))
	if !errors.Is(err, ErrEnded) || !strings.Contains(err.Error(), "one that goes ended by itself") {
		t.Errorf("%v, want the one that goes", err)
	}
}

// TestStartWithEnvironment: what a command is given goes before what this process has.
func TestStartWithEnvironment(t *testing.T) {
	t.Setenv("SHOWN", "inherited")
	t.Setenv("CONTAINMENT_SHOWN", "inherited")
	p, err := Start(Command{Name: "shell", Binary: "/bin/sh", Args: []string{"-c", `echo "$SHOWN,$CONTAINMENT_SHOWN"`}, Env: []string{"SHOWN=given"}})
	if err != nil {
		t.Fatal(err)
	}
	<-p.Done()
	if lines := p.Lines(); len(lines) != 1 || lines[0] != "given," {
		t.Errorf("%q", lines)
	}
}
