package config

import (
	"strings"
	"testing"
)

func TestKMSEndpoint(t *testing.T) {
	for set, want := range map[string]string{
		"":                                       "",
		"https://kms.internal:8443":              "https://kms.internal:8443",
		"https://vpce-1.kms.{region}.amazon.com": "https://vpce-1.kms.eu-west-1.amazon.com",
	} {
		c := loadYAML(t, strings.Replace(statePostgres, "chamber: {", "chamber: {kms_endpoint: '"+set+"', ", 1))
		if got := c.Chamber.Endpoint("eu-west-1"); got != want {
			t.Errorf("%s: got %s, want %s", set, got, want)
		}
	}
}

// trustedEndpoints and others are for the keys of nitro, which are in two regions.
var (
	trustedEndpoints = []string{
		"https://kms.{region}.amazonaws.com",
		"https://kms.{region}.amazonaws.com:443",
		"https://kms-fips.{region}.amazonaws.com",
		"https://kms.{region}.api.aws",
		"https://vpce-0123abcd-9xyz-eu-central-1a.kms.{region}.vpce.amazonaws.com:443",
	}
	otherEndpoints = []string{
		"https://kms.attacker.org",
		"https://kms.{region}.amazonaws.com.attacker.org",
		"https://kms.{region}.amazonaws.com.",
		"https://kms.{region}.amazonaws.com/",
		"https://kms.{region}.amazonaws.com:8443",
		"https://kms.{region}.amazonaws.com:",
		"https://KMS.{region}.amazonaws.com",
		"HTTPS://kms.{region}.amazonaws.com",
		"https://kms.eu-central-1.amazonaws.com", // but keyB is in another region
		"https://kms.us-east-1.amazonaws.com",
		"https://kms.amazonaws.com",
		"https://xkms.{region}.amazonaws.com",
		"https://a.kms.{region}.amazonaws.com",
		"https://kms-fips.{region}.api.aws",
		"https://kms.{region}.amazonaws.com.cn",
		"https://abcd.execute-api.{region}.amazonaws.com",
		"https://kms.s3.{region}.amazonaws.com",
		"https://kms-123.{region}.elb.amazonaws.com",
		"https://vpce-1.kms.{region}.vpce.amazonaws.com.cn",
		"https://vpce-1.vpce-svc-2.{region}.vpce.amazonaws.com",
		"https://vpce-1.execute-api.{region}.vpce.amazonaws.com",
		"https://vpce-1.a.kms.{region}.vpce.amazonaws.com",
		"https://vpce-.kms.{region}.vpce.amazonaws.com",
		"https://kms.{region}.vpce.amazonaws.com",
		"https://a.kms.{region}.vpce.amazonaws.com",
		"https://203.0.113.5",
		"https://localhost",
	}
)

const otherKMS = `chamber.kms_endpoint: is not AWS KMS for keys in "eu-`

func TestNitroKMS(t *testing.T) {
	for _, endpoint := range trustedEndpoints {
		loadYAML(t, strings.Replace(nitro, "chamber: {", "chamber: {kms_endpoint: '"+endpoint+"', ", 1))
	}
	for _, endpoint := range otherEndpoints {
		refusedAfter(t, nitro, "chamber: {", "chamber: {kms_endpoint: '"+endpoint+"', ", "6: "+otherKMS)
	}
	one := strings.NewReplacer(keyB, strings.Replace(keyB, "eu-west-1", "eu-central-1", 1), "chamber: {", "chamber: {kms_endpoint: 'https://kms.eu-central-1.amazonaws.com', ").Replace(nitro)
	const sealedKey = "arn: '" + keyA
	for _, test := range []struct{ name, base, from, to, want string }{
		{"certificates of KMS", nitro, "chamber: {", "chamber: {kms_ca_pem: '" + examplePEM + "', ", "6: chamber.kms_ca_pem: is refused on tee.platform nitro: whoever answers in the place of KMS could use the enclave's attestation document"},
		{"password's key in another region", one, sealedKey, strings.Replace(sealedKey, "eu-central-1", "eu-west-1", 1), "6: " + otherKMS + "west-1"},
		{"share's key in another region", one, "['" + keyA, "['" + strings.Replace(keyA, "eu-central-1", "eu-west-1", 1), "6: " + otherKMS + "west-1"},
		{"an account's own endpoint", nitro, "chamber: {", "chamber: {kms_endpoint: 'https://kms', ", "6: " + otherKMS + "central-1\"; want https:// and kms.{region}.amazonaws.com"},
	} {
		t.Run(test.name, func(t *testing.T) { refusedAfter(t, test.base, test.from, test.to, test.want) })
	}
}

// TestProductionKnowsItsKMS: nobody between a signer and KMS, on any platform.
func TestProductionKnowsItsKMS(t *testing.T) {
	production := []string{"PRODUCTION=true"}
	for _, test := range []struct{ base, set, want string }{
		{stateTable, "kms_endpoint: 'https://kms.{region}.amazonaws.com'", ""},
		{stateTable, "kms_endpoint: 'https://localhost:4566'", "configuration:2: " + otherKMS},
		{stateTable, "kms_ca_pem: '" + examplePEM + "'", "configuration:2: chamber.kms_ca_pem: is refused with PRODUCTION=true"},
		{sealedPostgres + "chamber: {}\n", "kms_endpoint: 'https://localhost:4566'", "configuration:3: " + otherKMS},
	} {
		text := []byte(strings.Replace(test.base, "chamber: {", "chamber: {"+test.set+", ", 1))
		load(t, Sources{YAML: text})
		if test.want == "" {
			load(t, Sources{YAML: text, Environ: production})
			continue
		}
		if got := refused(t, Sources{YAML: text, Environ: production}); len(got) != 1 || !strings.HasPrefix(got[0], test.want) {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
}

func TestTrustedKMSHost(t *testing.T) {
	for _, test := range []struct {
		region, endpoint string
		trusted          bool
	}{
		{"eu-west-1", "", true},
		{"eu-west-1", "https://kms.{region}.amazonaws.com", true},
		{"eu-west-1", "https://kms.eu-west-1.amazonaws.com", true},
		{"eu-west-1", "http://kms.eu-west-1.amazonaws.com", false},
		{"eu-west-1", "kms.eu-west-1.amazonaws.com", false},
		{"us-gov-west-1", "https://kms-fips.{region}.amazonaws.com", true},
		{"cn-north-1", "https://kms.{region}.amazonaws.com.cn", true},
		{"cn-north-1", "https://vpce-1.kms.{region}.vpce.amazonaws.com.cn", true},
		{"cn-north-1", "https://kms.{region}.amazonaws.com", false},
		{"", "https://kms.{region}.amazonaws.com", false},
		{"eu-west-1.attacker.org", "https://kms.{region}.amazonaws.com", false},
	} {
		if err := (Chamber{KMSEndpoint: test.endpoint}).TrustedKMSHost(test.region); (err == nil) != test.trusted {
			t.Errorf("%s in %q: got %v", test.endpoint, test.region, err)
		}
	}
}
