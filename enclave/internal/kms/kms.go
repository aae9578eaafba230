// Package kms has AWS KMS seal and open secrets, in an enclave so that only that enclave can read them.
package kms

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/kms/envelope"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/secret"
)

const (
	// MaxPlaintext is the most bytes that Encrypt takes and Decrypt returns (AWS KMS API Reference, Encrypt).
	MaxPlaintext = 4096
	// MaxRandom is the most bytes that GenerateRandom returns (AWS KMS API Reference, GenerateRandom).
	MaxRandom = 1024
	// DataKeySize is the size of a data key in bytes.
	DataKeySize = 32
)

// Options say how KMS is reached.
type Options struct {
	Credentials aws.CredentialsProvider
	// Dial connects to host:port, with the host as in the URL. TLS is spoken over it.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// RootCAs vouch for KMS; nil are the system's, in an enclave those compiled in.
	RootCAs *x509.CertPool
	// Attest returns a new attestation document with publicKey, a SubjectPublicKeyInfo in DER, as its public_key. Without it there is no
	// enclave: see [Client.Attested].
	Attest func(ctx context.Context, publicKey []byte) (document []byte, err error)
	// Endpoint is where KMS of a region, or what speaks like it, is reached: https://HOST[:PORT]. Without it, or where it returns "", at
	// AWS's own endpoint of the region.
	Endpoint func(region string) string
}

// Client asks KMS. It is safe for concurrent use. Every request is tried up to three times, within its context; errors are of the kinds
// declared in this package.
//
// The encryption context of a request must not be empty: what was sealed for one purpose can be opened only for it. KMS and CloudTrail see
// it.
type Client struct {
	options Options
	api     *kms.Client
	key     func() (*recipient, error) // makes it at the first call; a function, because nothing that prints a Client calls one
}

// New makes a client. It asks nothing yet.
func New(o Options) (*Client, error) {
	if o.Credentials == nil || o.Dial == nil {
		return nil, errors.New("KMS: credentials and a dial function must be set")
	}
	return &Client{options: o, api: newAPI(o), key: sync.OnceValues(newRecipient)}, nil
}

// Run makes the enclave's key, so that the first request need not wait for it, and returns when ctx has ended.
func (c *Client) Run(ctx context.Context) error {
	if c.Attested() {
		if _, err := c.key(); err != nil {
			return err
		}
	}
	<-ctx.Done()
	return nil
}

// Attested says whether KMS answers to a key of this enclave alone, after a look at its attestation document. If not, in standard mode,
// secrets come in the clear inside TLS, for whoever has the credentials, and copies of them stay behind in the buffers of the AWS SDK.
func (c *Client) Attested() bool { return c.options.Attest != nil }

// Decrypt opens what Encrypt or GenerateDataKey sealed with the same key and encryption context.
func (c *Client) Decrypt(ctx context.Context, key ARN, ciphertext []byte, encryptionContext map[string]string) (secret.Bytes, error) {
	r := request{"Decrypt", key.text, key.region}
	if err := r.check(key, encryptionContext); err != nil {
		return secret.Bytes{}, err
	}
	to, err := c.recipient(ctx, r)
	if err != nil {
		return secret.Bytes{}, err
	}
	answer, err := send(ctx, c, r, c.api.Decrypt, &kms.DecryptInput{
		KeyId: &key.text, CiphertextBlob: ciphertext, EncryptionContext: encryptionContext,
		EncryptionAlgorithm: types.EncryptionAlgorithmSpecSymmetricDefault, Recipient: to,
	})
	if err != nil {
		return secret.Bytes{}, err
	}
	plain, err := c.open(r, answer.Plaintext, answer.CiphertextForRecipient)
	if err != nil {
		return secret.Bytes{}, err
	}
	if err := r.same(key, answer.KeyId); err != nil {
		clear(plain)
		return secret.Bytes{}, err
	}
	return secret.New(plain), nil
}

