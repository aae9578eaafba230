package kmstest

import (
	"net/http"
	"strings"
)

// operation is one of KMS, https://docs.aws.amazon.com/kms/latest/APIReference/.
type operation struct {
	takesDocument bool
	anyState      bool // a key that is disabled can do it too
	check         func(in input) error
	find          func(*Server, *call) (*key, error) // nil: there is no key
	run           func(*Server, *call) (any, error)
}

//nolint:gochecknoglobals // constant
var operations = map[string]operation{
	"Decrypt":         {takesDocument: true, check: checkDecrypt, find: findDecrypt, run: runDecrypt},
	"Encrypt":         {check: checkEncrypt, find: findNamed, run: runEncrypt},
	"GenerateDataKey": {takesDocument: true, check: checkDataKey, find: findNamed, run: runDataKey},
	"GenerateRandom":  {takesDocument: true, check: checkRandom, run: runRandom},
	"DescribeKey":     {anyState: true, check: checkModelled, find: findNamed, run: runDescribe},
}

const (
	symmetric     = "SYMMETRIC_DEFAULT"
	maxCiphertext = 6144
	maxPlaintext  = 4096
	maxRandom     = 1024
)

// sealed is the answer of Encrypt.
type sealed struct {
	CiphertextBlob      []byte
	EncryptionAlgorithm string
	KeyID               string `json:"KeyId"`
}

// opened is an answer with a plaintext, which is null beside an envelope.
type opened struct {
	CiphertextBlob         []byte `json:",omitempty"`
	CiphertextForRecipient []byte `json:",omitempty"`
	EncryptionAlgorithm    string `json:",omitempty"`
	KeyID                  string `json:"KeyId,omitempty"`
	KeyMaterialID          string `json:"KeyMaterialId,omitempty"`
	Plaintext              []byte
}

func checkModelled(in input) error {
	switch {
	case len(in.GrantTokens) > 0:
		return invalid("kmstest has no GrantTokens")
	case in.DryRun:
		return invalid("kmstest has no DryRun")
	case in.EncryptionAlgorithm != "" && in.EncryptionAlgorithm != symmetric:
		return invalid("kmstest has no EncryptionAlgorithm %s", in.EncryptionAlgorithm)
	}
	return nil
}

func checkSize(member string, size, most int) error {
	if size < 1 || size > most {
		return invalid("1 validation error detected: Value at '%s' failed to satisfy constraint: Member must have length between 1 and %d", member, most)
	}
	return nil
}

func checkDecrypt(in input) error {
	if err := checkModelled(in); err != nil {
		return err
	}
	return checkSize("ciphertextBlob", len(in.CiphertextBlob), maxCiphertext)
}

func checkEncrypt(in input) error {
	if err := checkModelled(in); err != nil {
		return err
	}
	return checkSize("plaintext", len(in.Plaintext), maxPlaintext)
}

func checkDataKey(in input) error {
	if err := checkModelled(in); err != nil {
		return err
	}
	switch {
	case (in.KeySpec == "") == (in.NumberOfBytes == nil):
		return invalid("Please specify either number of bytes or key spec.")
	case in.KeySpec != "" && in.KeySpec != "AES_256" && in.KeySpec != "AES_128":
		return invalid("1 validation error detected: Value '%s' at 'keySpec' failed to satisfy constraint: Member must satisfy enum value set: [AES_256, AES_128]", in.KeySpec)
	case in.NumberOfBytes != nil:
		return checkSize("numberOfBytes", *in.NumberOfBytes, maxRandom)
	}
	return nil
}

func checkRandom(in input) error {
	if in.NumberOfBytes == nil {
		return invalid("1 validation error detected: Value null at 'numberOfBytes' failed to satisfy constraint: Member must not be null")
	}
	return checkSize("numberOfBytes", *in.NumberOfBytes, maxRandom)
}

func findNamed(s *Server, c *call) (*key, error) {
	return s.find(c.in.KeyID, c.region, c.caller.account)
}

