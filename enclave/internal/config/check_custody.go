package config

import (
	"errors"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keygen"
)

// maxShares is the most KMS keys of a chamber, one share each.
const maxShares = 16

var (
	chamberID   = regexp.MustCompile(`^[0-9a-f]{32}$`)
	tokenSHA256 = regexp.MustCompile(`^[0-9a-fA-F]{64}$`)
	kmsKeyARN   = regexp.MustCompile(`^arn:aws(?:-[a-z]+)*:kms:` + regionForm + `:[0-9]{12}:key/(?:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|mrk-[0-9a-f]{32})$`)
)

func checkKMSKey(text string) error {
	switch {
	case kmsKeyARN.MatchString(text):
		return nil
	case strings.Contains(text, "alias/"):
		return errors.New("is an alias, which can be pointed at another key; want the ARN of the key itself")
	}
	return errors.New("want the ARN of a KMS key, arn:aws:kms:REGION:ACCOUNT:key/ID")
}

// chamber checks the forms in the section chamber.
func (c *checker) chamber() {
	s := c.Chamber
	if s.ID != "" && !chamberID.MatchString(s.ID) {
		c.refuse("chamber.id", nil, "want 32 hexadecimal digits in lower case, as operator init prints them")
	}
	if s.SetupTokenSHA256 != "" && !tokenSHA256.MatchString(s.SetupTokenSHA256) {
		c.refuse("chamber.setup_token_sha256", nil, "want 64 hexadecimal digits, the SHA-256 of the setup token")
	}
	if s.KMSEndpoint != "" {
		if u, err := parseEndpoint(s.Endpoint("eu-central-1")); err != nil || u.Scheme != "https" {
			c.refuse("chamber.kms_endpoint", nil, "want https://host or https://host:port; {region} in host stands for the region of the key")
		}
	}
	c.kmsKeys()
	if n := len(s.KMSKeyARNs); n > 0 && s.KMSThreshold > n {
		c.refuse("chamber.kms_threshold", on("chamber.kms_key_arns"), "is more than chamber.kms_key_arns has, which is %d: each key holds one share", n)
	}
}

// kmsKeys refuses a key that holds two shares, under whatever name: whoever misuses it would have both.
func (c *checker) kmsKeys() {
	const key = "chamber.kms_key_arns"
	arns := c.Chamber.KMSKeyARNs
	if len(arns) > maxShares {
		c.refuse(key, nil, "want at most %d keys, found %d", maxShares, len(arns))
		return
	}
	seen := make(map[string]int)
	for i, arn := range arns {
		if err := checkKMSKey(arn); err != nil {
			c.found.add(c.origins[key], key, "item %d: %w", i+1, err)
			continue
		}
		id := keyMaterial(arn)
		if earlier := seen[id]; earlier > 0 {
			c.found.add(c.origins[key], key, "item %d: is the same key as item %d: each key holds one share", i+1, earlier)
			continue
		}
		seen[id] = i + 1
	}
}

// keyMaterial is ACCOUNT:key/ID. It is the same for all replicas of a multi-Region key, each of which decrypts what another encrypted.
func keyMaterial(arn string) string { return strings.SplitN(arn, ":", 5)[4] }

// Endpoint is the URL of KMS for keys of a region, empty for AWS's own.
func (c Chamber) Endpoint(region string) string {
	return strings.ReplaceAll(c.KMSEndpoint, "{region}", region)
}

// Stored says whether there is a source of stored keys.
func (k KeySources) Stored() bool { return k.DynamoDB.Table != "" || k.Database.Enabled }

// custody checks what the master key, its store and the stored keys ask of each other.
func (c *checker) custody() {
	const state, arns = "signer_state.backend", "chamber.kms_key_arns"
	s, sources := c.SignerState, c.KeySources
	if sources.DynamoDB.Table != "" && sources.Database.Enabled {
		c.refuse("key_sources.database.enabled", on("key_sources.dynamodb.table"), "is refused beside key_sources.dynamodb.table: stored keys are in one place")
	}
	if sources.Database.Enabled && s.Backend != "postgres" && s.Backend != "sqlite" {
		c.refuse("key_sources.database.enabled", on(state), "needs %s postgres or sqlite: the keys are in that database", state)
	}
	if s.Backend == "" {
		switch {
		case sources.DynamoDB.Table != "":
			c.refuse(state, on("key_sources.dynamodb.table"), "must be set: the keys of key_sources.dynamodb.table are encrypted under the master key, which is kept there")
		case len(c.Chamber.KMSKeyARNs) > 0:
			c.refuse(state, on(arns), "must be set: the shares that %s wrap are kept there", arns)
		}
	}
	if len(c.Chamber.KMSKeyARNs) == 0 && (s.Backend != "" || sources.Stored()) {
		c.refuse(arns, on(state), "must be set: without them nothing could be unsealed")
	}
	if s.Backend == "sqlite" && s.Path == "" {
		c.refuse("signer_state.path", on(state), "must be set: %s sqlite keeps its state there", state)
	}
	if slashing := c.AntiSlashing; s.Backend == "sqlite" && slashing.Backend == "sqlite" && filepath.Clean(s.Path) == filepath.Clean(slashing.SQLite.Path) {
		c.refuse("signer_state.path", on(state, "anti_slashing.backend", "anti_slashing.sqlite.path"), "is that of anti_slashing.sqlite.path: want a file of its own")
	}
	c.chamberKeys()
	c.statuses("key_sources.dynamodb.status_filter", sources.DynamoDB.StatusFilter)
	c.statuses("key_sources.database.status_filter", sources.Database.StatusFilter)
}

