package main

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/unforeseen-consequences/containment-chamber/enclave/e2e/rig"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/kms/kmstest"
	"github.com/unforeseen-consequences/containment-chamber/shared/eif"
)

// stsHost is where the SDK looks for STS.
const stsHost = "sts." + rig.Region + ".amazonaws.com"

// cloud is KMS and STS.
type cloud struct {
	*kmstest.Running

	pcr3, pcr8 string
}

// startCloud makes KMS keys that the genuine image may use, and a role whose token the parent has.
func (w *world) startCloud(context.Context) error {
	c := &cloud{pcr3: eif.PCR3(rig.KMSRole).String(), pcr8: eif.PCR8(w.root.Raw).String()}
	token := rig.RandomText()
	o := kmstest.Options{
		Roots:      []*x509.Certificate{w.root},
		Principals: []kmstest.Principal{{ARN: rig.KMSRole, WebIdentityToken: token}},
	}
	for _, arn := range append(rig.ShareKeys(), rig.SealingKey) {
		o.Keys = append(o.Keys, kmstest.Key{ARN: arn, Policy: c.policy(arn, w.images[genuine])})
	}
	var err error
	if c.Running, err = kmstest.Start(o); err != nil {
		return err
	}
	w.aws = c
	w.cleanup = append(w.cleanup, func() error { c.Stop(); return nil })
	if err := os.WriteFile(w.path("token"), []byte(token), 0o600); err != nil {
		return err
	}
	return os.WriteFile(w.path("aws.pem"), c.CA().PEM(), 0o600)
}

// policy is that of a KMS key which these images may use.
func (c *cloud) policy(arn string, allowed ...image) []byte {
	m := rig.Measured{PCR3: c.pcr3, PCR8: c.pcr8}
	for _, i := range allowed {
		m.PCR0 = append(m.PCR0, i.pcr0)
	}
	return rig.KeyPolicy(arn, m)
}

// allow has these images and no others use some KMS keys.
func (c *cloud) allow(keys []string, allowed ...image) error {
	for _, arn := range keys {
		if err := c.SetPolicy(arn, c.policy(arn, allowed...)); err != nil {
			return err
		}
	}
	return nil
}

// as is a client of somebody with a session of the role.
func (c *cloud) as(session string) (*kms.Client, error) {
	found, err := c.NewSession(rig.KMSRole, session, 0)
	if err != nil {
		return nil, err
	}
	return kms.New(kms.Options{
		BaseEndpoint: aws.String(c.URL), Region: rig.Region, HTTPClient: c.Client(), Retryer: aws.NopRetryer{},
		Credentials: credentials.NewStaticCredentialsProvider(found.AccessKeyID, found.SecretAccessKey, found.SessionToken),
	}), nil
}

// seal encrypts a password as a person with the role does with "aws kms encrypt".
func (c *cloud) seal(ctx context.Context, password string, encryptionContext map[string]string) (string, error) {
	client, err := c.as("operator")
	if err != nil {
		return "", err
	}
	out, err := client.Encrypt(ctx, &kms.EncryptInput{
		KeyId: aws.String(rig.SealingKey), Plaintext: []byte(password), EncryptionContext: encryptionContext,
	})
	if err != nil {
		return "", fmt.Errorf("encrypt the database's password: %w", err)
	}
	return base64.StdEncoding.EncodeToString(out.CiphertextBlob), nil
}
