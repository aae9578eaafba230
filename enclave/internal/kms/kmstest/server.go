package kmstest

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
)

// defaultDocumentAge is for how long a document is taken. AWS does not tell theirs; a document that is a few minutes old is taken.
const defaultDocumentAge = 5 * time.Minute

// Options are what a Server knows from the beginning.
type Options struct {
	// Roots are what attestation documents must end in. There must be one: AWS's own counts only where it is named.
	Roots []*x509.Certificate
	// MaxDocumentAge is how long ago a document may have been made; 0 is 5 minutes.
	MaxDocumentAge time.Duration
	Keys           []Key
	Principals     []Principal
	// CA signs the server's certificate; nil is a new one.
	CA *CA
	// Hosts are names of the server beside localhost, 127.0.0.1 and those that AWS has for its regions.
	Hosts []string
	// Now is the clock; nil is the local one. See [Server.SetClock].
	Now func() time.Time
}

// Server is KMS and STS of all accounts and regions that its keys lie in. Its methods are safe for concurrent use.
type Server struct {
	roots  []*x509.Certificate
	maxAge time.Duration
	clock  func() time.Time
	off    atomic.Int64 // of the clock, nanoseconds
	ca     *CA
	hosts  []string

	documents attestation.Cache

	mu         sync.Mutex
	keys       map[string]*key // by ARN
	principals map[string]*principal
	sessions   map[string]session // by access key ID
	denied     map[string]bool    // by ARN of a principal
	faults     map[string]Faults  // by ARN of a key, "" for all others
	throttled  map[string]float64 // by ARN of a key: the fraction that is owed
	trail      []Event
}

// New makes a server of keys and principals. The error names the key or principal that cannot be.
func New(o Options) (*Server, error) {
	s := &Server{
		roots: slices.Clone(o.Roots), maxAge: o.MaxDocumentAge, clock: o.Now, ca: o.CA, hosts: slices.Clone(o.Hosts),
		keys: map[string]*key{}, principals: map[string]*principal{}, sessions: map[string]session{},
		denied: map[string]bool{}, faults: map[string]Faults{}, throttled: map[string]float64{},
	}
	if len(s.roots) == 0 {
		return nil, errors.New("no root for attestation documents")
	}
	if s.maxAge == 0 {
		s.maxAge = defaultDocumentAge
	}
	if s.clock == nil {
		s.clock = time.Now
	}
	if s.ca == nil {
		ca, err := NewCA(s.now())
		if err != nil {
			return nil, err
		}
		s.ca = ca
	}
	for _, k := range o.Keys {
		if err := s.addKey(k); err != nil {
			return nil, fmt.Errorf("key %q: %w", k.ARN, err)
		}
	}
	for _, p := range o.Principals {
		if err := s.addPrincipal(p); err != nil {
			return nil, fmt.Errorf("principal %q: %w", p.ARN, err)
		}
	}
	return s, nil
}

// SetClock has the server's clock go so far ahead of the one that it was given from now on, or behind it. Signatures, documents, sessions
// and the Date of answers go by it; the certificate stays the one that was made at the start.
func (s *Server) SetClock(ahead time.Duration) { s.off.Store(int64(ahead)) }

func (s *Server) now() time.Time { return s.clock().Add(time.Duration(s.off.Load())) }

func (s *Server) addKey(k Key) error {
	made, err := newKey(k, s.now())
	if err != nil {
		return err
	}
	if s.keys[k.ARN] != nil {
		return errors.New("it is there twice")
	}
	s.keys[k.ARN] = made
	return nil
}

// regions are those of the keys.
func (s *Server) regions() []string {
	var all []string
	for _, k := range s.keys {
		if !slices.Contains(all, k.region) {
			all = append(all, k.region)
		}
	}
	slices.Sort(all)
	return all
}