// chamberKeys checks the calls to stored keys. What is on by default is silent without stored keys; what somebody has asked for is not.
func (c *checker) chamberKeys() {
	sources := on("key_sources.dynamodb.table", "key_sources.database.enabled")
	for key, enabled := range map[string]bool{
		"chamber.keys.generate.enabled": c.Chamber.Keys.Generate.Enabled, "chamber.keys.import.enabled": c.Chamber.Keys.Import.Enabled,
		"chamber.keys.lifecycle.enabled": c.Chamber.Keys.Lifecycle.Enabled,
	} {
		if _, written := c.written[key]; written && enabled && !c.KeySources.Stored() {
			c.refuse(key, sources, "needs stored keys: key_sources.dynamodb.table or key_sources.database.enabled")
		}
	}
	const recipients, enabled = "chamber.keys.generate.backup.recipients", "chamber.keys.generate.backup.enabled"
	b := c.Chamber.Keys.Generate.Backup
	switch _, err := keygen.New(b.Recipients); {
	case err != nil:
		c.refuse(recipients, nil, "%v", err)
	case b.Enabled && len(b.Recipients) == 0:
		c.refuse(recipients, on(enabled), "must be set: %s encrypts mnemonics to them", enabled)
	case !b.Enabled && len(b.Recipients) > 0:
		c.refuse(recipients, on(enabled), "are refused while %s is false: nothing would be encrypted to them", enabled)
	}
}

func (c *checker) statuses(key string, statuses []string) {
	for i, status := range statuses {
		if status != "active" && status != "inactive" {
			c.found.add(c.origins[key], key, "item %d: want active or inactive", i+1)
		}
	}
}

// nitroCustody is what an enclave asks of its master key and its store.
func (c *checker) nitroCustody(platform []string) {
	switch s := c.SignerState; s.Backend {
	case "":
		c.refuse("signer_state.backend", platform, "must be set on tee.platform nitro, to dynamodb or postgres: the wrapped master key must outlive the enclave")
	case "sqlite":
		c.refuse("signer_state.backend", platform, "sqlite is refused on tee.platform nitro: an enclave has no disk; want dynamodb or postgres")
	case "postgres":
		if s.PasswordSource != "rds_iam" {
			c.refuse("signer_state.password_source", append(on("signer_state.backend"), platform...),
				"must be rds_iam on tee.platform nitro: the parent reads this file, so that no password can stand in the URL")
		}
	}
	if len(c.Chamber.KMSKeyARNs) == 0 {
		c.refuse("chamber.kms_key_arns", platform, "must be set on tee.platform nitro: the master key is nowhere else")
	}
	if c.TEE.RoleARN == "" {
		c.refuse("tee.role_arn", platform, "must be set on tee.platform nitro: the relayed credentials, for KMS and the signer state, are held against it")
	}
	c.following(platform)
}

// following refuses a replica that never looks what others have changed.
func (c *checker) following(platform []string) {
	sources := c.KeySources
	for _, look := range []struct {
		key, switchedBy string
		used            bool
		every           time.Duration
	}{
		{"signer_state.refresh_interval_seconds", "signer_state.backend", true, c.SignerState.RefreshInterval},
		{"key_sources.dynamodb.refresh_interval_seconds", "key_sources.dynamodb.table", sources.DynamoDB.Table != "", sources.DynamoDB.RefreshInterval},
		{"key_sources.database.refresh_interval_seconds", "key_sources.database.enabled", sources.Database.Enabled, sources.Database.RefreshInterval},
	} {
		if look.used && look.every == 0 {
			c.refuse(look.key, append(on(look.switchedBy), platform...),
				"0 is refused on tee.platform nitro: what is sealed, frozen, revoked or deactivated through another replica would never be followed")
		}
	}
}
