package main

import (
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/operator"
)

// printSeal prints whether keys can be used, and what is known of the chamber.
func printSeal(row rows, s operator.Seal) {
	if s.Reason == "" {
		row("seal", "%s", shown(string(s.Status)))
	} else {
		row("seal", "%s: %s", shown(string(s.Status)), shown(s.Reason))
	}
	c := s.Chamber
	if c == nil {
		return
	}
	row("chamber", "%s, version %d, master key %d", shown(c.ID), c.Version, c.Generation)
	if c.PreviousID != "" {
		row("", "the master key is being replaced; it was chamber %s", shown(c.PreviousID))
	}
	row("kms", "%s; %d of %d shares, %s", shown(c.KMS), c.Threshold, len(c.Shares), shown(c.Wrap))
	for _, share := range c.Shares {
		state := "ok"
		switch {
		case share.Error != "":
			state = "FAILED: " + shown(share.Error)
		case !share.OK:
			state = "not tried yet"
		}
		if !share.Checked.IsZero() {
			state += ", at " + share.Checked.Format(time.RFC3339)
		}
		row("", "share %d  %s  %s", share.Number, shown(share.KeyARN), state)
	}
	for _, a := range c.ApprovedConfigs {
		own := ""
		if a.Digest == c.ConfigDigest {
			own = "  this signer's"
		}
		row("approved config", "%s  %s  since %s%s", digestName(a.Digest), shown(a.Label), a.Since.Format(time.RFC3339), own)
	}
	row("slashing store", "%s", shown(c.SlashingStore))
	switch c.Frozen {
	case "keys":
		row("frozen", "%d keys", c.FrozenKeys)
	default:
		row("frozen", "%s", shown(c.Frozen))
	}
	for _, t := range c.RootTokens {
		row("root token", "%s  made %s, expires %s", shown(t.ID), t.Created.Format(time.RFC3339), expiry(t.Expires))
	}
	if c.Unreachable != "" {
		row("signer state", "NOT READ: %s", shown(c.Unreachable))
	}
	for _, item := range c.MissingItems {
		row("signer state", "MISSING: %s", shown(item))
	}
}

// digestName shows a digest, and the word for none.
func digestName(digest string) string {
	if digest == "" {
		return unmeasured
	}
	return shown(digest)
}
