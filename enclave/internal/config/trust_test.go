package config

import (
	"slices"
	"strings"
	"testing"
)

// TestTrustParent: with it a record behind AWS credentials is accepted on platform nitro, and the danger is said; where it changes nothing,
// nothing is said.
func TestTrustParent(t *testing.T) {
	const arn = "dynamodb: {table: 'arn:aws:dynamodb:eu-central-1:111122223333:table/slashing'}"
	for _, test := range []struct {
		slashing string
		warned   bool
	}{
		{"backend: dynamodb, trust_parent: true, " + arn, true},
		{"backend: dynamodb, trust_parent: true, " + strings.Replace(arn, "}", ", sealed_access_key: AQIDBA==}", 1), false},
		{"backend: dynamodb, " + strings.Replace(arn, "}", ", sealed_access_key: AQIDBA==}", 1), false},
		{"backend: postgres, trust_parent: true, region: eu-west-1, password_source: rds_iam", true},
		{"backend: postgres, trust_parent: true", true},
		{"backend: postgres, trust_parent: true, password_source: kms", false},
		{"backend: postgres, password_source: kms", false},
	} {
		c := loadYAML(t, strings.Replace(nitro, source, test.slashing, 1))
		warned := slices.ContainsFunc(c.Warnings(), func(w string) bool { return strings.HasPrefix(w, "anti_slashing.trust_parent is on: ") })
		if warned != test.warned {
			t.Errorf("%s: warned %t", test.slashing, warned)
		}
	}
	c := loadYAML(t, "network: hoodi\nanti_slashing: {backend: dynamodb, "+arn+"}\n"+
		"tls: {mode: atls}\ntee: {platform: simulated, simulated: {socket_dir: a, state_dir: b}}\n")
	for _, w := range c.Warnings() {
		if strings.Contains(w, "trust_parent") {
			t.Errorf("platform simulated: %s", w)
		}
	}
}
