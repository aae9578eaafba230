package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/unforeseen-consequences/containment-chamber/enclave/e2e/nsm/told"
	"github.com/unforeseen-consequences/containment-chamber/enclave/e2e/rig"
	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
)

// story is what has happened so far.
type story struct {
	world   *world
	out     io.Writer
	parent  *rig.Process // nil before it is started
	machine *machine     // that runs; nil if none does
	from    int          // where the lines of the machine that runs begin in the parent's log
	facts   told.Facts
	pcr16   attestation.PCR
	client  *rig.Client
	tokens  struct{ setup, root string }
	key     string // that is stored
	vote    map[string]any
	signed  string // the signature of vote
}

// checks are all, in an order in which each finds what it needs.
func checks() []check {
	var all []check
	for _, part := range [][]check{deviceChecks(), signerChecks(), shippedChecks()} {
		all = append(all, part...)
	}
	return all
}

func (s *story) parentLog() string { return s.world.path("parent.log") }

// startParent starts the parent as an instance does, with what EKS tells a pod that has an IAM role.
func (s *story) startParent() (err error) {
	s.parent, err = rig.Start(rig.Command{
		Name: "parent", Binary: s.world.binary("containment-chamber-enclave-proxy"), Args: []string{"run", "-c", s.world.configFile()}, Log: s.parentLog(),
		Env: []string{"AWS_WEB_IDENTITY_TOKEN_FILE=" + s.world.path("token"), "AWS_ROLE_ARN=" + rig.KMSRole, "E2E_NSM_VSOCK=" + s.world.parentSocket()},
	})
	return err
}

// boot starts an image in the place of what runs.
func (s *story) boot(i image) error {
	if err := s.haltMachine(); err != nil {
		return err
	}
	s.from = len(s.log())
	var err error
	s.machine, err = s.world.boot(i.path)
	return err
}

func (s *story) haltMachine() error {
	if s.machine == nil {
		return nil
	}
	running := s.machine
	s.machine = nil
	return running.stop()
}

// halt ends what runs.
func (s *story) halt() error {
	err := s.haltMachine()
	if s.parent != nil {
		err = errors.Join(err, s.parent.Terminate())
	}
	return err
}

// log is the parent's so far, the enclave's lines among them.
func (s *story) log() string {
	text, err := os.ReadFile(s.parentLog())
	if err != nil {
		return ""
	}
	return string(text)
}

// awaitLine waits for a line of the enclave that runs with all these words.
func (s *story) awaitLine(ctx context.Context, words ...string) (found string, err error) {
	err = rig.Await(ctx, fmt.Sprintf("a log line with %q", words), func() (bool, error) {
		over := s.machine.over() // before its lines are read: nothing comes after
		for line := range strings.Lines(s.log()[s.from:]) {
			has := strings.Contains(line, `"process":"enclave"`)
			for _, word := range words {
				has = has && strings.Contains(line, word)
			}
			if has {
				found = strings.TrimSpace(line)
				return true, nil
			}
		}
		return false, over
	})
	return found, err
}

// explain adds what the processes wrote last.
func (s *story) explain(err error) error {
	var running []*rig.Process
	if s.parent != nil {
		running = append(running, s.parent)
	}
	if s.machine != nil {
		running = append(running, s.machine.Process)
	}
	return rig.Explain(err, running...)
}
