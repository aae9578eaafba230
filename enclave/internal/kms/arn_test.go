package kms_test

import (
	"strings"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/kms"
)

func TestParseARN(t *testing.T) {
	const id = "1234abcd-12ab-34cd-56ef-1234567890ab"
	for text, region := range map[string]string{
		"arn:aws:kms:eu-central-1:111122223333:key/" + id:                                       "eu-central-1",
		"arn:aws:kms:us-east-1:000000000000:key/mrk-1234abcd12ab34cd56ef1234567890ab":           "us-east-1",
		"arn:aws-us-gov:kms:us-gov-west-1:111122223333:key/" + id:                               "us-gov-west-1",
		"arn:aws-cn:kms:cn-north-1:111122223333:key/" + id:                                      "cn-north-1",
		"arn:aws-iso-b:kms:us-isob-east-1:111122223333:key/" + id:                               "us-isob-east-1",
		"arn:aws:kms:ap-southeast-12:111122223333:key/mrk-1234abcd12ab34cd56ef1234567890ab":     "ap-southeast-12",
		"arn:aws-eusc:kms:eusc-de-east-1:111122223333:key/00000000-0000-0000-0000-000000000000": "eusc-de-east-1",
	} {
		got, err := kms.ParseARN(text)
		if err != nil || got.String() != text || got.Region() != region {
			t.Errorf("%s: got %v in %q, %v", text, got, got.Region(), err)
		}
	}
	for text, want := range map[string]string{
		"":       "want arn:PARTITION:kms:REGION:ACCOUNT:key/ID",
		id:       "want arn:PARTITION",
		"key/ID": "want arn:PARTITION",
		"ARN:aws:kms:eu-central-1:111122223333:key/" + id:               "want arn:PARTITION",
		"arn:aws:kms:eu-central-1:111122223333:key/" + id + ":1":        "want arn:PARTITION",
		"arn:gcp:kms:eu-central-1:111122223333:key/" + id:               `"gcp" is not a partition`,
		"arn::kms:eu-central-1:111122223333:key/" + id:                  `"" is not a partition`,
		"arn:aws:iam:eu-central-1:111122223333:key/" + id:               `the service is "iam", want kms`,
		"arn:aws:kms::111122223333:key/" + id:                           `"" is not a region`,
		"arn:aws:kms:eu-central:111122223333:key/" + id:                 `"eu-central" is not a region`,
		"arn:aws:kms:eu-central-1.evil.org/:111122223333:key/" + id:     "is not a region",
		"arn:aws:kms:eu-central-1\n:111122223333:key/" + id:             "is not a region",
		"arn:aws:kms:EU-CENTRAL-1:111122223333:key/" + id:               "is not a region",
		"arn:aws:kms:eu-central-1:11112222333:key/" + id:                `"11112222333" is not an account`,
		"arn:aws:kms:eu-central-1::key/" + id:                           `"" is not an account`,
		"arn:aws:kms:eu-central-1:111122223333:alias/chamber":           "an alias can be moved",
		"arn:aws:kms:eu-central-1:111122223333:" + id:                   "is not key/ and the ID of a key",
		"arn:aws:kms:eu-central-1:111122223333:key/":                    "is not key/ and the ID of a key",
		"arn:aws:kms:eu-central-1:111122223333:key/chamber":             "is not key/ and the ID of a key",
		"arn:aws:kms:eu-central-1:111122223333:key/" + id + "/":         "is not key/ and the ID of a key",
		"arn:aws:kms:eu-central-1:111122223333:key/" + id + "\n":        "is not key/ and the ID of a key",
		"arn:aws:kms:eu-central-1:111122223333:key/mrk-" + id:           "is not key/ and the ID of a key",
		"arn:aws:kms:eu-central-1:111122223333:key/" + id[:35] + "B":    "is not key/ and the ID of a key",
		" arn:aws:kms:eu-central-1:111122223333:key/" + id:              "want arn:PARTITION",
		"arn:aws:kms:eu-central-1:111122223333:key/" + id + " ":         "is not key/ and the ID of a key",
		"arn:aws:kms:" + strings.Repeat("a", 999) + ":111122223333:key": "is not a region",
	} {
		got, err := kms.ParseARN(text)
		if got != (kms.ARN{}) || err == nil || !strings.Contains(err.Error(), want) || len(err.Error()) > 300 {
			t.Errorf("%q: got %v, %v, want an error that contains %q", text, got, err, want)
		}
	}
}
