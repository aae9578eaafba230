package main

import (
	"crypto/x509"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/hf/nsm/request"  //nolint:depguard // it stands between the device and its one owner
	"github.com/hf/nsm/response" //nolint:depguard // the same

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/nsm"
	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
	"github.com/unforeseen-consequences/containment-chamber/shared/attestation/issuer"
)

// The development root of the image. Whoever reads the image can forge its documents.
const (
	rootFile = "/nsm/root.pem"
	keyFile  = "/nsm/root.key"
)

// openNSM opens the device, and has its documents signed under the development root.
func openNSM() (nsm.Session, []*x509.Certificate, error) {
	s, err := nsm.Open()
	if err != nil {
		return nil, nil, err
	}
	out, err := newSigned(s)
	if err != nil {
		_ = s.Close()
		return nil, nil, err
	}
	return out, []*x509.Certificate{out.root.Certificate}, nil
}

// region stands in the names of the certificates.
const region = "local-dev-1"

// signed is the device, with a signature under its documents. Registers, fields and time of a document are the device's.
type signed struct {
	nsm.Session

	root   *issuer.Root
	mu     sync.Mutex // held while issuer is used
	issuer *issuer.Issuer
}

func newSigned(s nsm.Session) (*signed, error) {
	cert, err := os.ReadFile(rootFile)
	if err != nil {
		return nil, err
	}
	key, err := os.ReadFile(keyFile)
	if err != nil {
		return nil, err
	}
	root, err := issuer.ParseRoot(cert, key)
	if err != nil {
		return nil, fmt.Errorf("development root: %w", err)
	}
	res, err := s.Send(&request.DescribeNSM{})
	if err != nil || res.DescribeNSM == nil {
		return nil, fmt.Errorf("describe the device: %s: %w", res.Error, err)
	}
	made, err := issuer.NewIssuer(root, res.DescribeNSM.ModuleID, region, time.Now())
	if err != nil {
		return nil, err
	}
	return &signed{Session: s, root: root, issuer: made}, nil
}

// Send implements nsm.Session.
func (s *signed) Send(r request.Request) (response.Response, error) {
	res, err := s.Session.Send(r)
	if err != nil || res.Attestation == nil {
		return res, err
	}
	if res.Attestation.Document, err = s.sign(res.Attestation.Document); err != nil {
		return response.Response{}, fmt.Errorf("sign the device's document: %w", err)
	}
	return res, nil
}

// payload is what the device says in a document.
type payload struct {
	Timestamp uint64            `cbor:"timestamp"` // milliseconds
	PCRs      map[uint16][]byte `cbor:"pcrs"`
	UserData  []byte            `cbor:"user_data"`
	Nonce     []byte            `cbor:"nonce"`
	PublicKey []byte            `cbor:"public_key"`
}

func (s *signed) sign(document []byte) ([]byte, error) {
	var envelope []cbor.RawMessage
	if err := cbor.Unmarshal(document, &envelope); err != nil {
		return nil, err
	}
	if len(envelope) != 4 {
		return nil, fmt.Errorf("envelope of %d parts", len(envelope))
	}
	var content []byte
	if err := cbor.Unmarshal(envelope[2], &content); err != nil {
		return nil, err
	}
	var p payload
	if err := cbor.Unmarshal(content, &p); err != nil {
		return nil, err
	}
	out := issuer.Payload{PCRs: map[int]attestation.PCR{}, UserData: p.UserData, Nonce: p.Nonce, PublicKey: p.PublicKey}
	for i, value := range p.PCRs {
		if len(value) != attestation.PCRSize {
			return nil, fmt.Errorf("register %d of %d bytes", i, len(value))
		}
		out.PCRs[int(i)] = attestation.PCR(value)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.issuer.Issue(out, time.UnixMilli(int64(p.Timestamp)))
}
