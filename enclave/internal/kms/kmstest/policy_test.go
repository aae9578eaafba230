package kmstest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
)

// judge lets a policy of these statements decide on a request.
func judge(t *testing.T, who caller, action string, encryption map[string]string, doc *attestation.Document, statements ...string) decision {
	t.Helper()
	p, err := parsePolicy([]byte(`{"Version":"2012-10-17","Statement":[` + strings.Join(statements, ",") + `]}`))
	if err != nil {
		t.Fatalf("%s: %v", statements, err)
	}
	return p.decide(newRequest(who, action, keyA, encryption, doc))
}

func signerIn(name string, identityAllows bool) caller {
	return (&principal{arn: signer, partition: "aws", account: home, kind: "role", name: "signer", identityAllows: identityAllows}).as(name)
}

// TestConditions: each operator, with values that match, that do not, and that are absent.
func TestConditions(t *testing.T) {
	const image = "kms:RecipientAttestation:ImageSha384"
	lower, upper := pcr("a").String(), strings.ToUpper(pcr("a").String())
	list := fmt.Sprintf(`["%s","%s"]`, pcr("b"), lower)
	quoted := func(v string) string { return `"` + v + `"` }
	for _, tc := range []struct {
		operator, key, values string
		same, other, absent   bool // whether it holds for the image a, for the image c, and without a document
	}{
		{"StringEquals", image, quoted(lower), true, false, false},
		{"StringEquals", image, list, true, false, false},
		{"StringEquals", image, quoted(upper), false, false, false},
		{"StringEquals", strings.ToUpper(image), quoted(lower), true, false, false},
		{"StringEquals", "kms:RecipientAttestation:PCR0", quoted(lower), true, false, false},
		{"StringEqualsIfExists", image, quoted(lower), true, false, true},
		{"StringNotEquals", image, quoted(lower), false, true, true},
		{"StringNotEquals", image, list, false, true, true},
		{"StringNotEqualsIfExists", image, quoted(lower), false, true, true},
		{"StringEqualsIgnoreCase", image, quoted(upper), true, false, false},
		{"StringEqualsIgnoreCaseIfExists", image, quoted(upper), true, false, true},
		{"StringNotEqualsIgnoreCase", image, quoted(upper), false, true, true},
		{"StringNotEqualsIgnoreCaseIfExists", image, quoted(upper), false, true, true},
		{"StringLike", image, `"aaa*"`, true, false, false},
		{"StringLike", image, `"aaa?"`, false, false, false},
		{"StringLike", image, `"*"`, true, true, false},
		{"StringLike", image, quoted("?" + lower[1:]), true, false, false},
		{"StringLike", image, `"."`, false, false, false},
		{"StringLikeIfExists", image, `"aaa*"`, true, false, true},
		{"StringNotLike", image, `"aaa*"`, false, true, true},
		{"StringNotLikeIfExists", image, `["b*","aaa*"]`, false, true, true},
		{"Null", image, `"true"`, false, false, true},
		{"Null", image, `false`, true, true, false},
		{"StringEquals", "kms:RecipientAttestation:PCR1", quoted(lower), false, false, false},
		{"StringNotEquals", "kms:RecipientAttestation:PCR31", quoted(lower), true, true, true},
		{"Bool", "aws:SecureTransport", `"true"`, true, true, true},
		{"Bool", "aws:SecureTransport", `false`, false, false, false},
		{"StringEquals", "aws:PrincipalArn", quoted(signer), true, true, true},
		{"StringEquals", "aws:PrincipalAccount", quoted(away), false, false, false},
	} {
		statement := fmt.Sprintf(`{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*","Condition":{%q:{%q:%s}}}`, tc.operator, tc.key, tc.values)
		for name, c := range map[string]struct {
			doc  *attestation.Document
			want bool
		}{
			"the same":    {&attestation.Document{PCRs: map[int]attestation.PCR{0: pcr("a"), 1: pcr("1")}}, tc.same},
			"another":     {&attestation.Document{PCRs: map[int]attestation.PCR{0: pcr("c"), 1: pcr("1")}}, tc.other},
			"no document": {nil, tc.absent},
		} {
			if got := judge(t, signerIn("s", false), "kms:Decrypt", nil, c.doc, statement); got.allowed != c.want {
				t.Errorf("%s %s %s: %s: %+v", tc.operator, tc.key, tc.values, name, got)
			}
		}
	}
}

