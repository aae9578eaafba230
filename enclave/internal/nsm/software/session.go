// Package software simulates the enclave's security module under a development root; it is never linked into the enclave image.
package software

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"syscall"
	"time"

	"github.com/fxamacker/cbor/v2"
	hf "github.com/hf/nsm"
	"github.com/hf/nsm/request"
	"github.com/hf/nsm/response"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/nsm"
	"github.com/unforeseen-consequences/containment-chamber/shared/attestation/issuer"
)

// Limits of the device and its driver, in bytes. The largest document stays below the 12288 of an answer.
const (
	maxRequest = 4096
	randomSize = 256
)

// DefaultRegion names the simulated instance's certificates; it is no region of AWS.
const DefaultRegion = "local-dev-1"

// Options describe the simulated enclave.
type Options struct {
	// Dir holds the development root, root.pem and root.key. Both, and the directory, are made when absent. The root also stands for who
	// signed the image, in PCR8.
	Dir string
	// Executable is the file whose digest becomes PCR0 and PCR2, as [Measure] computes them.
	Executable string
	// RoleARN is the simulated instance's role, measured in PCR3; empty leaves PCR3 zero, as without a role.
	RoleARN string
	// Region stands in certificate names; empty is [DefaultRegion].
	Region string
	// Now is the device's clock; nil is time.Now.
	Now func() time.Time
}

// Session is a simulated security module. It is safe for concurrent use.
type Session struct {
	moduleID string
	now      func() time.Time
	root     *x509.Certificate

	mu     sync.Mutex // held for a whole request: the device answers one at a time
	pcrs   *bank
	issuer *issuer.Issuer
	closed bool
}

// Open starts a simulated enclave. The instance id, and with it PCR4, stays the same for one development root; the
// enclave id is new each time.
func Open(o Options) (*Session, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Region == "" {
		o.Region = DefaultRegion
	}
	if o.Dir == "" {
		return nil, errors.New("software NSM: no directory for the development root")
	}
	measured, err := Measure(o.Executable)
	if err != nil {
		return nil, fmt.Errorf("software NSM: %w", err)
	}
	root, err := loadRoot(o.Dir, o.Now())
	if err != nil {
		return nil, fmt.Errorf("software NSM: %w", err)
	}
	var enclaveID [8]byte
	_, _ = rand.Read(enclaveID[:]) // never fails
	instance := sha256.Sum256(root.Certificate.Raw)
	instanceID := "i-" + hex.EncodeToString(instance[:])[:17]
	moduleID := instanceID + "-enc" + hex.EncodeToString(enclaveID[:])
	i, err := issuer.NewIssuer(root, moduleID, o.Region, o.Now())
	if err != nil {
		return nil, fmt.Errorf("software NSM: %w", err)
	}
	return &Session{
		moduleID: moduleID, now: o.Now, root: root.Certificate,
		pcrs: newBank(measured, o.RoleARN, instanceID, root.Certificate.Raw), issuer: i,
	}, nil
}

// Root is the development root, under which documents stand.
func (s *Session) Root() *x509.Certificate { return s.root }

// Close ends the enclave: its registers are gone.
func (s *Session) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return nil
}

// Send answers one request as the device does.
func (s *Session) Send(req request.Request) (response.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return response.Response{}, hf.ErrSessionClosed
	}
	encoded, err := cbor.Marshal(req.Encoded())
	if err != nil {
		return response.Response{}, fmt.Errorf("encode request: %w", err)
	}
	if len(encoded) > maxRequest { // the driver refuses, the device never sees it
		return response.Response{}, &hf.ErrorIoctlFailed{Errno: syscall.EMSGSIZE}
	}
	switch r := req.(type) {
	case *request.GetRandom:
		random := make([]byte, randomSize)
		_, _ = rand.Read(random)
		return response.Response{GetRandom: &response.GetRandom{Random: random}}, nil
	case *request.DescribeNSM:
		return response.Response{DescribeNSM: &response.DescribeNSM{
			VersionMajor: 1, ModuleID: s.moduleID, MaxPCRs: registers, LockedPCRs: s.pcrs.lockedIndexes(), Digest: response.DigestSHA384,
		}}, nil
	case *request.DescribePCR:
		return s.pcrs.describe(r.Index), nil
	case *request.ExtendPCR:
		return s.pcrs.extend(r.Index, r.Data), nil
	case *request.LockPCR:
		return s.pcrs.lock(r.Index), nil
	case *request.LockPCRs:
		return s.pcrs.lockBelow(r.Range), nil
	case *request.Attestation:
		return s.attest(r), nil
	}
	return refuse(response.ECInvalidOperation), nil
}

// attest signs the locked registers and the given fields. The device takes fields of up to 1024 bytes.
func (s *Session) attest(r *request.Attestation) response.Response {
	for _, field := range [][]byte{r.UserData, r.Nonce, r.PublicKey} {
		if len(field) > nsm.MaxField {
			return refuse(nsm.CodeInputTooLarge)
		}
	}
	payload := issuer.Payload{PCRs: s.pcrs.attested(), UserData: r.UserData, Nonce: r.Nonce, PublicKey: r.PublicKey}
	document, err := s.issuer.Issue(payload, s.now())
	if err != nil {
		return refuse(response.ECInternalError)
	}
	return response.Response{Attestation: &response.Attestation{Document: document}}
}
