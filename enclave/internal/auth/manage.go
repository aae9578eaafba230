package auth

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Errors of what changes policies and tokens; others are the keeper's.
var (
	// ErrInvalid is a request that is refused whatever there is. The text says which part.
	ErrInvalid = errors.New("not valid")
	// ErrNotFound is a name or an id that there is not.
	ErrNotFound = errors.New("there is no such")
	// ErrInUse is a policy that tokens have.
	ErrInUse = errors.New("in use")
	// ErrNoKeeper is a process without a master key, whose policies stand in a file.
	ErrNoKeeper = errors.New("policies and tokens are kept under a master key, and this signer has none: they stand in auth.policy_file")
)

// maxLifetime is the longest that a token may be good for; none at all is longer.
const maxLifetime = 10 * 365 * 24 * time.Hour

// Token is a client token, or a client's certificate, without its secret.
type Token struct {
	ID       string    `json:"id"`
	Name     string    `json:"name"`
	Policies []string  `json:"policies"`
	Created  time.Time `json:"created,omitzero"`
	Expires  time.Time `json:"expires,omitzero"`   // not there if never
	LastUsed time.Time `json:"last_used,omitzero"` // on this replica, since it started
	// RotatedUntil is until when the secret before this one is good as well.
	RotatedUntil time.Time `json:"rotated_until,omitzero"`
	SPKI         string    `json:"spki_sha256,omitempty"`
	Subject      string    `json:"subject,omitempty"`
	CAPEM        string    `json:"ca_pem,omitempty"`
}

// edit changes the document that is kept.
func (p *Policies) edit(ctx context.Context, what string, change func(d *document) error) error {
	if p.o.Keeper == nil {
		return ErrNoKeeper
	}
	return p.o.Keeper.Change(ctx, what, func(text []byte) ([]byte, error) {
		d, err := parseDocument(text)
		if err != nil {
			return nil, err
		}
		if err := change(d); err != nil {
			return nil, err
		}
		return d.render()
	})
}

// Policies lists the policies that are kept.
func (p *Policies) Policies() ([]Policy, error) {
	if p.o.Keeper == nil {
		return nil, ErrNoKeeper
	}
	v, err := p.now()
	if err != nil {
		return nil, err
	}
	return slices.Clone(v.doc.Policies), nil
}

// PutPolicy makes a policy, or replaces the one of that name: the tokens that have it follow.
func (p *Policies) PutPolicy(ctx context.Context, policy Policy) error {
	if err := policy.Check(); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return p.edit(ctx, "put-policy", func(d *document) error {
		d.Policies = append(slices.DeleteFunc(d.Policies, func(x Policy) bool { return x.Name == policy.Name }), policy)
		return nil
	})
}

// DeletePolicy deletes a policy that no token has.
func (p *Policies) DeletePolicy(ctx context.Context, name string) error {
	return p.edit(ctx, "delete-policy", func(d *document) error {
		left := slices.DeleteFunc(d.Policies, func(x Policy) bool { return x.Name == name })
		if len(left) == len(d.Policies) {
			return fmt.Errorf("%w policy: %.80q", ErrNotFound, name)
		}
		d.Policies = left
		for _, t := range d.Tokens {
			if slices.Contains(t.Policies, name) {
				return fmt.Errorf("policy %s is %w by token %s (%s)", name, ErrInUse, t.ID, t.Name)
			}
		}
		for _, c := range d.Certificates {
			if slices.Contains(c.Policies, name) {
				return fmt.Errorf("policy %s is %w by certificate %s (%s)", name, ErrInUse, c.ID, c.Name)
			}
		}
		return nil
	})
}

// Tokens lists the client tokens and certificates that are kept, those that have ended included.
func (p *Policies) Tokens() ([]Token, error) {
	if p.o.Keeper == nil {
		return nil, ErrNoKeeper
	}
	v, err := p.now()
	if err != nil {
		return nil, err
	}
	var out []Token
	for _, t := range v.doc.Tokens {
		out = append(out, p.shown(t))
	}
	for _, c := range v.doc.Certificates {
		out = append(out, Token{
			ID: c.ID, Name: c.Name, Policies: c.Policies, Created: seconds(c.Created), Expires: seconds(c.Expires),
			LastUsed: p.lastUsed(c.ID), SPKI: c.SPKI, Subject: c.Subject, CAPEM: c.CAPEM,
		})
	}
	return out, nil
}

// shown is a token without its secret.
func (p *Policies) shown(t clientToken) Token {
	return Token{
		ID: t.ID, Name: t.Name, Policies: t.Policies, Created: seconds(t.Created), Expires: seconds(t.Expires),
		LastUsed: p.lastUsed(t.ID), RotatedUntil: seconds(t.BeforeUntil),
	}
}

func seconds(at int64) time.Time {
	if at == 0 {
		return time.Time{}
	}
	return time.Unix(at, 0).UTC()
}

