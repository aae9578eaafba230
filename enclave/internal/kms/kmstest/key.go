package kmstest

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
)

// State is the state of a key, https://docs.aws.amazon.com/kms/latest/developerguide/key-state.html.
type State string

// The states of a key. Only in the first can it be used.
const (
	Enabled         State = "Enabled"
	Disabled        State = "Disabled"
	PendingDeletion State = "PendingDeletion"
	PendingImport   State = "PendingImport"
	Unavailable     State = "Unavailable"
)

const materialSize = 32

// Key is a symmetric encryption key.
type Key struct {
	ARN      string // arn:PARTITION:kms:REGION:ACCOUNT:key/ID
	Policy   []byte // JSON, at most 32 KiB
	State    State  // empty is Enabled
	Material []byte // 32 bytes, what it encrypts with; nil is drawn at random
}

type key struct {
	arn, region, account, id string

	policy   policy
	material []byte
	created  time.Time
	state    State // guarded by Server.mu
}

var keyARN = regexp.MustCompile(`^arn:(aws[a-z-]*):kms:([a-z]{2}(?:-[a-z]+)+-\d):(\d{12}):key/([0-9a-zA-Z-]{1,64})$`)

func newKey(k Key, now time.Time) (*key, error) {
	parts := keyARN.FindStringSubmatch(k.ARN)
	if parts == nil {
		return nil, errors.New("not of the form arn:PARTITION:kms:REGION:ACCOUNT:key/ID")
	}
	p, err := parsePolicy(k.Policy)
	if err != nil {
		return nil, fmt.Errorf("policy: %w", err)
	}
	made := &key{arn: k.ARN, region: parts[2], account: parts[3], id: parts[4], policy: p, created: now, state: Enabled, material: slices.Clone(k.Material)}
	if k.State != "" {
		if err := k.State.check(); err != nil {
			return nil, err
		}
		made.state = k.State
	}
	switch len(made.material) {
	case 0:
		made.material = make([]byte, materialSize)
		_, _ = rand.Read(made.material) // it does not fail
	case materialSize:
	default:
		return nil, fmt.Errorf("material: %d bytes, want %d", len(made.material), materialSize)
	}
	return made, nil
}

func (s State) check() error {
	switch s {
	case Enabled, Disabled, PendingDeletion, PendingImport, Unavailable:
		return nil
	}
	return fmt.Errorf("state: %q is none that a key can be in", string(s))
}

// materialID is what AWS calls the key material, 64 hexadecimal digits.
func (k *key) materialID() string {
	sum := sha256.Sum256(append([]byte("id of "), k.material...))
	return hex.EncodeToString(sum[:])
}

// usable refuses what a key in this state cannot do.
func (s State) usable(arn string) error {
	switch s {
	case Enabled:
		return nil
	case Disabled:
		return refusal(http.StatusBadRequest, "DisabledException", "%s is disabled.", arn)
	case PendingDeletion:
		return refusal(http.StatusBadRequest, "KMSInvalidStateException", "%s is pending deletion.", arn)
	case PendingImport:
		return refusal(http.StatusBadRequest, "KMSInvalidStateException", "%s is pending import.", arn)
	case Unavailable:
	}
	return refusal(http.StatusBadRequest, "KMSInvalidStateException", "%s is unavailable.", arn)
}

// SetState changes a key's state.
func (s *Server) SetState(arn string, to State) error {
	if err := to.check(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.keys[arn]
	if k == nil {
		return fmt.Errorf("no key %q", arn)
	}
	k.state = to
	return nil
}

// SetPolicy replaces a key's policy, as its administrator does with PutKeyPolicy.
func (s *Server) SetPolicy(arn string, text []byte) error {
	p, err := parsePolicy(text)
	if err != nil {
		return fmt.Errorf("policy: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.keys[arn]
	if k == nil {
		return fmt.Errorf("no key %q", arn)
	}
	k.policy = p
	return nil
}

// find looks a key up by ARN, or by its id alone in the caller's account, in the region that was asked.
func (s *Server) find(name, region, account string) (*key, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case name == "":
		return nil, refusal(http.StatusBadRequest, "ValidationException",
			"1 validation error detected: Value null at 'keyId' failed to satisfy constraint: Member must not be null")
	case strings.HasPrefix(name, "alias/"), strings.Contains(name, ":alias/"):
		return nil, refusal(http.StatusBadRequest, "NotFoundException", "Alias %s is not found.", name)
	case !strings.HasPrefix(name, "arn:"):
		for _, k := range s.keys {
			if k.id == name && k.region == region && k.account == account {
				return k, nil
			}
		}
		return nil, refusal(http.StatusBadRequest, "NotFoundException", "Key 'arn:aws:kms:%s:%s:key/%s' does not exist", region, account, name)
	}
	parts := keyARN.FindStringSubmatch(name)
	switch {
	case parts == nil:
		return nil, refusal(http.StatusBadRequest, "NotFoundException", "Invalid keyId %s", name)
	case parts[2] != region:
		return nil, refusal(http.StatusBadRequest, "NotFoundException", "Invalid arn %s", parts[2])
	case s.keys[name] == nil:
		return nil, refusal(http.StatusBadRequest, "NotFoundException", "Key '%s' does not exist", name)
	}
	return s.keys[name], nil
}
