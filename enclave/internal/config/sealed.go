package config

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/pgurl"
)

// Sealed is a credential that AWS KMS encrypted.
type Sealed struct {
	Ciphertext []byte            // what KMS calls CiphertextBlob
	KeyARN     string            // the key that it was encrypted with
	Context    map[string]string // the encryption context that it was encrypted with
}

const (
	sealedPassword  = "anti_slashing.sealed_password" //nolint:gosec // the name of a key of the configuration
	sealedAccessKey = "anti_slashing.dynamodb.sealed_access_key"
	sealedKeyARN    = "anti_slashing.sealed_password_kms_key_arn"
)

// Sealed is the credential of the store: the password of the postgres backend for password_source kms, or the access key of the dynamodb
// backend, ACCESS_KEY_ID:SECRET, if there is one. It is nil where the store is reached otherwise.
func (a AntiSlashing) Sealed() (*Sealed, error) {
	key, text := a.sealedText()
	if key == "" {
		return nil, nil //nolint:nilnil // not sealed is no error
	}
	ciphertext, err := parseSealed(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	destination, err := a.destination()
	if err != nil {
		return nil, err
	}
	context := map[string]string{"containment-chamber": key}
	for name, value := range destination {
		context["containment-chamber:"+name] = value
	}
	return &Sealed{ciphertext, a.SealedPasswordKMSKeyARN, context}, nil
}

// destination says where the credential goes, so that KMS opens it for no configuration that sends it elsewhere. No value is empty.
func (a AntiSlashing) destination() (map[string]string, error) {
	if a.Backend == "dynamodb" {
		return map[string]string{"table": a.DynamoDB.Table, "endpoint": cmp.Or(a.DynamoDB.Endpoint, "public")}, nil
	}
	target, err := pgurl.Parse(a.URL)
	if err != nil {
		return nil, fmt.Errorf("anti_slashing.url: %w", err)
	}
	authorities, err := a.authorities()
	if err != nil {
		return nil, fmt.Errorf("anti_slashing.ca_pem: %w", err)
	}
	return map[string]string{"server": target.Address(), "user": target.User, "database": target.Database, "ca": authorities}, nil
}

// authorities is the SHA-256 of the certificates of ca_pem, one after the other in DER, in hexadecimal; "public" if there are none.
func (a AntiSlashing) authorities() (string, error) {
	certificates, err := parseCertificates(a.CAPEM)
	if err != nil {
		return "", err
	}
	if len(certificates) == 0 {
		return "public", nil
	}
	hash := sha256.New()
	for _, cert := range certificates {
		hash.Write(cert.Raw)
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// sealedText is the key of the configuration that holds the credential in use, and its text; no key if there is none.
func (a AntiSlashing) sealedText() (key, text string) {
	switch {
	case a.Backend == "postgres" && a.PasswordSource == "kms":
		return sealedPassword, a.SealedPassword
	case a.Backend == "dynamodb" && a.DynamoDB.SealedAccessKey != "":
		return sealedAccessKey, a.DynamoDB.SealedAccessKey
	}
	return "", ""
}

func (a AntiSlashing) sealed() bool {
	key, _ := a.sealedText()
	return key != ""
}

// maxCiphertext is the most bytes that KMS decrypts (AWS KMS API Reference, Decrypt).
const maxCiphertext = 6144

// parseSealed reads base64, which a folded YAML text may have broken.
func parseSealed(text string) ([]byte, error) {
	ciphertext, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil || len(ciphertext) == 0 || len(ciphertext) > maxCiphertext {
		return nil, errors.New("want the ciphertext of AWS KMS in base64, at most 6144 bytes of it")
	}
	return ciphertext, nil
}

func (c *checker) sealed() {
	s := c.AntiSlashing
	for _, text := range []struct{ key, value string }{{sealedPassword, s.SealedPassword}, {sealedAccessKey, s.DynamoDB.SealedAccessKey}} {
		if text.value == "" {
			continue
		}
		if _, err := parseSealed(text.value); err != nil {
			c.refuse(text.key, nil, "%w", err)
		}
	}
	if s.SealedPasswordKMSKeyARN != "" {
		if err := checkKMSKey(s.SealedPasswordKMSKeyARN); err != nil {
			c.refuse(sealedKeyARN, nil, "%w", err)
		}
	}
	key, text := s.sealedText()
	if key == sealedPassword && text == "" {
		c.refuse(sealedPassword, on("anti_slashing.backend", "anti_slashing.password_source"), "must be set: anti_slashing.password_source is kms")
	}
	if key != "" && s.SealedPasswordKMSKeyARN == "" {
		c.refuse(sealedKeyARN, on("anti_slashing.backend", "anti_slashing.password_source"), "must be set: it names the KMS key that opens %s", key)
	}
}
