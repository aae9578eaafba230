package chamber

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"time"
)

const (
	// SetupTokenPrefix begins a setup token.
	SetupTokenPrefix = "cc-setup-"
	// SetupTokenLifetime is how long a setup token is valid that a process makes for itself.
	SetupTokenLifetime = 24 * time.Hour

	setupTokenTime = "20060102T150405Z" // ISO 8601, UTC
)

var setupTokens = regexp.MustCompile(`^` + SetupTokenPrefix + `([0-9]{8}T[0-9]{6}Z)-[A-Z2-7]{52}$`)

// NewSetupToken makes a setup token, of which the configuration holds the SHA-256. It says itself until when it is valid, to the second:
// with another time it has another hash.
func NewSetupToken(expires time.Time) string {
	return SetupTokenPrefix + expires.UTC().Format(setupTokenTime) + "-" + randomText()
}

// setupToken is what allows an Init.
type setupToken struct {
	text string // "" if it was made elsewhere
	hash []byte // nil if none is accepted
}

func newSetupToken(o Options) (setupToken, error) {
	switch {
	case o.SetupTokenSHA256 != "":
		hash, err := hex.DecodeString(o.SetupTokenSHA256)
		if err != nil || len(hash) != sha256.Size {
			return setupToken{}, errors.New("SetupTokenSHA256: want 64 hexadecimal digits")
		}
		return setupToken{hash: hash}, nil
	case o.KMS.Attested():
		return setupToken{}, nil
	}
	text := NewSetupToken(o.Now().Add(SetupTokenLifetime))
	hash := sha256.Sum256([]byte(text))
	return setupToken{text, hash[:]}, nil
}

// SetupToken is the token that this process made, for the caller to log once while the chamber is uninitialized; "" if it made none.
func (c *Chamber) SetupToken() string { return c.setup.text }

// CheckSetupToken returns nil for the setup token as long as it is valid and the chamber is uninitialized, and else ErrToken. It takes as
// long for any token of a length. The time is that of this process's clock.
func (c *Chamber) CheckSetupToken(token string) error {
	hash := sha256.Sum256([]byte(token))
	if subtle.ConstantTimeCompare(hash[:], c.setup.hash) != 1 {
		return ErrToken
	}
	if c.view.Load().m != nil {
		return fmt.Errorf("%w: it was used to initialize the chamber", ErrToken)
	}
	parts := setupTokens.FindStringSubmatch(token)
	if parts == nil {
		return fmt.Errorf("%w: it was not made by operator setup-token, and does not say until when it is valid", ErrToken)
	}
	expires, err := time.Parse(setupTokenTime, parts[1])
	if err != nil {
		return fmt.Errorf("%w: the time in it: %w", ErrToken, err)
	}
	if now := c.o.Now(); !now.Before(expires) {
		return fmt.Errorf("%w: it was valid until %s, and this signer's clock says %s", ErrToken, expires.Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	}
	return nil
}
