package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/config"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/egress"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/kms"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/pgurl"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/secret"
)

// slashingBackend is how the slashing store is opened: with the credential that KMS opens for this enclave alone, if the configuration holds
// one, so that whoever controls the host cannot rewrite the record.
func (s *signer) slashingBackend(ctx context.Context) (OpenStore, error) {
	c := s.cfg.AntiSlashing
	open, err := pick("anti_slashing.backend", c.Backend, "store", s.backends.Slashing)
	if err != nil {
		return nil, err
	}
	sealed, err := c.Sealed()
	if err != nil || sealed == nil {
		return open, err
	}
	credential, err := s.unsealCredential(ctx, sealed)
	if err != nil {
		return nil, fmt.Errorf("anti_slashing: open the sealed credential: %w", err)
	}
	s.house.onStop("slashing credential", func() error { credential.Wipe(); return nil })
	if c.Backend == "postgres" {
		return postgresWith(func(context.Context, config.AntiSlashing, egress.DialFunc) (passwords, error) {
			return passwordOf(credential), nil
		}), nil
	}
	return DynamoDB(accessKey(credential)), nil
}

func (s *signer) unsealCredential(ctx context.Context, sealed *config.Sealed) (secret.Bytes, error) {
	key, err := kms.ParseARN(sealed.KeyARN)
	if err != nil {
		return secret.Bytes{}, err
	}
	client, err := s.openKMS(ctx, key.Region())
	if err != nil {
		return secret.Bytes{}, err
	}
	credential, err := client.Decrypt(ctx, key, sealed.Ciphertext, sealed.Context)
	if err != nil {
		return secret.Bytes{}, err
	}
	if err := oneLine(credential); err != nil {
		credential.Wipe()
		return secret.Bytes{}, err
	}
	return credential, nil
}

// oneLine refuses what an editor or echo left behind a credential: the server would only say that it is wrong.
func oneLine(credential secret.Bytes) error {
	return credential.Use(func(b []byte) error {
		if bytes.ContainsAny(b, "\r\n") {
			return errors.New("it has a line break: encrypt the credential alone")
		}
		return nil
	})
}

// passwords makes the password of each new connection.
type passwords func(ctx context.Context, t pgurl.Target) (string, error)

// passwordOf gives the same each time. The string that the driver needs is a copy that cannot be wiped.
func passwordOf(credential secret.Bytes) passwords {
	return func(context.Context, pgurl.Target) (password string, err error) {
		err = credential.Use(func(b []byte) error { password = string(b); return nil })
		return password, err
	}
}

// accessKey are the Credentials of ACCESS_KEY_ID:SECRET.
func accessKey(credential secret.Bytes) Credentials {
	return func(context.Context, string, egress.DialFunc) (aws.CredentialsProvider, error) {
		return aws.CredentialsProviderFunc(func(context.Context) (found aws.Credentials, err error) {
			err = credential.Use(func(b []byte) error {
				id, key, ok := strings.Cut(string(b), ":")
				if !ok || id == "" || key == "" {
					return errors.New("anti_slashing.dynamodb.sealed_access_key: want ACCESS_KEY_ID:SECRET in it")
				}
				found = aws.Credentials{AccessKeyID: id, SecretAccessKey: key, Source: "anti_slashing.dynamodb.sealed_access_key"}
				return nil
			})
			return found, err
		}), nil
	}
}
