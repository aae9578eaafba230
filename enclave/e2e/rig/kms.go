package rig

import (
	_ "embed"
	"strings"
)

// Region is where the KMS keys are, and KMSRole the role that the key policies name.
const (
	Region  = "eu-central-1"
	KMSRole = "arn:aws:iam::111122223333:role/validators/signer"
)

// The KMS keys: one in each account for a share of the master key, and one for a database's password.
const (
	FirstKey   = "arn:aws:kms:" + Region + ":111122223333:key/11111111-0000-4000-8000-000000000001"
	SecondKey  = "arn:aws:kms:" + Region + ":444455556666:key/22222222-0000-4000-8000-000000000002"
	ThirdKey   = "arn:aws:kms:" + Region + ":777788889999:key/33333333-0000-4000-8000-000000000003"
	SealingKey = "arn:aws:kms:" + Region + ":111122223333:key/44444444-0000-4000-8000-000000000004"
)

// ShareKeys are the ARNs of the keys for shares, each of another account.
func ShareKeys() []string { return []string{FirstKey, SecondKey, ThirdKey} }

// Account is the account in an ARN.
func Account(arn string) string { return strings.Split(arn, ":")[4] }

// ShortKeys is a text for people, with KEY1 to KEY3 in the place of the ARNs of the keys for shares.
func ShortKeys(text string) string {
	return strings.NewReplacer(FirstKey, "KEY1", SecondKey, "KEY2", ThirdKey, "KEY3").Replace(text)
}

// What the Terraform module kms-key-policy makes for testdata/one.tfvars, and for testdata/upgrade.tfvars, whose role may encrypt.
//
//go:embed policies/one.json
var sharePolicy string

//go:embed policies/upgrade.json
var passwordPolicy string

// Measured are the registers that a key policy can name, in hex.
type Measured struct {
	PCR0 []string // of each image that is allowed
	PCR3 string   // of the role; the policies of keys for shares do not have it
	PCR8 string   // of who signed the images
}

// KeyPolicy is the module's for a KMS key, with these registers in the place of its example's.
func KeyPolicy(arn string, m Measured) []byte {
	digits := func(digit string) string { return `"` + strings.Repeat(digit, 96) + `"` }
	images := `["` + strings.Join(m.PCR0, `","`) + `"]`
	text := sharePolicy
	if arn == SealingKey {
		text = passwordPolicy
	}
	return []byte(strings.NewReplacer(
		"["+digits("a")+","+digits("b")+"]", images,
		"["+digits("a")+"]", images,
		digits("3"), `"`+m.PCR3+`"`,
		digits("8"), `"`+m.PCR8+`"`,
		"arn:aws:iam::111122223333:role/key-admin", "arn:aws:iam::"+Account(arn)+":role/key-admin",
		"arn:aws:iam::111122223333:root", "arn:aws:iam::"+Account(arn)+":root",
		"arn:aws:iam::444455556666:", "arn:aws:iam::"+Account(arn)+":",
	).Replace(text))
}