// TestDeletionWindow: numbers are compared as numbers, and a request without one has not enough of it.
func TestDeletionWindow(t *testing.T) {
	for _, tc := range []struct {
		operator, values string
		window           []string // of the request
		want             bool
	}{
		{"NumericGreaterThanEquals", `"30"`, []string{"30"}, true},
		{"NumericGreaterThanEquals", `"30"`, []string{"29"}, false},
		{"NumericGreaterThanEquals", `"30"`, []string{"7"}, false}, // the greater text
		{"NumericGreaterThanEquals", `"7"`, []string{"30"}, true},
		{"NumericGreaterThanEquals", `["30","14"]`, []string{"14"}, true},
		{"NumericGreaterThanEquals", `"7"`, []string{"many"}, false},
		{"NumericGreaterThanEquals", `"30"`, nil, false},
		{"NumericGreaterThanEqualsIfExists", `"30"`, nil, true},
		{"NumericGreaterThanEqualsIfExists", `"30"`, []string{"29"}, false},
	} {
		p, err := parsePolicy(fmt.Appendf(nil, `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*",`+
			`"Condition":{%q:{"kms:ScheduleKeyDeletionPendingWindowInDays":%s}}}}`, tc.operator, tc.values))
		if err != nil {
			t.Fatal(err)
		}
		r := newRequest(signerIn("s", false), "kms:ScheduleKeyDeletion", keyA, nil, nil)
		if tc.window != nil {
			r.context[keyDeletionWindow] = tc.window
		}
		if got := p.decide(r); got.allowed != tc.want {
			t.Errorf("%s %s of %v: %+v", tc.operator, tc.values, tc.window, got)
		}
	}
}

// TestEncryptionContextConditions: names have no case in a condition key, and have one among kms:EncryptionContextKeys.
func TestEncryptionContextConditions(t *testing.T) {
	const value, names = "kms:EncryptionContext:Share", "kms:EncryptionContextKeys"
	for _, tc := range []struct {
		operator, key, values string
		context               map[string]string
		want                  bool
	}{
		{"StringEquals", value, `"1"`, map[string]string{"share": "1"}, true},
		{"StringEquals", value, `"1"`, map[string]string{"share": "2"}, false},
		{"StringEquals", value, `"1"`, nil, false},
		{"ForAllValues:StringEquals", names, `["share","chamber"]`, map[string]string{"share": "1"}, true},
		{"ForAllValues:StringEquals", names, `["share","chamber"]`, map[string]string{"Share": "1"}, false},
		{"ForAllValues:StringEquals", names, `["share","chamber"]`, map[string]string{"share": "1", "x": ""}, false},
		{"ForAllValues:StringEquals", names, `"share"`, nil, true},
		{"ForAnyValue:StringEquals", names, `"share"`, map[string]string{"share": "1", "x": ""}, true},
		{"ForAnyValue:StringEquals", names, `"share"`, map[string]string{"x": ""}, false},
		{"ForAnyValue:StringEquals", names, `"share"`, nil, false},
		{"ForAnyValue:StringEqualsIfExists", names, `"share"`, nil, true},
		{"ForAllValues:StringNotEquals", names, `"share"`, map[string]string{"x": "", "y": ""}, true},
		{"ForAllValues:StringNotEquals", names, `"share"`, map[string]string{"x": "", "share": ""}, false},
		{"ForAnyValue:StringNotLike", names, `"sh*"`, map[string]string{"x": "", "share": ""}, true},
		{"ForAnyValue:StringNotLike", names, `"sh*"`, map[string]string{"share": ""}, false},
		{"Null", names, `true`, nil, true},
	} {
		statement := fmt.Sprintf(`{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*","Condition":{%q:{%q:%s}}}`, tc.operator, tc.key, tc.values)
		if got := judge(t, signerIn("s", false), "kms:Decrypt", tc.context, nil, statement); got.allowed != tc.want {
			t.Errorf("%s %s %s with %v: %+v", tc.operator, tc.key, tc.values, tc.context, got)
		}
	}
}

