package chamber

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
)

const (
	policyKind = "policies"
	// policyPart is how many bytes of the document stand in one item.
	policyPart = 256 << 10
	// MaxPolicies is the most bytes of a policy document.
	MaxPolicies = 4 << 20
	// maxPolicyItems is how many items that takes.
	maxPolicyItems = MaxPolicies / policyPart
)

// policies is the document that says who may do what. Others know what is in it. It does not change.
type policies struct {
	text    []byte // nil if there is none, or not all of it
	items   []content
	missing string // why it is not known; "" if it is
}

// PolicyDocument is what the last ChangePolicies has kept, empty if there was none, and a version that is another whenever it is. Without the
// master key, or if the document is missing or damaged, nobody can tell: it returns an ErrSealed or an ErrCorrupt. It waits for nothing.
func (c *Chamber) PolicyDocument() (text []byte, version string, err error) {
	v := c.outside()
	switch {
	case v.keys == nil:
		return nil, "", v.errSealed()
	case v.policies.missing != "":
		return nil, "", fmt.Errorf("%w: policies and tokens: %s", ErrCorrupt, v.policies.missing)
	}
	var names []string
	for _, i := range v.policies.items {
		names = append(names, i.Name)
	}
	return v.policies.text, strings.Join(names, " "), nil
}

// ChangePolicies replaces the document by what edit makes of it, on every replica within a refresh interval. edit may be called more than once,
// and its error is the end. A document that is missing or damaged cannot be changed, but replaced with ResetPolicies.
func (c *Chamber) ChangePolicies(ctx context.Context, what string, edit func(text []byte) ([]byte, error)) error {
	return c.changeItems(ctx, what, func(m *manifest, g *generation) error {
		now, err := c.policiesOf(ctx, m, g)
		if err != nil {
			return err
		}
		next, err := edit(now)
		if err != nil {
			return err
		}
		if bytes.Equal(next, now) {
			return errUnchanged
		}
		return c.putPolicies(ctx, m, g, next)
	})
}

// ResetPolicies drops all policies and client tokens.
func (c *Chamber) ResetPolicies(ctx context.Context) error {
	return c.changeItems(ctx, "reset-policies", func(m *manifest, g *generation) error {
		if len(m.itemsOf(policyKind)) == 0 {
			return errUnchanged
		}
		return c.putPolicies(ctx, m, g, nil)
	})
}

// TokenMAC is what is kept of a token: its HMAC-SHA256 under a key that is sealed with the master key. It returns an ErrSealed without that.
func (c *Chamber) TokenMAC(token string) ([]byte, error) {
	v := c.outside()
	if v.keys == nil {
		return nil, v.errSealed()
	}
	return v.m.tokenMAC(v.keys, token)
}

// putPolicies writes the document as new items, and names them in the manifest.
func (c *Chamber) putPolicies(ctx context.Context, m *manifest, g *generation, text []byte) error {
	if len(text) > MaxPolicies {
		return fmt.Errorf("%w: policies and tokens have %d bytes, more than %d", ErrInvalid, len(text), MaxPolicies)
	}
	m.Items = slices.DeleteFunc(m.Items, func(i content) bool { return i.Kind == policyKind })
	for part := range slices.Chunk(text, policyPart) {
		i := content{Kind: policyKind, Name: policyKind + "/" + randomText(), Version: 1}
		body, err := g.seal(i.Kind, i.Name, i.Version, part)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(body)
		i.SHA256 = sum[:]
		if err := c.putItem(ctx, store.Item{Name: i.Name, Version: i.Version, Body: body}); err != nil {
			return err
		}
		m.Items = append(m.Items, i)
	}
	m.Format = m.format()
	return nil
}

// policiesOf reads the document that a manifest names.
func (c *Chamber) policiesOf(ctx context.Context, m *manifest, g *generation) ([]byte, error) {
	keys := &keyring{now: g}
	if v := c.view.Load(); v.keys.find(g.id) == g {
		keys = v.keys
	}
	p, err := c.loadPolicies(ctx, &view{}, keys, m)
	if err == nil && p.missing != "" {
		err = fmt.Errorf("%w: policies and tokens: %s (`operator policy reset` drops all of them)", ErrCorrupt, p.missing)
	}
	return p.text, err
}

// loadPolicies reads the document. One that was read before is not read again, and stays in force when it is missing; else nobody has a policy
// without it. The error is that of a store which does not answer.
func (c *Chamber) loadPolicies(ctx context.Context, v *view, keys *keyring, m *manifest) (policies, error) {
	p := policies{items: m.itemsOf(policyKind)}
	if v.keys != nil && v.policies.missing == "" && slices.EqualFunc(v.policies.items, p.items, sameContent) {
		return v.policies, nil
	}
	for _, i := range p.items {
		err := c.withContent(ctx, keys, i, func(part []byte) error {
			p.text = append(p.text, part...)
			return nil
		})
		switch {
		case errors.Is(err, store.ErrNotFound), errors.Is(err, ErrCorrupt), errors.Is(err, ErrForeign):
			return policies{items: p.items, missing: fmt.Sprintf("%s: %v", i.Name, err)}, nil
		case err != nil:
			return policies{}, err
		}
	}
	return p, nil
}

// lostPolicies says which item of the document is not there any more, "" if all are.
func (c *Chamber) lostPolicies(ctx context.Context, m *manifest) string {
	for _, i := range m.itemsOf(policyKind) {
		if _, err := c.getContent(ctx, i); errors.Is(err, store.ErrNotFound) || errors.Is(err, ErrCorrupt) {
			return fmt.Sprintf("%s: %v", i.Name, err)
		}
	}
	return ""
}
