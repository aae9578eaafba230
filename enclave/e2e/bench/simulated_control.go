package main

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/e2e/rig"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/nsm/software"
	"github.com/unforeseen-consequences/containment-chamber/shared/atls"
	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
)

// control is what the measuring process asks. The paths are those of this program alone.
func (s *simulated) control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /readyz", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("POST /rotate", func(w http.ResponseWriter, r *http.Request) {
		if err := s.attested.Issue(r.Context()); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	mux.HandleFunc("GET /state", func(w http.ResponseWriter, _ *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		_ = json.NewEncoder(w).Encode(s.state) // a reader that is gone does not want it
	})
	return mux
}

// stand is a running simulated signer, seen from the measuring process.
type stand struct {
	process *rig.Process
	url     string // that it is told things at
	first   simulatedState
	options atls.Options // of clients that verify it
	chain   chain
}

// startStand starts a simulated signer with its files in dir. A rotation of 0 is when it is told to.
func startStand(ctx context.Context, dir string, c chain, validity, rotation time.Duration) (v *stand, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the simulated signer's directory: %w", err)
	}
	ports, err := rig.FreePorts(1)
	if err != nil {
		return nil, err
	}
	control := fmt.Sprintf("127.0.0.1:%d", ports[0])
	v = &stand{url: "http://" + control, chain: c}
	v.process, err = rig.Start(rig.Command{
		Name: "simulated signer", Binary: self, Log: filepath.Join(dir, "signer.log"),
		Args: []string{simulatedRole, "-dir", dir, "-control", control, "-validity", validity.String(), "-rotation", rotation.String()},
	})
	if err != nil {
		return nil, err
	}
	err = rig.AwaitReady(ctx, v.url)
	if err == nil {
		v.first, err = v.state(ctx)
	}
	if err == nil {
		v.options, err = trustStand(self, dir)
	}
	if err != nil {
		return nil, errors.Join(rig.Explain(err, v.process), v.stop())
	}
	return v, nil
}

// trustStand is what a careful client knows beforehand: the measurements of this very program, and the development root.
func trustStand(self, dir string) (atls.Options, error) {
	m, err := software.Measure(self)
	if err != nil {
		return atls.Options{}, err
	}
	text, err := os.ReadFile(software.RootFile(dir))
	if err != nil {
		return atls.Options{}, fmt.Errorf("read the development root: %w", err)
	}
	root, err := attestation.ParseRoot(text)
	if err != nil {
		return atls.Options{}, fmt.Errorf("read the development root: %w", err)
	}
	return atls.Options{
		Policy: attestation.Policy{Sets: []attestation.Set{{Label: "this build", PCRs: attestation.Measurements{0: m.PCR0, 1: m.PCR1, 2: m.PCR2}}}},
		Roots:  []*x509.Certificate{root},
	}, nil
}

func (v *stand) api() string { return v.first.Addresses[listenAPI] }

// rotate has the certificate replaced, and returns when it is.
func (v *stand) rotate(ctx context.Context) error {
	_, err := v.ask(ctx, http.MethodPost, "/rotate")
	return err
}

func (v *stand) state(ctx context.Context) (s simulatedState, err error) {
	text, err := v.ask(ctx, http.MethodGet, "/state")
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(text, &s); err != nil {
		return s, fmt.Errorf("ask the simulated signer: %w", err)
	}
	return s, nil
}

func (v *stand) ask(ctx context.Context, method, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, v.url+path, nil)
	if err != nil {
		return nil, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask the simulated signer: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", res.Status, text)
	}
	if err != nil {
		return nil, fmt.Errorf("ask the simulated signer: %s: %w", path, err)
	}
	return text, nil
}

// stop ends the process. A stand that never started is nil.
func (v *stand) stop() error {
	if v == nil {
		return nil
	}
	return v.process.Terminate()
}
