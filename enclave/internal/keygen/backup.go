package keygen

import (
	"fmt"
	"runtime"
	"slices"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keygen/age"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/secret"
)

const (
	// MaxRecipients is how many there can be, so that a backup stays small enough to be stored beside every key.
	MaxRecipients = 32
	// MaxBackup is the most bytes that a backup has.
	MaxBackup = 6 << 10
)

// New makes a generator whose mnemonics are encrypted to recipients, at most MaxRecipients, each as age-keygen prints it (age1…). Without
// any there are no backups. An error names the entry.
func New(recipients []string) (*Generator, error) {
	if len(recipients) > MaxRecipients {
		return nil, fmt.Errorf("recipients: %d, at most %d", len(recipients), MaxRecipients)
	}
	g := &Generator{slots: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2))}
	for i, text := range recipients {
		r, err := age.ParseRecipient(text)
		if err != nil { // which shows so little of the entry, because it may be a secret key by mistake
			return nil, fmt.Errorf("recipients[%d] %.12q: %w", i, text, err)
		}
		if j := slices.IndexFunc(g.recipients, r.Equal); j >= 0 {
			return nil, fmt.Errorf("recipients[%d] %.12q: is recipients[%d] again", i, text, j)
		}
		g.recipients = append(g.recipients, r)
	}
	return g, nil
}

// backup encrypts the mnemonic of keys, nil without recipients. Inside is JSON for people who restore: which keys the mnemonic is for, and
// the first public key, by which they see that they have derived the same ones.
func (g *Generator) backup(words secret.Bytes, keys []Key) (file []byte, err error) {
	if len(g.recipients) == 0 {
		return nil, nil
	}
	text := make([]byte, 0, 1<<10) // enough, so that growing leaves no copy behind
	defer func() { clear(text) }()
	err = words.Use(func(mnemonic []byte) error {
		// Words need no escaping. An encoder would leave copies of them behind.
		text = append(text, `{"mnemonic":"`...)
		text = append(text, mnemonic...)
		text = fmt.Appendf(text, `","path":"m/%d/%d/i/0/0","first_index":%d,"count":%d,"first_pubkey":"%s"}`+"\n",
			purpose, coinType, keys[0].Index, len(keys), keys[0].Secret.PublicKey())
		file, err = age.Encrypt(text, g.recipients)
		return err
	})
	return file, err
}
