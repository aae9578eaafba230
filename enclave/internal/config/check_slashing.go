package config

import (
	"errors"
	"net/url"
	"regexp"
	"strings"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/pgurl"
)

var region = regexp.MustCompile(`^[a-z]{2}(-[a-z]+)+-[0-9]+$`)

// slashing checks the section anti_slashing.
func (c *checker) slashing() {
	s := c.AntiSlashing
	if s.URL != "" {
		_, err := parseStoreURL(s.URL)
		if err == nil {
			_, err = pgurl.Parse(s.URL)
		}
		if err != nil {
			c.refuse("anti_slashing.url", nil, "%w", err)
		}
	}
	if _, err := s.CAs(); err != nil {
		c.refuse("anti_slashing.ca_pem", nil, "%w", err)
	}
	if s.Region != "" && !region.MatchString(s.Region) {
		c.refuse("anti_slashing.region", nil, "want an AWS region, such as eu-central-1")
	}
	switch s.Backend {
	case "postgres":
		if s.URL == "" {
			c.refuse("anti_slashing.url", on("anti_slashing.backend"), "must be set: anti_slashing.backend postgres connects to it")
		}
	case "sqlite":
		if s.SQLite.Path == "" {
			c.refuse("anti_slashing.sqlite.path", on("anti_slashing.backend"), "must be set: anti_slashing.backend sqlite keeps its record there")
		}
	}
	if s.UnknownKeys == "refuse" && s.Backend == "noop" {
		c.refuse("anti_slashing.unknown_keys", on("anti_slashing.backend"), "refuse would refuse every vote: anti_slashing.backend noop knows no key")
	}
	if s.API && s.Backend == "noop" {
		c.refuse("anti_slashing.api", on("anti_slashing.backend"), "is for a record, and anti_slashing.backend noop keeps none")
	}
	c.dynamoDB()
	c.rdsIAM()
}

func (c *checker) dynamoDB() {
	s := c.AntiSlashing
	isARN := tableARN.MatchString(s.DynamoDB.Table)
	if s.DynamoDB.Table != "" && !isARN && !table.MatchString(s.DynamoDB.Table) {
		c.refuse("anti_slashing.dynamodb.table", nil, "want the name or the ARN of a DynamoDB table")
	}
	if s.DynamoDB.Endpoint != "" {
		if _, err := parseEndpoint(s.DynamoDB.Endpoint); err != nil {
			c.refuse("anti_slashing.dynamodb.endpoint", nil, "%w", err)
		}
	}
	if s.Backend != "dynamodb" {
		return
	}
	switch because := on("anti_slashing.backend"); {
	case s.DynamoDB.Table == "":
		c.refuse("anti_slashing.dynamodb.table", because, "must be set: anti_slashing.backend dynamodb keeps its record there")
	case !isARN && s.Region == "":
		c.refuse("anti_slashing.region", because, "must be set, unless anti_slashing.dynamodb.table is an ARN: a table of that name may be in every region")
	case isARN && s.Region != "" && s.Region != s.AWSRegion():
		c.refuse("anti_slashing.region", on("anti_slashing.dynamodb.table"), "is not the region that the table's ARN names")
	}
}

// AWSRegion is the region that is set, or that the ARN of the dynamodb backend's table names.
func (a AntiSlashing) AWSRegion() string {
	if parts := strings.Split(a.DynamoDB.Table, ":"); a.Backend == "dynamodb" && len(parts) > 3 && tableARN.MatchString(a.DynamoDB.Table) {
		return parts[3]
	}
	return a.Region
}

// parseEndpoint reads the URL of a service: nothing but a scheme, a host and perhaps a port.
func parseEndpoint(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.User != nil || strings.Trim(u.Path, "/") != "" ||
		u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("want https://host or https://host:port")
	}
	return u, nil
}

func (c *checker) rdsIAM() {
	s := c.AntiSlashing
	if s.PasswordSource != "rds_iam" {
		return
	}
	const key = "anti_slashing.password_source"
	u, err := parseStoreURL(s.URL)
	server, _ := pgurl.Parse(s.URL) // refused already if it cannot be read
	switch {
	case s.Backend != "postgres":
		c.refuse(key, on("anti_slashing.backend"), "rds_iam is for anti_slashing.backend postgres")
	case s.Region == "":
		c.refuse("anti_slashing.region", on(key), "must be set: a token of password_source rds_iam is for the databases of one region")
	case server.Unix():
		c.refuse("anti_slashing.url", on(key), "names a unix socket, behind which no server takes a token of password_source rds_iam")
	case err == nil && u.password:
		c.refuse("anti_slashing.url", on(key), "must hold no password: password_source is rds_iam")
	case server.Weak():
		c.refuse("anti_slashing.url", on(key), "sslmode %s is refused: whoever stands between would get the token; want verify-full, the default", quote(server.SSLMode))
	}
}

