package kms

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// ARN names one KMS key: arn:PARTITION:kms:REGION:ACCOUNT:key/ID. The zero ARN names none. ARNs can be compared.
type ARN struct{ text, region string }

// The parts of an ARN. The region becomes part of a host's name.
var (
	partitions = regexp.MustCompile(`^aws(-[a-z]+)*$`)
	regions    = regexp.MustCompile(`^[a-z]{2,8}(-[a-z]{1,16}){1,3}-[0-9]{1,2}$`)
	accounts   = regexp.MustCompile(`^[0-9]{12}$`)
	keyIDs     = regexp.MustCompile(`^([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|mrk-[0-9a-f]{32})$`)
)

// ParseARN reads the ARN of a key (AWS KMS Developer Guide, "Key identifiers"). Others name a key by something that can be made to mean
// another: aliases, and a key's ID without account and region.
func ParseARN(text string) (ARN, error) {
	parts := strings.Split(text, ":")
	var err error
	switch {
	case len(parts) != 6 || parts[0] != "arn":
		err = errors.New("want arn:PARTITION:kms:REGION:ACCOUNT:key/ID")
	case !partitions.MatchString(parts[1]):
		err = fmt.Errorf("%.40q is not a partition, such as aws", parts[1])
	case parts[2] != "kms":
		err = fmt.Errorf("the service is %.40q, want kms", parts[2])
	case !regions.MatchString(parts[3]):
		err = fmt.Errorf("%.40q is not a region, such as eu-central-1", parts[3])
	case !accounts.MatchString(parts[4]):
		err = fmt.Errorf("%.40q is not an account, which has 12 digits", parts[4])
	case strings.HasPrefix(parts[5], "alias/"):
		err = errors.New("want the key's own ARN: an alias can be moved to another key")
	case !strings.HasPrefix(parts[5], "key/") || !keyIDs.MatchString(parts[5][len("key/"):]):
		err = fmt.Errorf("%.60q is not key/ and the ID of a key", parts[5])
	}
	if err != nil {
		return ARN{}, fmt.Errorf("KMS key %.120q: %w", text, err)
	}
	return ARN{text: text, region: parts[3]}, nil
}

// String returns the ARN as it was read.
func (a ARN) String() string { return a.text }

// Region is where the key is.
func (a ARN) Region() string { return a.region }
