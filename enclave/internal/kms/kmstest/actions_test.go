package kmstest

import (
	"slices"
	"strings"
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
	const root = "arn:aws:iam::111122223333:root"
	recovery := []string{"kms:DescribeKey", "kms:GetKeyPolicy", "kms:PutKeyPolicy"}
	attested := &attestation.Document{PCRs: registers("a", "8", "3")}
	debug := &attestation.Document{PCRs: registers("0", "0", "3")}
	share, credential := []string{"kms:Decrypt", "kms:GenerateDataKey"}, []string{"kms:Decrypt"}
	for _, tc := range []struct {
		variant, key, arn, purpose string // purpose is the encryption context's
		attested, without          []string
	}{
		{"enclave", "primary", exampleRole, "", share, nil},
		{"enclave", "secondary_b", exampleRole, "", share, nil},
		{"enclave", "secondary_c", exampleRole, "", share, nil},
		{"enclave", "credentials", exampleRole, "", credential, nil},
		{"enclave", "credentials", exampleRole, "anti_slashing.sealed_password", credential, nil},
		{"upgrade", "primary", exampleRole, "", []string{"kms:Decrypt", "kms:Encrypt"}, []string{"kms:Encrypt"}},
		{"upgrade", "credentials", exampleRole, "", credential, nil},

		{"enclave", "primary", others()[0], "", administration, administration},
		{"enclave", "credentials", others()[0], "anti_slashing.sealed_password", administration, administration},
		{"enclave", "secondary_b", others()[1], "", administration, administration},
		{"enclave", "secondary_c", others()[2], "", administration, administration},
		{"enclave", "primary", others()[1], "", nil, nil},
		{"enclave", "secondary_b", others()[0], "", nil, nil},
		{"upgrade", "primary", "arn:aws:iam::111122223333:user/second", "", administration, administration},

		{"enclave", "primary", root, "", recovery, recovery},
		{"enclave", "credentials", root, "anti_slashing.sealed_password", recovery, recovery},
		{"upgrade", "primary", root, "", recovery, recovery},
		{"enclave", "secondary_b", root, "", nil, nil},
		{"enclave", "secondary_b", "arn:aws:iam::444455556666:root", "", recovery, recovery},
		{"enclave", "primary", "arn:aws:iam::111122223333:role/root", "", nil, nil},
		{"enclave", "primary", "arn:aws:iam::111122223333:user/root", "", nil, nil},

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
		who := everywhere(tc.arn)
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
				r := newRequest(who, action, exampleKeys[tc.key], context, c.document)
				r.context[keyDeletionWindow] = []string{"30"}
				if p.decide(r).allowed {
					may = append(may, action)
				}
			}
			if diff := cmp.Diff(slices.Sorted(slices.Values(c.want)), may); diff != "" {
				t.Errorf("%s, %s, %s, %q, %s: want (-) and may (+):\n%s", tc.variant, tc.key, tc.arn, tc.purpose, name, diff)
			}
		}
	}
}

// everywhere is who has this ARN, of the root user too, with identity policies that allow everything.
func everywhere(arn string) caller {
	parts := strings.Split(arn, ":")
	kind, _, _ := strings.Cut(parts[5], "/")
	if kind != "role" { // the root user signs as himself, as a user does
		kind = "user"
	}
	return (&principal{arn: arn, partition: parts[1], account: parts[4], kind: kind, name: "x", identityAllows: true}).as("s")
}

// TestDeletionTakesItsTime: an administrator schedules the deletion of a key in 30 days, and no sooner.
func TestDeletionTakesItsTime(t *testing.T) {
	e := readExample(t, "enclave")
	for key, text := range e.keys {
		p, err := parsePolicy([]byte(text))
		if err != nil {
			t.Fatalf("%s: %v", key, err)
		}
		account := strings.Split(exampleKeys[key], ":")[4]
		for days, want := range map[string]bool{"30": true, "29": false, "7": false, "": false} {
			r := newRequest(everywhere("arn:aws:iam::"+account+":role/key-admin"), "kms:ScheduleKeyDeletion", exampleKeys[key], nil, nil)
			if days != "" {
				r.context[keyDeletionWindow] = []string{days}
			}
			if d := p.decide(r); d.allowed != want {
				t.Errorf("%s in %q days: %+v", key, days, d)
			}
		}
	}
}