// TestDecisions: who and what a statement is about, and that a Deny counts first.
func TestDecisions(t *testing.T) {
	allow := func(principal, action string) string {
		return fmt.Sprintf(`{"Sid":"A","Effect":"Allow","Principal":{"AWS":%s},"Action":%s,"Resource":"*"}`, principal, action)
	}
	deny := func(principal string) string {
		return fmt.Sprintf(`{"Sid":"D","Effect":"Deny","Principal":{"AWS":%s},"Action":"kms:Decrypt","Resource":"*"}`, principal)
	}
	const me, root = `"` + signer + `"`, `"arn:aws:iam::111122223333:root"`
	for name, tc := range map[string]struct {
		identity   bool
		statements []string
		want       decision
	}{
		"the role":                 {false, []string{allow(me, `"kms:Decrypt"`)}, decision{true, false, "A"}},
		"the session":              {false, []string{allow(`"arn:aws:sts::111122223333:assumed-role/signer/s"`, `"kms:Decrypt"`)}, decision{true, false, "A"}},
		"another session":          {false, []string{allow(`"arn:aws:sts::111122223333:assumed-role/signer/x"`, `"kms:Decrypt"`)}, decision{reason: "no statement is about this principal and action"}},
		"one of a list":            {false, []string{allow(`["`+other+`",`+me+`]`, `["kms:Encrypt","kms:Decrypt"]`)}, decision{true, false, "A"}},
		"everybody":                {false, []string{allow(`"*"`, `"kms:*"`)}, decision{true, false, "A"}},
		"a part of the action":     {false, []string{allow(me, `"KMS:De*"`)}, decision{true, false, "A"}},
		"another action":           {false, []string{allow(me, `"kms:Encrypt"`)}, decision{reason: "no statement is about this principal and action"}},
		"another role":             {true, []string{allow(`"`+other+`"`, `"kms:*"`)}, decision{reason: "no statement is about this principal and action"}},
		"the account, and it says": {true, []string{allow(root, `"kms:*"`)}, decision{true, false, "A and an identity policy"}},
		"the account by number":    {true, []string{allow(`"`+home+`"`, `"kms:*"`)}, decision{true, false, "A and an identity policy"}},
		"the account, which is silent": {false, []string{allow(root, `"kms:*"`)}, decision{
			reason: "A: it leaves that to identity policies, and the caller's allow nothing",
		}},
		"another account":       {true, []string{allow(`"arn:aws:iam::444455556666:root"`, `"kms:*"`)}, decision{reason: "no statement is about this principal and action"}},
		"denied after allowed":  {false, []string{allow(me, `"kms:*"`), deny(me)}, decision{explicit: true, reason: "D"}},
		"denied to the account": {false, []string{allow(me, `"kms:*"`), deny(root)}, decision{explicit: true, reason: "D"}},
		"denied to everybody":   {false, []string{deny(`"*"`), allow(me, `"kms:*"`)}, decision{explicit: true, reason: "D"}},
		"denied to somebody":    {false, []string{deny(`"` + other + `"`), allow(me, `"kms:*"`)}, decision{true, false, "A"}},
		"for another key":       {false, []string{strings.Replace(allow(me, `"kms:*"`), `"Resource":"*"`, `"Resource":"`+keyB+`"`, 1)}, decision{reason: "no statement is about this principal and action"}},
		"for this key":          {false, []string{strings.Replace(allow(me, `"kms:*"`), `"Resource":"*"`, `"Resource":["`+keyB+`","`+keyA+`"]`, 1)}, decision{true, false, "A"}},
		"without what it wants": {false, []string{strings.Replace(allow(me, `"kms:*"`), `"Resource"`, `"Condition":{"StringEquals":{"kms:RecipientAttestation:PCR0":"x"}},"Resource"`, 1)}, decision{
			reason: "A: StringEquals kms:RecipientAttestation:PCR0: the request has none",
		}},
	} {
		if got := judge(t, signerIn("s", tc.identity), "kms:Decrypt", nil, nil, tc.statements...); got != tc.want {
			t.Errorf("%s: %+v, want %+v", name, got, tc.want)
		}
	}
}

