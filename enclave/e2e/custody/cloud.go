package main

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	_ "embed"
	"encoding/base64"
	"fmt"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/kms/kmstest"
	"github.com/unforeseen-consequences/containment-chamber/shared/eif"
)

const (
	region  = "eu-central-1"
	roleARN = "arn:aws:iam::111122223333:role/validators/signer"
	// stsHost is where the SDK looks for STS.
	stsHost = "sts." + region + ".amazonaws.com"
)

// The KMS keys: one in each account for a share of the master key, and one for the password of the database.
const (
	firstKey   = "arn:aws:kms:eu-central-1:111122223333:key/11111111-0000-4000-8000-000000000001"
	secondKey  = "arn:aws:kms:eu-central-1:444455556666:key/22222222-0000-4000-8000-000000000002"
	thirdKey   = "arn:aws:kms:eu-central-1:777788889999:key/33333333-0000-4000-8000-000000000003"
	sealingKey = "arn:aws:kms:eu-central-1:111122223333:key/44444444-0000-4000-8000-000000000004"
)

func shareKeys() []string { return []string{firstKey, secondKey, thirdKey} }

// What the Terraform module kms-key-policy makes for testdata/one.tfvars, and for testdata/upgrade.tfvars, whose role may encrypt.
//
//go:embed policies/one.json
var sharePolicy string

//go:embed policies/upgrade.json
var passwordPolicy string

// cloud is KMS and STS.
type cloud struct {
	*kmstest.Running

	pcr3, pcr8 string
}

// startCloud makes KMS keys that the genuine image may use, and a role whose token the parent has.
func (w *world) startCloud(context.Context) error {
	c := &cloud{pcr3: eif.PCR3(roleARN).String(), pcr8: eif.PCR8(w.root.Raw).String()}
	token := randomText()
	o := kmstest.Options{
		Roots:      []*x509.Certificate{w.root},
		Principals: []kmstest.Principal{{ARN: roleARN, WebIdentityToken: token}},
	}
	for _, arn := range append(shareKeys(), sealingKey) {
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

// policy is the module's for a key, with these images in the place of its example's.
func (c *cloud) policy(arn string, allowed ...image) []byte {
	images := make([]string, 0, len(allowed))
	for _, i := range allowed {
		images = append(images, `"`+i.pcr0+`"`)
	}
	digits := func(digit string) string { return `"` + strings.Repeat(digit, 96) + `"` }
	account := strings.Split(arn, ":")[4]
	text := sharePolicy
	if arn == sealingKey {
		text = passwordPolicy
	}
	return []byte(strings.NewReplacer(
		"["+digits("a")+","+digits("b")+"]", "["+strings.Join(images, ",")+"]",
		"["+digits("a")+"]", "["+strings.Join(images, ",")+"]",
		digits("3"), `"`+c.pcr3+`"`,
		digits("8"), `"`+c.pcr8+`"`,
		"arn:aws:iam::111122223333:role/key-admin", "arn:aws:iam::"+account+":role/key-admin",
		"arn:aws:iam::444455556666:", "arn:aws:iam::"+account+":",
	).Replace(text))
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
	found, err := c.NewSession(roleARN, session, 0)
	if err != nil {
		return nil, err
	}
	return kms.New(kms.Options{
		BaseEndpoint: aws.String(c.URL), Region: region, HTTPClient: c.Client(), Retryer: aws.NopRetryer{},
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
		KeyId: aws.String(sealingKey), Plaintext: []byte(password), EncryptionContext: encryptionContext,
	})
	if err != nil {
		return "", fmt.Errorf("encrypt the database's password: %w", err)
	}
	return base64.StdEncoding.EncodeToString(out.CiphertextBlob), nil
}

func randomText() string { return strings.ToLower(rand.Text()) }
