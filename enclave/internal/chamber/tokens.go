package chamber

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"time"
)

const (
	// RootTokenPrefix begins a root token.
	RootTokenPrefix = "cc-root-"

	tokenIDSize  = 8
	tokenKeyKind = "token-key"
)

// rootToken is a root token as it is stored.
type rootToken struct {
	ID      string `json:"id"`
	HMAC    []byte `json:"hmac"`
	Created int64  `json:"created"` // seconds since 1970
	Expires int64  `json:"expires"` // the same; 0 for never
}

func (t rootToken) public() Token {
	p := Token{ID: t.ID, Created: time.Unix(t.Created, 0)}
	if t.Expires != 0 {
		p.Expires = time.Unix(t.Expires, 0)
	}
	return p
}

func (t rootToken) expired(now time.Time) bool { return t.Expires != 0 && now.Unix() >= t.Expires }

// randomText is 52 characters that hold more than 256 random bits.
func randomText() string { return rand.Text() + rand.Text() }

// NewRootToken makes a root token, for an Init.
func NewRootToken() string { return RootTokenPrefix + randomText() }

var rootTokens = regexp.MustCompile(`^` + RootTokenPrefix + `[A-Z2-7]{52}$`)

func checkRootToken(token string) error {
	if !rootTokens.MatchString(token) {
		return fmt.Errorf("%w: a root token is %s and 52 random characters of A-Z and 2-7", ErrInvalid, RootTokenPrefix)
	}
	return nil
}

// newTokens makes the key that tokens are kept under, and the first token.
func (c *Chamber) newTokens(m *manifest, g *generation, first string) (err error) {
	key := make([]byte, derived)
	defer clear(key)
	rand.Read(key)
	if m.TokenKey, err = g.seal(tokenKeyKind, m.Chamber, 1, key); err != nil {
		return err
	}
	return c.addToken(m, &keyring{now: g}, newTokenID(), first, 0)
}

func newTokenID() string {
	id := make([]byte, tokenIDSize)
	rand.Read(id)
	return hex.EncodeToString(id)
}

// tokenMAC is what is kept of a token.
func (m *manifest) tokenMAC(keys *keyring, token string) (sum []byte, err error) {
	key, err := keys.open(tokenKeyKind, m.Chamber, 1, m.TokenKey)
	if err != nil {
		return nil, fmt.Errorf("open the key of the tokens: %w", err)
	}
	defer key.Wipe()
	err = key.Use(func(k []byte) error {
		sum = macOf(k, []byte(token))
		return nil
	})
	return sum, err
}

func (c *Chamber) addToken(m *manifest, keys *keyring, id, token string, lifetime time.Duration) error {
	sum, err := m.tokenMAC(keys, token)
	if err != nil {
		return err
	}
	now := c.o.Now()
	t := rootToken{ID: id, HMAC: sum, Created: now.Unix()}
	if lifetime > 0 {
		t.Expires = now.Add(lifetime).Unix()
	}
	m.Tokens = append(m.Tokens, t)
	return nil
}

// findToken returns the id of a token, and ErrToken for one that is not valid now. It takes as long wherever the token stands.
func (c *Chamber) findToken(m *manifest, keys *keyring, token string) (string, error) {
	sum, err := m.tokenMAC(keys, token)
	if err != nil {
		return "", err
	}
	found := -1
	for i, t := range m.Tokens {
		found = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(t.HMAC, sum), i, found)
	}
	if found < 0 || m.Tokens[found].expired(c.o.Now()) {
		return "", ErrToken
	}
	return m.Tokens[found].ID, nil
}

// CheckRootToken returns the id of a valid root token, for the log. It returns ErrToken, or ErrSealed: without the master key no token can
// be told from another, and Unseal checks its own.
func (c *Chamber) CheckRootToken(token string) (id string, err error) {
	v := c.view.Load()
	if v.keys == nil {
		return "", v.errSealed()
	}
	return c.findToken(v.m, v.keys, token)
}

// GenerateRootToken makes a root token that ends after a lifetime; zero is never. Its secret is not to be had again. Those that have ended
// are dropped.
func (c *Chamber) GenerateRootToken(ctx context.Context, lifetime time.Duration) (token string, t Token, err error) {
	if lifetime < 0 || lifetime != 0 && lifetime < time.Second {
		return "", Token{}, fmt.Errorf("%w: lifetime %s of a root token", ErrInvalid, lifetime)
	}
	token, id := NewRootToken(), newTokenID()
	err = c.change(ctx, "generate-root-token", func(m *manifest, g *generation) error {
		if slices.ContainsFunc(m.Tokens, func(t rootToken) bool { return t.ID == id }) {
			return errUnchanged // the write before was done, although its outcome was unknown
		}
		m.Tokens = slices.DeleteFunc(m.Tokens, func(t rootToken) bool { return t.expired(c.o.Now()) })
		if len(m.Tokens) >= maxListed {
			return fmt.Errorf("%w: there are %d root tokens already: revoke some", ErrInvalid, len(m.Tokens))
		}
		if err := c.addToken(m, &keyring{now: g}, id, token, lifetime); err != nil {
			return err
		}
		t = m.Tokens[len(m.Tokens)-1].public()
		return nil
	})
	if err != nil {
		return "", Token{}, err
	}
	return token, t, nil
}

// RevokeRootToken ends a root token by its id. The last one that does not expire cannot be revoked: nobody could make another.
func (c *Chamber) RevokeRootToken(ctx context.Context, id string) error {
	return c.change(ctx, "revoke-root-token", func(m *manifest, _ *generation) error {
		left := slices.DeleteFunc(m.Tokens, func(t rootToken) bool { return t.ID == id })
		if len(left) == len(m.Tokens) {
			return errUnchanged
		}
		if !slices.ContainsFunc(left, func(t rootToken) bool { return t.Expires == 0 }) {
			return fmt.Errorf("%w: root token %s is the last one that does not expire", ErrInvalid, id)
		}
		m.Tokens = left
		return nil
	})
}
