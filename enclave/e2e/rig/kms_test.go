package rig

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestPolicies: they are what the Terraform module makes, and nothing of its example is left in what a key gets.
func TestPolicies(t *testing.T) {
	for name, ours := range map[string]string{"one.json": sharePolicy, "upgrade.json": passwordPolicy} {
		golden, err := os.ReadFile(filepath.Join("..", "..", "internal", "kms", "kmstest", "testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(golden), ours); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	m := Measured{PCR0: []string{strings.Repeat("0a", 48), strings.Repeat("0b", 48)}, PCR3: strings.Repeat("c3", 48), PCR8: strings.Repeat("c8", 48)}
	for _, arn := range append(ShareKeys(), SealingKey) {
		for n := range m.PCR0 {
			text := string(KeyPolicy(arn, Measured{m.PCR0[:n+1], m.PCR3, m.PCR8}))
			wants := []string{KMSRole, m.PCR8, "arn:aws:iam::" + Account(arn) + ":role/key-admin", fmt.Sprintf("%q", m.PCR0[n])}
			if arn == SealingKey {
				wants = append(wants, m.PCR3, "kms:Encrypt")
			}
			for _, want := range wants {
				if !strings.Contains(text, want) {
					t.Errorf("%s: no %s in %s", arn, want, text)
				}
			}
			for _, digit := range "abcdef0123456789" {
				if strings.Contains(text, strings.Repeat(string(digit), 96)) {
					t.Errorf("%s: the example's PCR of %c is left in %s", arn, digit, text)
				}
			}
			if n == 0 && strings.Contains(text, m.PCR0[1]) {
				t.Errorf("%s: an image that is not allowed is in %s", arn, text)
			}
		}
	}
}