// Wanted is a token that is to be: what is named of a certificate makes it one, and else it gets a secret.
type Wanted struct {
	Name                 string
	Policies             []string
	Lifetime             time.Duration // zero for ever
	SPKI, Subject, CAPEM string
}

// CreateToken makes a client token. Its secret is not to be had again; a certificate has none.
func (p *Policies) CreateToken(ctx context.Context, w Wanted) (secret string, t Token, err error) {
	if err := checkLifetime(w.Lifetime); err != nil {
		return "", Token{}, err
	}
	id, now := newID(), p.o.Now()
	expires := int64(0)
	if w.Lifetime > 0 {
		expires = now.Add(w.Lifetime).Unix()
	}
	if w.SPKI != "" || w.Subject != "" || w.CAPEM != "" {
		c := certificate{id, w.Name, w.Policies, now.Unix(), expires, w.SPKI, w.Subject, w.CAPEM}
		err = p.edit(ctx, "create-certificate", func(d *document) error {
			d.forget(p.o.Now())
			d.Certificates = append(slices.DeleteFunc(d.Certificates, func(x certificate) bool { return x.ID == id }), c)
			return nil
		})
	} else {
		secret = newSecret(id)
		err = p.edit(ctx, "create-token", func(d *document) error {
			sum, err := p.o.Keeper.MAC(secret)
			if err != nil {
				return err
			}
			d.forget(p.o.Now())
			made := clientToken{ID: id, Name: w.Name, Policies: w.Policies, HMAC: sum, Created: now.Unix(), Expires: expires}
			d.Tokens = append(slices.DeleteFunc(d.Tokens, func(x clientToken) bool { return x.ID == id }), made)
			return nil
		})
	}
	if err != nil {
		return "", Token{}, err
	}
	return secret, Token{ID: id, Name: w.Name, Policies: w.Policies, Created: seconds(now.Unix()), Expires: seconds(expires), SPKI: w.SPKI, Subject: w.Subject, CAPEM: w.CAPEM}, nil
}

// RotateToken gives a client token another secret. The one before is good for so long beside it.
func (p *Policies) RotateToken(ctx context.Context, id string, overlap time.Duration) (secret string, rotated Token, err error) {
	if err := checkLifetime(overlap); err != nil {
		return "", Token{}, err
	}
	secret = newSecret(id)
	err = p.edit(ctx, "rotate-token", func(d *document) error {
		at := slices.IndexFunc(d.Tokens, func(t clientToken) bool { return t.ID == id })
		if at < 0 {
			return fmt.Errorf("%w token: %.40q", ErrNotFound, id)
		}
		sum, err := p.o.Keeper.MAC(secret)
		if err != nil {
			return err
		}
		t := &d.Tokens[at]
		if !slices.Equal(t.HMAC, sum) { // else the write before was done, although its outcome was unknown
			before := t.HMAC
			t.HMAC, t.Before, t.BeforeUntil = sum, nil, 0
			if overlap > 0 {
				t.Before, t.BeforeUntil = before, p.o.Now().Add(overlap).Unix()
			}
		}
		rotated = p.shown(*t)
		return nil
	})
	if err != nil {
		return "", Token{}, err
	}
	return secret, rotated, nil
}

// RevokeToken ends a client token or certificate.
func (p *Policies) RevokeToken(ctx context.Context, id string) error {
	return p.edit(ctx, "revoke-token", func(d *document) error {
		before := len(d.Tokens) + len(d.Certificates)
		d.Tokens = slices.DeleteFunc(d.Tokens, func(t clientToken) bool { return t.ID == id })
		d.Certificates = slices.DeleteFunc(d.Certificates, func(c certificate) bool { return c.ID == id })
		if len(d.Tokens)+len(d.Certificates) == before {
			return fmt.Errorf("%w token: %.40q", ErrNotFound, id)
		}
		return nil
	})
}

// Reset drops all policies, client tokens and certificates that are kept.
func (p *Policies) Reset(ctx context.Context) error {
	if p.o.Keeper == nil {
		return ErrNoKeeper
	}
	return p.o.Keeper.Reset(ctx)
}

// forget drops tokens that ended a day ago and longer.
func (d *document) forget(now time.Time) {
	past := now.Add(-24 * time.Hour)
	d.Tokens = slices.DeleteFunc(d.Tokens, func(t clientToken) bool { return expired(t.Expires, past) })
	d.Certificates = slices.DeleteFunc(d.Certificates, func(c certificate) bool { return expired(c.Expires, past) })
}

func checkLifetime(d time.Duration) error {
	if d < 0 || d > maxLifetime || d%time.Second != 0 {
		return fmt.Errorf("%w: %s: want whole seconds, at most %s", ErrInvalid, d, maxLifetime)
	}
	return nil
}

func newID() string {
	id := make([]byte, 8)
	rand.Read(id)
	return hex.EncodeToString(id)
}

// newSecret is a client token of an id: 52 characters with more than 256 random bits after it.
func newSecret(id string) string { return ClientPrefix + id + "-" + rand.Text() + rand.Text() }
