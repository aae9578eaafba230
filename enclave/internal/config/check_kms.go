package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// vpcEndpoint is the first label of the names of a VPC endpoint, whose certificate is that of the service behind it.
var vpcEndpoint = regexp.MustCompile(`^vpce-[a-z0-9-]{1,58}$`)

// TrustedKMSHost refuses an endpoint at which anybody but AWS KMS of that region could answer. An attestation document is bound to the enclave's key
// and not to one request: whoever answers as KMS can send it to KMS with another ciphertext, and pass on what comes back. Most names below
// amazonaws.com are no better than others, because AWS's customers get certificates for some of them.
func (c Chamber) TrustedKMSHost(region string) error {
	if c.KMSEndpoint == "" {
		return nil
	}
	domain := ".amazonaws.com"
	if strings.HasPrefix(region, "cn-") {
		domain += ".cn"
	}
	host, https := strings.CutPrefix(c.Endpoint(region), "https://")
	host = strings.TrimSuffix(host, ":443")
	label, private := strings.CutSuffix(host, ".kms."+region+".vpce"+domain)
	public := []string{"kms." + region + domain, "kms-fips." + region + domain, "kms." + region + ".api.aws"}
	if https && regionName.MatchString(region) && (slices.Contains(public, host) || private && vpcEndpoint.MatchString(label)) {
		return nil
	}
	return fmt.Errorf("is not AWS KMS for keys in %.64q; want https:// and kms.{region}%[2]s, kms-fips.{region}%[2]s, kms.{region}.api.aws or vpce-ID.kms.{region}.vpce%[2]s", region, domain)
}

// trustedKMS refuses a KMS that could be anybody's.
func (c *checker) trustedKMS(where string, because []string) {
	const endpoint = "chamber.kms_endpoint"
	const harm = "whoever answers in the place of KMS could use the enclave's attestation document to have KMS open other ciphertexts for it"
	if strings.TrimSpace(c.Chamber.KMSCAPEM) != "" {
		c.refuse("chamber.kms_ca_pem", because, "is refused %s: %s", where, harm)
	}
	for _, region := range c.kmsRegions() {
		if err := c.Chamber.TrustedKMSHost(region); err != nil {
			c.refuse(endpoint, append(on("chamber.kms_key_arns", sealedKeyARN), because...), "%w; others are refused %s: %s", err, where, harm)
		}
	}
}

// kmsRegions are those of all KMS keys.
func (c *Config) kmsRegions() []string {
	var regions []string
	for _, arn := range append(slices.Clone(c.Chamber.KMSKeyARNs), c.AntiSlashing.SealedPasswordKMSKeyARN) {
		if checkKMSKey(arn) == nil {
			regions = append(regions, strings.SplitN(arn, ":", 5)[3])
		}
	}
	slices.Sort(regions)
	return slices.Compact(regions)
}