// TestPoliciesRefused: what is not understood is not passed over.
func TestPoliciesRefused(t *testing.T) {
	statement := func(from, to string) string {
		whole := `{"Version":"2012-10-17","Statement":[{"Sid":"A","Effect":"Allow","Principal":{"AWS":"*"},"Action":"kms:Decrypt","Resource":"*","Condition":{"StringEquals":{"aws:PrincipalAccount":"111122223333"}}}]}`
		if !strings.Contains(whole, from) {
			t.Fatalf("%s is not there", from)
		}
		return strings.Replace(whole, from, to, 1)
	}
	if _, err := parsePolicy([]byte(statement("A", "B"))); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"":                         "want an object",
		"[]":                       "want an object",
		`{"Version":"2012-10-17"}`: "Statement[0]: want an object",
		`{"Version":"2012-10-17","Statement":[]}`:                                       "there is none",
		statement(`]}`, `]} {}`):                                                        "more follows",
		statement("2012", "2013"):                                                       "Version",
		statement(`"Version"`, `"version"`):                                             `"version" is not known here`,
		statement(`"Sid":"A"`, `"Sid":"A","Sid":"B"`):                                   `"Sid" is there twice`,
		statement(`"Sid":"A"`, `"Sid":1`):                                               "Sid",
		statement("Allow", "allow"):                                                     "Effect",
		statement(`"Action"`, `"NotAction"`):                                            `"NotAction" is not known here`,
		statement(`"Principal"`, `"NotPrincipal"`):                                      `"NotPrincipal" is not known here`,
		statement(`"Resource"`, `"NotResource"`):                                        `"NotResource" is not known here`,
		statement(`{"AWS":"*"}`, `{"Service":"dynamodb.amazonaws.com"}`):                `"Service" is not known here`,
		statement(`{"AWS":"*"}`, `"arn:aws:iam::111122223333:root"`):                    "Principal: want an object",
		statement(`{"AWS":"*"}`, `{"AWS":"arn:aws:iam::111122223333:role/*"}`):          "is no account, role, session or user",
		statement(`{"AWS":"*"}`, `{"AWS":[]}`):                                          "want a string or a list",
		statement("kms:Decrypt", "dynamodb:GetItem"):                                    `"dynamodb:GetItem" is not of KMS`,
		statement(`"Resource":"*"`, `"Resource":null`):                                  "Resource: want a string",
		statement("StringEquals", "ArnLike"):                                            "ArnLike: aws:PrincipalAccount: the operator is not known here",
		statement("StringEquals", "NumericEquals"):                                      "the operator is not known here",
		statement("StringEquals", "NumericGreaterThanEquals"):                           "not for values of this key",
		statement("aws:PrincipalAccount", "kms:ScheduleKeyDeletionPendingWindowInDays"): "not for values of this key",
		strings.NewReplacer("StringEquals", "NumericGreaterThanEquals", "aws:PrincipalAccount", "kms:ScheduleKeyDeletionPendingWindowInDays",
			"111122223333", "thirty").Replace(statement("A", "A")): `"thirty" is no number`,
		statement("StringEquals", "ForMostValues:StringEquals"):                    "the operator is not known here",
		statement("StringEquals", "ForAnyValue:StringEquals"):                      "for a key with many values",
		statement("StringEquals", "Bool"):                                          "not for values of this key",
		statement("StringEquals", "NullIfExists"):                                  "the operator is not known here",
		statement("aws:PrincipalAccount", "aws:SecureTransport"):                   "not for values of this key",
		statement("aws:PrincipalAccount", "kms:EncryptionContextKeys"):             "for a key with many values",
		statement("aws:PrincipalAccount", "kms:CallerAccount"):                     "StringEquals: kms:CallerAccount: the condition key is not known here",
		statement("aws:PrincipalAccount", "kms:RecipientAttestation:PCR32"):        "the condition key is not known here",
		statement("aws:PrincipalAccount", "kms:RecipientAttestation:PCR00"):        "the condition key is not known here",
		statement("aws:PrincipalAccount", "kms:RecipientAttestation:NitroTPMPCR4"): "the condition key is not known here",
		statement(`"111122223333"`, `"${aws:PrincipalAccount}"`):                   "policy variable",
		statement(`"111122223333"`, `111122223333`):                                "want a string",
		statement(`"111122223333"`, `[]`):                                          "want a string",
		statement("kms:Decrypt", "kms:"+strings.Repeat("x", maxPolicy)):            "more than 32768",
	} {
		if _, err := parsePolicy([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.300s: %v, want %q", text, err, want)
		}
	}
}
