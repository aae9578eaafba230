package kms

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// recipientBits is the size of the key in attestation documents: AWS's own clients for enclaves use no other.
const recipientBits = 2048

// recipient is the key to which KMS encrypts its answers. It is made anew in each process and leaves it in no form, so that an answer that
// was recorded is worth nothing to anybody.
type recipient struct {
	private *rsa.PrivateKey
	public  []byte // SubjectPublicKeyInfo, DER
}

// newRecipient takes some hundred milliseconds.
func newRecipient() (*recipient, error) {
	private, err := rsa.GenerateKey(rand.Reader, recipientBits)
	if err != nil {
		return nil, fmt.Errorf("KMS: make the enclave's key: %w", err)
	}
	public, err := x509.MarshalPKIXPublicKey(&private.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("KMS: encode the enclave's key: %w", err)
	}
	return &recipient{private, public}, nil
}

// recipient says to whom a request's answer is to be encrypted: with a document made for it, because KMS takes none that is older than
// five minutes. It is nil in standard mode.
func (c *Client) recipient(ctx context.Context, r request) (*types.RecipientInfo, error) {
	if !c.Attested() {
		return nil, nil
	}
	key, err := c.key()
	if err != nil {
		return nil, r.failed(err)
	}
	document, err := c.options.Attest(ctx, key.public)
	if err != nil {
		return nil, r.failed(fmt.Errorf("attest the enclave's key: %w", err))
	}
	return &types.RecipientInfo{
		AttestationDocument:    document,
		KeyEncryptionAlgorithm: types.KeyEncryptionMechanismRsaesOaepSha256,
	}, nil
}