// GenerateDataKey returns a new key of [DataKeySize] bytes, and the same sealed, for Decrypt.
func (c *Client) GenerateDataKey(ctx context.Context, key ARN, encryptionContext map[string]string) (plaintext secret.Bytes, sealed []byte, err error) {
	r := request{"GenerateDataKey", key.text, key.region}
	if err := r.check(key, encryptionContext); err != nil {
		return secret.Bytes{}, nil, err
	}
	to, err := c.recipient(ctx, r)
	if err != nil {
		return secret.Bytes{}, nil, err
	}
	answer, err := send(ctx, c, r, c.api.GenerateDataKey, &kms.GenerateDataKeyInput{
		KeyId: &key.text, EncryptionContext: encryptionContext, KeySpec: types.DataKeySpecAes256, Recipient: to,
	})
	if err != nil {
		return secret.Bytes{}, nil, err
	}
	plain, err := c.open(r, answer.Plaintext, answer.CiphertextForRecipient)
	if err != nil {
		return secret.Bytes{}, nil, err
	}
	if err = r.same(key, answer.KeyId); err == nil && (len(plain) != DataKeySize || len(answer.CiphertextBlob) == 0) {
		err = r.failed(fmt.Errorf("%w: a data key of %d bytes, sealed in %d", ErrAnswer, len(plain), len(answer.CiphertextBlob)))
	}
	if err != nil {
		clear(plain)
		return secret.Bytes{}, nil, err
	}
	return secret.New(plain), answer.CiphertextBlob, nil
}

// GenerateRandom returns n random bytes, 1 to [MaxRandom], of the hardware of KMS in a region.
func (c *Client) GenerateRandom(ctx context.Context, region string, n int) (secret.Bytes, error) {
	r := request{"GenerateRandom", "", region}
	switch {
	case !regions.MatchString(region):
		return secret.Bytes{}, fmt.Errorf("KMS GenerateRandom: %.40q is not a region, such as eu-central-1", region)
	case n < 1 || n > MaxRandom:
		return secret.Bytes{}, r.failed(fmt.Errorf("%d bytes asked for, not 1 to %d", n, MaxRandom))
	}
	to, err := c.recipient(ctx, r)
	if err != nil {
		return secret.Bytes{}, err
	}
	answer, err := send(ctx, c, r, c.api.GenerateRandom, &kms.GenerateRandomInput{NumberOfBytes: aws.Int32(int32(n)), Recipient: to})
	if err != nil {
		return secret.Bytes{}, err
	}
	plain, err := c.open(r, answer.Plaintext, answer.CiphertextForRecipient)
	if err != nil {
		return secret.Bytes{}, err
	}
	if len(plain) != n {
		clear(plain)
		return secret.Bytes{}, r.failed(fmt.Errorf("%w: %d random bytes, want %d", ErrAnswer, len(plain), n))
	}
	return secret.New(plain), nil
}

// Encrypt seals 1 to [MaxPlaintext] bytes. They go to KMS in the clear inside TLS, from an enclave too: KMS takes no attestation for it, and
// a copy stays behind in the buffers of the AWS SDK.
func (c *Client) Encrypt(ctx context.Context, key ARN, plaintext secret.Bytes, encryptionContext map[string]string) ([]byte, error) {
	r := request{"Encrypt", key.text, key.region}
	if err := r.check(key, encryptionContext); err != nil {
		return nil, err
	}
	var plain []byte // a copy: nobody who wipes the secret waits for a network
	if err := plaintext.Use(func(b []byte) error { plain = append(plain, b...); return nil }); err != nil {
		return nil, r.failed(err)
	}
	defer clear(plain)
	if len(plain) == 0 || len(plain) > MaxPlaintext {
		return nil, r.failed(fmt.Errorf("a plaintext of %d bytes, not 1 to %d", len(plain), MaxPlaintext))
	}
	answer, err := send(ctx, c, r, c.api.Encrypt, &kms.EncryptInput{
		KeyId: &key.text, Plaintext: plain, EncryptionContext: encryptionContext,
		EncryptionAlgorithm: types.EncryptionAlgorithmSpecSymmetricDefault,
	})
	if err != nil {
		return nil, err
	}
	if err := r.same(key, answer.KeyId); err != nil {
		return nil, err
	}
	if len(answer.CiphertextBlob) == 0 {
		return nil, r.failed(fmt.Errorf("%w: no ciphertext", ErrAnswer))
	}
	return answer.CiphertextBlob, nil
}

// open returns the secret of an answer, of at most [MaxPlaintext] bytes, from where the mode has it. The SDK's own copy is wiped if it is
// not what is returned.
func (c *Client) open(r request, plaintext, forRecipient []byte) ([]byte, error) {
	plain := plaintext
	if c.Attested() {
		if len(plaintext) > 0 {
			clear(plaintext)
			return nil, r.failed(ErrPlaintext)
		}
		key, err := c.key()
		if err != nil {
			return nil, r.failed(err)
		}
		if plain, err = envelope.Open(key.private, forRecipient); err != nil {
			return nil, r.failed(err)
		}
	}
	if len(plain) == 0 || len(plain) > MaxPlaintext {
		clear(plain)
		return nil, r.failed(fmt.Errorf("%w: a plaintext of %d bytes", ErrAnswer, len(plain)))
	}
	return plain, nil
}
