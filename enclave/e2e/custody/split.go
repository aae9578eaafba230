package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/e2e/rig"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/nsm/software"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/policyfile"
)

// split is a running parent and its enclave.
type split struct {
	world   *world
	image   image
	config  configured
	parent  *rig.Process
	enclave *rig.Process
	began   time.Time // of the enclave
	from    int       // where the enclave's lines begin in the parent's log
	client  *client
	policy  string // file by which an operator knows this enclave
}

// startSplit starts a parent with a configuration, and an image beside it.
func (w *world) startSplit(i image, c configured) (*split, error) {
	s := &split{world: w, image: i, config: c, policy: w.path("policy.yaml")}
	policy, root, err := rig.Trust(i.path, c.enclave, software.RootFile(w.path("nsm")))
	if err != nil {
		return nil, err
	}
	text, err := policyfile.Format(policy, "what this story's enclave is")
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(s.policy, text, 0o600); err != nil {
		return nil, err
	}
	if s.client, err = newClient(w.ports.API, policy, root); err != nil {
		return nil, err
	}
	// What EKS tells a pod with an IAM role for its service account. The enclave has none of it.
	s.parent, err = w.start("parent", []string{
		"AWS_WEB_IDENTITY_TOKEN_FILE=" + w.path("token"), "AWS_ROLE_ARN=" + roleARN,
	}, w.path("bin", "parent"), "run", "-c", c.parent)
	if err != nil {
		return nil, err
	}
	if err := s.startEnclave(); err != nil {
		return nil, errors.Join(err, s.parent.Terminate())
	}
	return s, nil
}

// startEnclave also trusts the stand-in's authority as STS's, which the product has no key for: SSL_CERT_FILE stands for the roots of the image.
func (s *split) startEnclave() (err error) {
	s.began, s.from = time.Now(), len(s.log())
	s.enclave, err = s.world.start("enclave", []string{"SSL_CERT_FILE=" + s.world.path("aws.pem")}, s.image.path, "server", "-c", s.config.enclave)
	return err
}

// start starts a program by env, which becomes it.
func (w *world) start(name string, environ []string, program string, args ...string) (*rig.Process, error) {
	all := append([]string{"-u", "AWS_CONTAINER_CREDENTIALS_FULL_URI"}, environ...)
	return rig.Start(rig.Command{Name: name, Binary: "/usr/bin/env", Args: append(append(all, program), args...), Log: w.path(name + ".log")})
}

// kill ends the enclave as a crash does.
func (s *split) kill() error {
	s.client.close()
	return kill(s.enclave)
}

func kill(p *rig.Process) error {
	if err := syscall.Kill(p.PID(), syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("kill: %w", err)
	}
	<-p.Done()
	return nil
}

// stop drains both, the enclave first.
func (s *split) stop() error {
	s.client.close()
	return errors.Join(s.enclave.Terminate(), s.parent.Terminate())
}

// ended says that the enclave has ended.
func (s *split) ended() bool {
	select {
	case <-s.enclave.Done():
		return true
	default:
		return false
	}
}

// log is the parent's log so far, of all parents.
func (s *split) log() string {
	text, err := os.ReadFile(s.world.path("parent.log"))
	if err != nil {
		return ""
	}
	return string(text)
}

// lines are what the enclave logged since its start that has a text in it.
func (s *split) lines(text string) (found []string) {
	for line := range strings.Lines(s.log()[s.from:]) {
		if strings.Contains(line, `"process":"enclave"`) && strings.Contains(line, text) {
			found = append(found, strings.TrimSpace(line))
		}
	}
	return found
}

// awaitLine waits for a line of the enclave's log.
func (s *split) awaitLine(ctx context.Context, text string) (line string, err error) {
	err = await(ctx, fmt.Sprintf("a log line with %q", text), func() (bool, error) {
		if found := s.lines(text); len(found) > 0 {
			line = found[len(found)-1]
		}
		return line != "", nil
	})
	return line, err
}

// awaitLimit is how long anything may take: the longest pause between two tries of the chamber is 30 s, give or take a third.
const awaitLimit = 60 * time.Second

// errEnded is a reason not to wait any longer.
var errEnded = errors.New("the enclave has ended by itself")

// await asks until the answer is yes. The error tells what was waited for, and the last reason why it was not there.
func await(ctx context.Context, what string, ask func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, awaitLimit)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		done, err := ask()
		if done {
			return nil
		}
		if errors.Is(err, errEnded) {
			return fmt.Errorf("waited for %s: %w", what, err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("waited for %s: %w", what, context.Cause(ctx)), err)
		}
	}
}
