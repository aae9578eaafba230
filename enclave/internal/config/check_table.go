package config

import (
	"cmp"
	"errors"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// regionForm is that of the regions of all partitions. A region becomes part of a host's name.
const regionForm = `[a-z]{2,8}(?:-[a-z]{1,16}){1,3}-[0-9]{1,2}`

var (
	regionName = regexp.MustCompile(`^` + regionForm + `$`)
	tableName  = regexp.MustCompile(`^[A-Za-z0-9_.-]{3,255}$`)
	tableARN   = regexp.MustCompile(`^arn:aws(?:-[a-z]+)*:dynamodb:(` + regionForm + `):([0-9]{12}):table/([A-Za-z0-9_.-]{3,255})$`)
)

// table is what a section says of its DynamoDB table.
type table struct {
	key, regionKey, endpointKey string
	name, region, endpoint      string
	used                        bool
	backend                     string // the key that says so, if it is not key
	keeps                       string // what is there
	harm                        string // what whoever is the table can do
}

// tables are those of all sections.
func (c *Config) tables() []table {
	state, stored, slashing := c.SignerState, c.KeySources.DynamoDB, c.AntiSlashing
	return []table{
		{
			key: "signer_state.table", regionKey: "signer_state.region", endpointKey: "signer_state.endpoint",
			name: state.Table, region: state.Region, endpoint: state.Endpoint,
			used: state.Backend == "dynamodb", backend: "signer_state.backend",
			keeps: "its state", harm: "withhold the state or roll it back",
		},
		{
			key: "key_sources.dynamodb.table", regionKey: "key_sources.dynamodb.region", endpointKey: "key_sources.dynamodb.endpoint",
			name: stored.Table, region: stored.Region, endpoint: stored.Endpoint,
			used:  stored.Table != "",
			keeps: "its keys", harm: "withhold keys or roll their status back",
		},
		{
			key: "anti_slashing.dynamodb.table", regionKey: "anti_slashing.region", endpointKey: "anti_slashing.dynamodb.endpoint",
			name: slashing.DynamoDB.Table, region: slashing.Region, endpoint: slashing.DynamoDB.Endpoint,
			used: slashing.Backend == "dynamodb", backend: "anti_slashing.backend",
			keeps: "its record", harm: "make every key vote twice",
		},
	}
}

// because are the keys that rules about the table build on.
func (t table) because() []string { return on(t.backend, t.key) }

// splitTable returns what the name or ARN of a table says; a name has neither region nor account.
func splitTable(text string) (region, account, name string) {
	if parts := tableARN.FindStringSubmatch(text); parts != nil {
		return parts[1], parts[2], parts[3]
	}
	return "", "", text
}

// regionOf is the region that the ARN of a table names, or else the one that is set.
func regionOf(table, set string) string {
	region, _, _ := splitTable(table)
	return cmp.Or(region, set)
}

// AWSRegion is the region that is set, or that the ARN of the dynamodb backend's table names.
func (a AntiSlashing) AWSRegion() string {
	if a.Backend != "dynamodb" {
		return a.Region
	}
	return regionOf(a.DynamoDB.Table, a.Region)
}

// AWSRegion is the region that is set, or that the ARN of the dynamodb backend's table names.
func (s SignerState) AWSRegion() string {
	if s.Backend != "dynamodb" {
		return s.Region
	}
	return regionOf(s.Table, s.Region)
}

// AWSRegion is the region that is set, or that the table's ARN names.
func (t StoredTable) AWSRegion() string { return regionOf(t.Table, t.Region) }

func (c *checker) table(t table) {
	region, _, _ := splitTable(t.name)
	if t.name != "" && region == "" && !tableName.MatchString(t.name) {
		c.refuse(t.key, nil, "want the name or the ARN of a DynamoDB table")
	}
	if t.region != "" && !regionName.MatchString(t.region) {
		c.refuse(t.regionKey, nil, "want an AWS region, such as eu-central-1")
	}
	if t.endpoint != "" {
		if _, err := parseEndpoint(t.endpoint); err != nil {
			c.refuse(t.endpointKey, nil, "%w", err)
		}
	}
	switch {
	case !t.used:
	case t.name == "":
		c.refuse(t.key, on(t.backend), "must be set: %s dynamodb keeps %s there", t.backend, t.keeps)
	case region == "" && t.region == "":
		c.refuse(t.regionKey, t.because(), "must be set, unless %s is an ARN: a table of that name may be in every region", t.key)
	case region != "" && t.region != "" && t.region != region:
		c.refuse(t.regionKey, t.because(), "is not the region that the table's ARN names")
	}
}

// distinct refuses one table for two purposes: they have other keys, and those who administer one need no rights to the other.
func (c *checker) distinct() {
	used := slices.DeleteFunc(c.tables(), func(t table) bool { return !t.used || t.name == "" })
	for i, t := range used {
		for _, other := range used[:i] {
			if t.same(other) {
				c.refuse(t.key, append(t.because(), other.because()...), "is that of %s: want a table of its own", other.key)
			}
		}
	}
}

// same says whether two tables may be one. A name alone does not say whose account it is in, and one table has several endpoints.
func (t table) same(other table) bool {
	_, account, name := splitTable(t.name)
	_, otherAccount, otherName := splitTable(other.name)
	return name == otherName && regionOf(t.name, t.region) == regionOf(other.name, other.region) &&
		(account == "" || otherAccount == "" || account == otherAccount)
}

// verifiedTable refuses a table that could be anybody's.
func (c *checker) verifiedTable(t table, where string, because []string) {
	if u, err := parseEndpoint(t.endpoint); err == nil && t.used && u.Scheme != "https" {
		c.refuse(t.endpointKey, append(t.because(), because...), "http is refused %s: whoever stands between could be the table; want https", where)
	}
}

// owned refuses a table that could be in any account.
func (c *checker) owned(t table, platform []string) {
	if t.used && tableName.MatchString(t.name) {
		c.refuse(t.key, append(t.because(), platform...), "must be the table's ARN on tee.platform nitro: a name alone does not say whose account it is in")
	}
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
