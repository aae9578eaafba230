package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/e2e/rig"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/nsm/software"
)

// split is a running parent and its enclave.
type split struct {
	*rig.Split

	world  *world
	began  time.Time // of the enclave
	from   int       // where the enclave's lines begin in the parent's log
	client *rig.Client
	policy string // file by which an operator knows this enclave
}

// startSplit starts a parent with a configuration, and an image beside it.
func (w *world) startSplit(i image, c configured) (*split, error) {
	s := &split{world: w, policy: w.path("policy.yaml")}
	policy, root, err := rig.Trust(i.path, c.enclave, software.RootFile(w.path("nsm")))
	if err != nil {
		return nil, err
	}
	if err := rig.WritePolicy(s.policy, policy); err != nil {
		return nil, err
	}
	if s.client, err = rig.NewClient(w.ports.API, policy, root); err != nil {
		return nil, err
	}
	s.begin()
	s.Split, err = rig.StartSplit(rig.Command{
		Name: "parent", Binary: w.path("bin", "parent"), Args: []string{"run", "-c", c.parent}, Log: w.path("parent.log"),
		// What EKS tells a pod with an IAM role for its service account. The enclave has none of it.
		Env: []string{"AWS_WEB_IDENTITY_TOKEN_FILE=" + w.path("token"), "AWS_ROLE_ARN=" + rig.KMSRole},
	}, rig.Command{
		Name: "enclave", Binary: i.path, Args: []string{"server", "-c", c.enclave}, Log: w.path("enclave.log"),
		// The stand-in's authority is trusted as STS's too, which the product has no key for: this stands for the roots of the image.
		Env: []string{"SSL_CERT_FILE=" + w.path("aws.pem")},
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// begin notes where the enclave's time and lines begin.
func (s *split) begin() { s.began, s.from = time.Now(), len(s.log()) }

// startEnclave starts the enclave again.
func (s *split) startEnclave() error {
	s.begin()
	return s.StartSigner()
}

// kill ends the enclave as a crash does.
func (s *split) kill() error {
	s.client.Close()
	return s.Signer.Kill()
}

// stop drains both.
func (s *split) stop() error {
	s.client.Close()
	return s.Stop()
}

// ended says that the enclave has ended.
func (s *split) ended() bool {
	select {
	case <-s.Signer.Done():
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
	err = rig.Await(ctx, fmt.Sprintf("a log line with %q", text), func() (bool, error) {
		if found := s.lines(text); len(found) > 0 {
			line = found[len(found)-1]
		}
		return line != "", nil
	})
	return line, err
}
