// Package authtest makes callers for tests.
package authtest

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"strconv"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/auth"
)

// Tokens that a Keeper knows.
const (
	ManagementToken = auth.ManagementPrefix + "TEST"
	SetupToken      = auth.SetupPrefix + "TEST"
)

// Keeper is an auth.Keeper in memory. It is safe for concurrent use.
type Keeper struct {
	mu       sync.Mutex
	document []byte
	changes  int
	// Closed is the answer to everything while it is not nil. It is set before others use the keeper.
	Closed error
}

// CheckSetupToken implements auth.Keeper.
func (k *Keeper) CheckSetupToken(token string) error {
	if token != SetupToken {
		return auth.ErrUnknown
	}
	return nil
}

// CheckManagementToken implements auth.Keeper.
func (k *Keeper) CheckManagementToken(token string) (string, error) {
	if k.Closed != nil {
		return "", k.Closed
	}
	if token != ManagementToken {
		return "", auth.ErrUnknown
	}
	return "0123456789abcdef", nil
}

// MAC implements auth.Keeper.
func (k *Keeper) MAC(token string) ([]byte, error) {
	h := hmac.New(sha256.New, []byte("test"))
	h.Write([]byte(token))
	return h.Sum(nil), k.Closed
}

// Document implements auth.Keeper.
func (k *Keeper) Document() ([]byte, string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.document, strconv.Itoa(k.changes), k.Closed
}

// Change implements auth.Keeper.
func (k *Keeper) Change(_ context.Context, _ string, edit func([]byte) ([]byte, error)) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.Closed != nil {
		return k.Closed
	}
	next, err := edit(k.document)
	if err != nil {
		return err
	}
	k.document = next
	k.changes++
	return nil
}

// Reset implements auth.Keeper.
func (k *Keeper) Reset(context.Context) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.document = nil
	k.changes++
	return k.Closed
}

// New makes policies that nobody hears of. It panics if that fails.
func New(o auth.Options) *auth.Policies {
	o.Log, o.Registry = zap.NewNop(), prometheus.NewRegistry()
	p, err := auth.New(o)
	if err != nil {
		panic(err)
	}
	return p
}

// Open is a caller without a token where duties are open, exits included.
func Open() auth.Caller {
	return New(auth.Options{Open: true, OpenExits: true}).Identify(auth.Credential{})
}

// Anonymous is a caller without a token where nothing is open.
func Anonymous() auth.Caller { return New(auth.Options{}).Identify(auth.Credential{}) }

// Management is a caller with a management token.
func Management() auth.Caller {
	return New(auth.Options{Keeper: &Keeper{}}).Identify(auth.Credential{Token: ManagementToken})
}

// Setup is a caller with the setup token.
func Setup() auth.Caller {
	return New(auth.Options{Keeper: &Keeper{}}).Identify(auth.Credential{Token: SetupToken})
}

// Client is a caller with a client token that has one policy of these rules. It panics if they are refused.
func Client(rules ...auth.Rule) auth.Caller {
	p := New(auth.Options{Keeper: &Keeper{}})
	ctx := context.Background()
	if err := p.PutPolicy(ctx, auth.Policy{Name: "test", Rules: rules}); err != nil {
		panic(err)
	}
	secret, _, err := p.CreateToken(ctx, auth.Wanted{Name: "test", Policies: []string{"test"}})
	if err != nil {
		panic(err)
	}
	return p.Identify(auth.Credential{Token: secret})
}

// With is Client with one rule that allows scopes.
func With(scopes ...auth.Scope) auth.Caller {
	return Client(auth.Rule{Effect: auth.Allow, Scopes: scopes})
}