// findDecrypt takes the key that is named, or else the one that the ciphertext tells.
func findDecrypt(s *Server, c *call) (*key, error) {
	if c.in.KeyID != "" {
		return findNamed(s, c)
	}
	arn, _, _, err := splitBlob(c.in.CiphertextBlob)
	if err != nil {
		return nil, refusal(http.StatusBadRequest, "InvalidCiphertextException", "%v", err)
	}
	k, err := s.find(arn, c.region, c.caller.account)
	if err != nil || !strings.HasPrefix(arn, "arn:") {
		return nil, refusal(http.StatusBadRequest, "AccessDeniedException",
			"The ciphertext refers to a customer master key that does not exist, does not exist in this region, or you are not allowed to access.")
	}
	return k, nil
}

func runDecrypt(_ *Server, c *call) (any, error) {
	if arn, _, _, err := splitBlob(c.in.CiphertextBlob); err == nil && arn != c.key.arn {
		return nil, refusal(http.StatusBadRequest, "IncorrectKeyException", "The key ID in the request does not identify a CMK that can perform this operation.")
	}
	plaintext, err := c.key.decrypt(c.in.CiphertextBlob, c.in.EncryptionContext)
	if err != nil {
		c.event.Reason = "the ciphertext or its encryption context is another than Encrypt made or had"
		return nil, refusal(http.StatusBadRequest, "InvalidCiphertextException", "") // AWS says no more
	}
	return c.opened(plaintext, nil)
}

func runEncrypt(_ *Server, c *call) (any, error) {
	blob, err := c.key.encrypt(c.in.Plaintext, c.in.EncryptionContext)
	if err != nil {
		return nil, err
	}
	return sealed{blob, symmetric, c.key.arn}, nil
}

func runDataKey(_ *Server, c *call) (any, error) {
	size := 32
	switch {
	case c.in.NumberOfBytes != nil:
		size = *c.in.NumberOfBytes
	case c.in.KeySpec == "AES_128":
		size = 16
	}
	plaintext := random(size)
	blob, err := c.key.encrypt(plaintext, c.in.EncryptionContext)
	if err != nil {
		return nil, err
	}
	return c.opened(plaintext, blob)
}

// opened is the answer with the plaintext in one of its two forms, and of Decrypt or, with a ciphertext, of GenerateDataKey.
func (c *call) opened(plaintext, ciphertext []byte) (any, error) {
	clear, envelope, err := c.hand(plaintext)
	if err != nil {
		return nil, err
	}
	answer := opened{CiphertextBlob: ciphertext, CiphertextForRecipient: envelope, KeyID: c.key.arn, Plaintext: clear}
	if ciphertext == nil {
		answer.EncryptionAlgorithm = symmetric
	}
	if envelope == nil {
		answer.KeyMaterialID = c.key.materialID()
	}
	return answer, nil
}

func runRandom(_ *Server, c *call) (any, error) {
	clear, envelope, err := c.hand(random(*c.in.NumberOfBytes))
	return opened{CiphertextForRecipient: envelope, Plaintext: clear}, err
}

func runDescribe(s *Server, c *call) (any, error) {
	s.mu.Lock()
	state := c.key.state
	s.mu.Unlock()
	k := c.key
	return map[string]any{"KeyMetadata": map[string]any{
		"AWSAccountId": k.account, "Arn": k.arn, "KeyId": k.id, "CreationDate": k.created.Unix(), "Description": "kmstest",
		"Enabled": state == Enabled, "KeyState": state, "KeyManager": "CUSTOMER", "KeyUsage": "ENCRYPT_DECRYPT", "Origin": "AWS_KMS",
		"KeySpec": symmetric, "CustomerMasterKeySpec": symmetric, "EncryptionAlgorithms": []string{symmetric}, "MultiRegion": false,
		"CurrentKeyMaterialId": k.materialID(),
	}}, nil
}
