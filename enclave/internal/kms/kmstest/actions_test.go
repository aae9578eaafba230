package kmstest

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
)

// keyActions are all that a key policy can allow on a key,
// https://docs.aws.amazon.com/service-authorization/latest/reference/list_awskeymanagementservice.html.
var keyActions = []string{
	"kms:CancelKeyDeletion", "kms:CreateAlias", "kms:CreateGrant", "kms:Decrypt", "kms:DeleteAlias", "kms:DeleteImportedKeyMaterial",
	"kms:DeriveSharedSecret", "kms:DescribeKey", "kms:DisableKey", "kms:DisableKeyRotation", "kms:EnableKey", "kms:EnableKeyRotation", "kms:Encrypt",
	"kms:GenerateDataKey", "kms:GenerateDataKeyPair", "kms:GenerateDataKeyPairWithoutPlaintext", "kms:GenerateDataKeyWithoutPlaintext",
	"kms:GenerateMac", "kms:GetKeyPolicy", "kms:GetKeyRotationStatus", "kms:GetParametersForImport", "kms:GetPublicKey", "kms:ImportKeyMaterial",
	"kms:ListGrants", "kms:ListKeyPolicies", "kms:ListKeyRotations", "kms:ListResourceTags", "kms:PutKeyPolicy", "kms:ReEncryptFrom", "kms:ReEncryptTo",
	"kms:ReplicateKey", "kms:RetireGrant", "kms:RevokeGrant", "kms:RotateKeyOnDemand", "kms:ScheduleKeyDeletion", "kms:Sign", "kms:SynchronizeMultiRegionKey",
	"kms:TagResource", "kms:UntagResource", "kms:UpdateAlias", "kms:UpdateKeyDescription", "kms:UpdatePrimaryRegion", "kms:Verify", "kms:VerifyMac",
}

// administration is what an administrator of a key may do, which is not to use it.
var administration = []string{
	"kms:CancelKeyDeletion", "kms:CreateAlias", "kms:DeleteAlias", "kms:DescribeKey", "kms:DisableKey", "kms:DisableKeyRotation", "kms:EnableKey",
	"kms:EnableKeyRotation", "kms:GetKeyPolicy", "kms:GetKeyRotationStatus", "kms:ListGrants", "kms:ListKeyPolicies", "kms:ListResourceTags",
	"kms:PutKeyPolicy", "kms:RevokeGrant", "kms:ScheduleKeyDeletion", "kms:TagResource", "kms:UntagResource", "kms:UpdateAlias", "kms:UpdateKeyDescription",
}

// TestExampleActions: of all that a key policy can allow, who may do what, with the enclave's document, with that of the enclave in debug mode, and with
// none. Identity policies allow everything here, and must not help.
func TestExampleActions(t *testing.T) {
	attested := &attestation.Document{PCRs: registers("a", "8", "3")}
	debug := &attestation.Document{PCRs: registers("0", "0", "3")}
	opens := []string{"kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey"}
	for _, tc := range []struct {
		variant, key, arn, purpose string // purpose is the encryption context's
		attested, without          []string
	}{
		{"enclave", "primary", exampleRole, "", opens, []string{"kms:DescribeKey"}},
		{"enclave", "secondary_b", exampleRole, "", opens, []string{"kms:DescribeKey"}},
		{"enclave", "secondary_c", exampleRole, "", opens, []string{"kms:DescribeKey"}},
		{"enclave", "credentials", exampleRole, "", opens, []string{"kms:DescribeKey"}},
		{"enclave", "credentials", exampleRole, "anti_slashing.sealed_password", opens, []string{"kms:DescribeKey"}},
		{"upgrade", "primary", exampleRole, "", []string{"kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey"}, []string{"kms:DescribeKey", "kms:Encrypt"}},
		{"upgrade", "credentials", exampleRole, "", opens, []string{"kms:DescribeKey"}},

		{"enclave", "primary", others()[0], "", administration, administration},
		{"enclave", "credentials", others()[0], "anti_slashing.sealed_password", administration, administration},
		{"enclave", "secondary_b", others()[1], "", administration, administration},
		{"enclave", "secondary_c", others()[2], "", administration, administration},
		{"enclave", "primary", others()[1], "", nil, nil},
		{"enclave", "secondary_b", others()[0], "", nil, nil},
		{"upgrade", "primary", "arn:aws:iam::111122223333:user/second", "", administration, administration},

		{"enclave", "primary", exampleSealer, "anti_slashing.sealed_password", nil, nil},
		{"enclave", "credentials", exampleSealer, "", nil, nil},
		{"enclave", "credentials", exampleSealer, "anti_slashing.sealed_password", []string{"kms:Encrypt"}, []string{"kms:Encrypt"}},
		{"upgrade", "credentials", exampleSealer, "anti_slashing.sealed_password", []string{"kms:Encrypt"}, []string{"kms:Encrypt"}},

		{"enclave", "primary", stranger, "", nil, nil},
		{"enclave", "credentials", other, "anti_slashing.sealed_password", nil, nil},
		{"upgrade", "primary", "arn:aws:iam::111122223333:user/containment-chamber", "", nil, nil},
	} {
		text := readExample(t, tc.variant).keys[tc.key]
		p, err := parsePolicy([]byte(text))
		if err != nil {
			t.Fatalf("%s %s: %v", tc.variant, tc.key, err)
		}
		parts := principalARN.FindStringSubmatch(tc.arn)
		who := (&principal{arn: tc.arn, partition: parts[1], account: parts[2], kind: parts[3], name: "x", identityAllows: true}).as("s")
		context := map[string]string{}
		if tc.purpose != "" {
			context["containment-chamber"] = tc.purpose
		}
		for name, c := range map[string]struct {
			document *attestation.Document
			want     []string
		}{"attested": {attested, tc.attested}, "debug mode": {debug, tc.without}, "no document": {nil, tc.without}} {
			var may []string
			for _, action := range keyActions {
				if p.decide(newRequest(who, action, exampleKeys[tc.key], context, c.document)).allowed {
					may = append(may, action)
				}
			}
			if diff := cmp.Diff(slices.Sorted(slices.Values(c.want)), may); diff != "" {
				t.Errorf("%s, %s, %s, %q, %s: want (-) and may (+):\n%s", tc.variant, tc.key, tc.arn, tc.purpose, name, diff)
			}
		}
	}
}