// nitroSlashing is what an enclave asks of its store.
func (c *checker) nitroSlashing(platform []string) {
	s := c.AntiSlashing
	switch s.Backend {
	case "sqlite":
		c.refuse("anti_slashing.backend", platform, "sqlite is refused on tee.platform nitro: an enclave has no disk, and its record would end with it; want postgres or dynamodb")
	case "noop":
		c.refuse("anti_slashing.backend", platform, "noop is refused on tee.platform nitro: it records nothing; want postgres or dynamodb")
	case "dynamodb":
		c.trusting("anti_slashing.backend", "dynamodb", platform)
		if table.MatchString(s.DynamoDB.Table) {
			c.refuse("anti_slashing.dynamodb.table", append(on("anti_slashing.backend"), platform...), "must be the table's ARN on tee.platform nitro: a name alone does not say whose account it is in")
		}
	}
	if s.PasswordSource == "rds_iam" {
		c.trusting("anti_slashing.password_source", "rds_iam", platform)
	}
	if u, err := parseStoreURL(s.URL); err == nil && u.password {
		c.refuse("anti_slashing.url", platform, "must hold no password on tee.platform nitro: the parent reads this file")
	}
	c.verified("on tee.platform nitro", platform)
}

// trusting refuses a value that needs AWS credentials, unless the parent is trusted with the record.
func (c *checker) trusting(key, value string, platform []string) {
	if !c.AntiSlashing.TrustParent {
		c.refuse(key, append(on("anti_slashing.trust_parent"), platform...), "%s needs anti_slashing.trust_parent: true on tee.platform nitro: "+
			"the parent relays the AWS credentials, and whoever controls the host can rewrite the slashing record with them", value)
	}
	if c.TEE.RoleARN == "" {
		c.refuse("tee.role_arn", append(on(key), platform...), "must be set for %s on tee.platform nitro: the relayed credentials are held against it", value)
	}
}

func (c *checker) productionSlashing() {
	if c.AntiSlashing.Backend == "noop" {
		c.refuse("anti_slashing.backend", nil, "noop is refused with PRODUCTION=true: it records nothing, so that every vote can be made twice")
	}
	c.verified("with PRODUCTION=true", nil)
}

// verified refuses a store that could be anybody's, and one that anybody may raise.
func (c *checker) verified(where string, because []string) {
	s := c.AntiSlashing
	if server, err := pgurl.Parse(s.URL); err == nil && s.Backend == "postgres" && server.Weak() {
		c.refuse("anti_slashing.url", because, "sslmode %s is refused %s: whoever stands between could be the database; want verify-full, the default", quote(server.SSLMode), where)
	}
	if u, err := parseEndpoint(s.DynamoDB.Endpoint); err == nil && s.Backend == "dynamodb" && u.Scheme != "https" {
		c.refuse("anti_slashing.dynamodb.endpoint", append(on("anti_slashing.backend"), because...), "http is refused %s: whoever stands between could be the table; want https", where)
	}
	if s.API && c.Auth.Mode == "open" {
		c.refuse("anti_slashing.api", append(on("auth.mode"), because...), "is refused %s while auth.mode is open: everybody could keep every key from signing for good", where)
	}
}

// slashingWarnings are those of the section anti_slashing.
func (c *Config) slashingWarnings() []string {
	s := c.AntiSlashing
	var warnings []string
	if s.Backend == "noop" {
		warnings = append(warnings, "anti_slashing.backend is noop: nothing is recorded, and every vote can be made twice; for tests alone")
	}
	if c.Network == "custom" && c.CustomNetwork.GenesisTime == 0 && s.MaxFutureEpochs != 0 {
		warnings = append(warnings, "custom_network.genesis_time is not set: votes for any time in the future are signed, whatever anti_slashing.max_future_epochs says")
	}
	if s.Backend != "postgres" && strings.TrimSpace(s.URL) != "" {
		warnings = append(warnings, "anti_slashing.url is set but anti_slashing.backend is "+s.Backend+": the URL is not used")
	}
	if s.Backend != "dynamodb" && s.DynamoDB.Table != "" {
		warnings = append(warnings, "anti_slashing.dynamodb.table is set but anti_slashing.backend is "+s.Backend+": the table is not used")
	}
	if s.Backend == "dynamodb" && strings.HasPrefix(strings.ToLower(s.DynamoDB.Endpoint), "http:") {
		warnings = append(warnings, "anti_slashing.dynamodb.endpoint is http: whoever stands between can be the table, and make every key vote twice")
	}
	if s.TrustParent && c.TEE.Platform == "nitro" && (s.Backend == "dynamodb" || s.PasswordSource == "rds_iam") {
		warnings = append(warnings, "anti_slashing.trust_parent is on: the parent holds the credentials of the slashing record, and whoever controls the host can make every key vote twice")
	}
	if s.API && c.Auth.Mode == "open" {
		warnings = append(warnings, "anti_slashing.api is on and auth.mode is open: whoever reaches this signer can raise the record of every key, so that it signs nothing until then")
	}
	return warnings
}
