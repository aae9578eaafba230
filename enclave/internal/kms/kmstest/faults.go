package kmstest

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// Garbage is a kind of answer that no KMS gives.
type Garbage string

// The kinds of garbage.
const (
	GarbageBody     Garbage = "body"        // no JSON at all
	GarbageEnvelope Garbage = "envelope"    // random bytes for the enclave
	GarbageKey      Garbage = "another-key" // a good envelope, for a key that is not the enclave's
	GarbageContent  Garbage = "content"     // a good envelope for the enclave, around random bytes of the right size
)

// Faults are what a key's KMS does wrong. The zero value is none.
type Faults struct {
	// Throttle is the fraction of calls that is answered with ThrottlingException, spread evenly; 1 is all, a half every second.
	Throttle float64 `yaml:"throttle"`
	// Latency is waited before each answer.
	Latency time.Duration `yaml:"latency"`
	// Error is answered to every call: KMSInternalException, KeyUnavailableException or DependencyTimeoutException.
	Error string `yaml:"error"`
	// DropRecipient loses the attestation document after it was judged, so that the plaintext comes in clear.
	DropRecipient bool    `yaml:"drop_recipient"`
	Garbage       Garbage `yaml:"garbage"`
	// Primitive has the envelope's content in one piece with a definite length, the other of the two forms that AWS is known to use.
	Primitive bool `yaml:"primitive"`
	// Chunk is the size of the envelope's pieces in bytes otherwise; 0 is 1000.
	Chunk int `yaml:"chunk"`
}

func (f Faults) check() error {
	switch f.Garbage {
	case "", GarbageBody, GarbageEnvelope, GarbageKey, GarbageContent:
	default:
		return fmt.Errorf("garbage: %q is none of body, envelope, another-key, content", string(f.Garbage))
	}
	if f.Error != "" && failure(f.Error) == nil {
		return fmt.Errorf("error: %q is none of KMSInternalException, KeyUnavailableException, DependencyTimeoutException", f.Error)
	}
	if !(f.Throttle >= 0 && f.Throttle <= 1) {
		return fmt.Errorf("throttle: %v is not between 0 and 1", f.Throttle)
	}
	if f.Latency < 0 || f.Chunk < 0 {
		return errors.New("latency, chunk: below zero")
	}
	return nil
}

// failure is one of the errors that are AWS's own fault.
func failure(code string) *awsError {
	switch code {
	case "KMSInternalException", "KeyUnavailableException":
		return refusal(http.StatusInternalServerError, code, "The request failed; it can be tried again.")
	case "DependencyTimeoutException":
		return refusal(http.StatusServiceUnavailable, code, "The request timed out; it can be tried again.")
	}
	return nil
}

// SetFaults changes what goes wrong with the key of this ARN from now on; "" is all keys that have no faults of their own, and
// GenerateRandom.
func (s *Server) SetFaults(arn string, f Faults) error {
	if err := f.check(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if arn != "" && s.keys[arn] == nil {
		return fmt.Errorf("no key %q", arn)
	}
	s.faults[arn], s.throttled[arn] = f, 0
	if arn != "" && f == (Faults{}) {
		delete(s.faults, arn)
	}
	return nil
}

// DenyPrincipal denies everything of KMS to a role or user, whatever policies say, or ends that.
func (s *Server) DenyPrincipal(arn string, denied bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.principals[arn] == nil {
		return fmt.Errorf("no principal %q", arn)
	}
	s.denied[arn] = denied
	return nil
}

// faultsOf is what goes wrong with a key, and whether it is this call's turn to be throttled.
func (s *Server) faultsOf(arn string) (f Faults, throttle bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, own := s.faults[arn]; !own {
		arn = ""
	}
	f = s.faults[arn]
	const owed = 1 - 1e-9 // ten tenths are not quite one
	if s.throttled[arn] += f.Throttle; s.throttled[arn] < owed {
		return f, false
	}
	s.throttled[arn]--
	return f, true
}

// fail waits and refuses as the faults of the key want it.
func (s *Server) fail(ctx context.Context, c *call) error {
	arn := ""
	if c.key != nil {
		arn = c.key.arn
	}
	f, throttle := s.faultsOf(arn)
	c.faults = f
	if f.Latency > 0 {
		select {
		case <-time.After(f.Latency):
		case <-ctx.Done():
			return refusal(http.StatusInternalServerError, "KMSInternalException", "the caller is gone")
		}
	}
	if throttle {
		c.event.Fault = "throttled"
		return refusal(http.StatusBadRequest, "ThrottlingException", "You have exceeded the rate at which you may call KMS. Reduce the frequency of your calls.")
	}
	if f.Error != "" {
		c.event.Fault = f.Error
		return failure(f.Error)
	}
	return nil
}

// hand gives a plaintext to the caller: in clear, or in an envelope for the enclave.
func (c *call) hand(plaintext []byte) (clear, envelope []byte, err error) {
	switch {
	case c.recipient == nil:
		return plaintext, nil, nil
	case c.faults.DropRecipient:
		c.event.Fault = "recipient dropped"
		return plaintext, nil, nil
	}
	to, content := c.recipient, plaintext
	switch c.faults.Garbage {
	case "", GarbageBody:
	case GarbageEnvelope:
		return nil, random(sealedSize), nil
	case GarbageKey:
		stranger, err := rsa.GenerateKey(rand.Reader, to.Size()*8)
		if err != nil {
			return nil, nil, err
		}
		to = &stranger.PublicKey
	case GarbageContent:
		content = random(len(plaintext))
	}
	envelope, err = seal(content, to, form{primitive: c.faults.Primitive, chunk: c.faults.Chunk})
	return nil, envelope, err
}

// sealedSize is about that of an envelope around 32 bytes.
const sealedSize = 470

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // it does not fail
	return b
}
