package terraform_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/config"
)

// own is what Terraform leaves to whoever runs a signer.
const own = "network: mainnet\n"

// TestConfigurationLoads: what the example renders is a configuration for an enclave, as it is.
func TestConfigurationLoads(t *testing.T) {
	type places struct {
		Role, State, Keys, Slashing, URL, CredentialsKey, Wrap string
		Shares                                                 []string
		Threshold                                              int
		Hosts                                                  []string
	}
	const (
		shares = "arn:aws:kms:eu-central-1:111122223333:key/1a1a1a1a-0000-4000-8000-00000000000a"
		tables = "arn:aws:dynamodb:eu-central-1:111122223333:table/containment-chamber-"
	)
	here := places{
		Role: "arn:aws:iam::111122223333:role/containment-chamber", State: tables + "state", Keys: tables + "keys", Slashing: tables + "slashing",
		CredentialsKey: "arn:aws:kms:eu-central-1:111122223333:key/4d4d4d4d-0000-4000-8000-00000000000d", Wrap: "data_key", Threshold: 2,
		Shares: []string{
			shares, "arn:aws:kms:eu-central-1:444455556666:key/2b2b2b2b-0000-4000-8000-00000000000b",
			"arn:aws:kms:eu-central-1:777788889999:key/3c3c3c3c-0000-4000-8000-00000000000c",
		},
		Hosts: []string{"dynamodb.eu-central-1.amazonaws.com", "kms.eu-central-1.amazonaws.com", "sts.eu-central-1.amazonaws.com", "169.254.170.23"},
	}
	regions := here
	regions.Wrap = "encrypt"
	regions.Shares = []string{
		shares, "arn:aws:kms:us-east-1:444455556666:key/2b2b2b2b-0000-4000-8000-00000000000b",
		"arn:aws:kms:eu-west-1:777788889999:key/3c3c3c3c-0000-4000-8000-00000000000c",
	}
	regions.Hosts = []string{
		"dynamodb.eu-central-1.amazonaws.com", "kms.eu-central-1.amazonaws.com", "kms.us-east-1.amazonaws.com", "kms.eu-west-1.amazonaws.com",
		"sts.eu-central-1.amazonaws.com",
	}
	database := here
	database.Slashing = ""
	database.URL = "postgres://signer@containment-chamber-slashing.abc123.eu-central-1.rds.amazonaws.com:5432/slashing"
	database.Hosts = []string{
		"dynamodb.eu-central-1.amazonaws.com", "kms.eu-central-1.amazonaws.com", "sts.eu-central-1.amazonaws.com", "169.254.169.254",
		"containment-chamber-slashing.abc123.eu-central-1.rds.amazonaws.com",
	}
	for file, want := range map[string]places{"policies-enclave": here, "policies-upgrade": regions, "policies-postgres": database} {
		t.Run(file, func(t *testing.T) {
			var yaml string
			rendered(t, file, "configuration", &yaml)
			c, err := config.LoadBytes([]byte(own + yaml))
			if err != nil {
				t.Fatalf("%v\n%s", err, yaml)
			}
			got := places{
				Role: c.TEE.RoleARN, State: c.SignerState.Table, Keys: c.KeySources.DynamoDB.Table, Slashing: c.AntiSlashing.DynamoDB.Table,
				URL: c.AntiSlashing.URL, CredentialsKey: c.AntiSlashing.SealedPasswordKMSKeyARN, Wrap: c.Chamber.Wrap,
				Shares: c.Chamber.KMSKeyARNs, Threshold: c.Chamber.KMSThreshold,
			}
			for _, r := range c.TEE.Egress {
				got.Hosts = append(got.Hosts, r.Host)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("want (-) and got (+):\n%s", diff)
			}
			if _, err := c.AntiSlashing.CAs(); err != nil {
				t.Error(err)
			}
		})
	}
}
