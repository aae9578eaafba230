package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Warnings are sentences about what is allowed and dangerous, or has no effect, to be said loudly at start.
func (c *Config) Warnings() []string {
	var warnings []string
	address, err := netip.ParseAddr(c.Server.ListenAddress)
	if c.Auth.Mode == "open" && c.TEE.Platform == "none" && (err != nil || !address.Unmap().IsLoopback()) {
		warnings = append(warnings, "server.listen_address "+c.Server.ListenAddress+" is not loopback and auth.mode is open: whoever reaches this address can ask for signatures of every key")
	}
	if health, _ := c.PlainHealth(); !health && c.TLS.Mode != "disabled" {
		warnings = append(warnings, "server.plaintext is full: tokens that clients send to server.listen_port go over it in the clear, although there is a TLS listener")
	}
	if g := c.Chamber.Keys.Generate; g.Enabled && !g.Backup.Enabled {
		warnings = append(warnings, "chamber.keys.generate.backup.enabled is false: nobody can make new keys again, and the table of stored keys, with its backups, is all there is of them")
	}
	return slices.Concat(warnings, c.custodyWarnings(), c.slashingWarnings(), c.clearWarnings(), c.unused())
}

// custodyWarnings are those of the section chamber.
func (c *Config) custodyWarnings() []string {
	s := c.Chamber
	if len(s.KMSKeyARNs) == 0 || c.TEE.Platform == "none" || s.ID != "" {
		return nil
	}
	var warnings []string
	if s.SetupTokenSHA256 == "" {
		warnings = append(warnings, "chamber.setup_token_sha256 is not set, and neither is chamber.id: on tee.platform "+c.TEE.Platform+" nobody can initialise this chamber")
	}
	if s.KMSThreshold == 0 && c.TEE.Platform == "nitro" {
		warnings = append(warnings, "chamber.id and chamber.kms_threshold are not set: any master key is taken that the signer state holds, and one share may be enough to rebuild it")
	}
	if s.Wrap == "encrypt" {
		warnings = append(warnings, "chamber.wrap is encrypt, and chamber.id is not set: whoever holds the role's credentials, as the parent does, can put a master key there that he knows")
	}
	return warnings
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
	if s.TrustParent && c.TEE.Platform == "nitro" && !s.sealed() {
		warnings = append(warnings, "anti_slashing.trust_parent is on: the parent can reach the slashing record as this signer does, and whoever controls the host can make every key vote twice")
	}
	return warnings
}

// clearWarnings are of tables that are reached without TLS.
func (c *Config) clearWarnings() []string {
	var warnings []string
	for _, t := range c.tables() {
		if t.used && strings.HasPrefix(strings.ToLower(t.endpoint), "http:") {
			warnings = append(warnings, t.endpointKey+" is http: whoever stands between can be the table, and "+t.harm)
		}
	}
	return warnings
}

// unused warns of keys that are set, to another value than their default, beside others that leave them without effect.
func (c *Config) unused() []string {
	state, stored, slashing := c.SignerState, c.KeySources.DynamoDB, c.AntiSlashing
	slashingIs, stateIs := backendIs("anti_slashing.backend", slashing.Backend), backendIs("signer_state.backend", state.Backend)
	const noKeys = "chamber.kms_key_arns is empty"
	noMaster := len(c.Chamber.KMSKeyARNs) == 0
	var warnings []string
	for _, group := range []struct {
		off     bool
		because string
		keys    []string
	}{
		{noMaster, noKeys, on("chamber.id", "chamber.kms_threshold", "chamber.wrap", "chamber.setup_token_sha256", "chamber.share_check_interval_seconds")},
		{noMaster && !slashing.sealed(), noKeys, on("chamber.kms_endpoint", "chamber.kms_ca_pem")},
		{state.Backend == "", stateIs, on("signer_state.refresh_interval_seconds")},
		{state.Backend != "dynamodb", stateIs, on("signer_state.table", "signer_state.endpoint")},
		{state.Backend != "dynamodb" && state.PasswordSource != "rds_iam", stateIs, on("signer_state.region")},
		{state.Backend != "dynamodb" && state.Backend != "postgres", stateIs, on("signer_state.ca_pem")},
		{state.Backend != "postgres", stateIs, on("signer_state.url")},
		{state.Backend != "sqlite", stateIs, on("signer_state.path")},
		{stored.Table == "", "key_sources.dynamodb.table is empty", on("key_sources.dynamodb.region", "key_sources.dynamodb.endpoint", "key_sources.dynamodb.ca_pem",
			"key_sources.dynamodb.status_filter", "key_sources.dynamodb.refresh_interval_seconds", "key_sources.dynamodb.max_concurrent_reads")},
		{!c.KeySources.Database.Enabled, "key_sources.database.enabled is false", on("key_sources.database.status_filter", "key_sources.database.refresh_interval_seconds")},
		{slashing.Backend != "postgres", slashingIs, on("anti_slashing.url")},
		{slashing.Backend != "dynamodb", slashingIs, on("anti_slashing.dynamodb.table", sealedAccessKey)},
		{slashing.PasswordSource != "kms", "anti_slashing.password_source is " + slashing.PasswordSource, on(sealedPassword)},
		{!slashing.sealed(), "no sealed credential is used", on("anti_slashing.sealed_password_kms_key_arn")},
	} {
		if group.off {
			warnings = append(warnings, c.idle(group.because, group.keys)...)
		}
	}
	return warnings
}

func backendIs(key, backend string) string {
	if backend == "" {
		return key + " is not set"
	}
	return key + " is " + backend
}

// idle names those of the keys that are set to another value than their default.
func (c *Config) idle(because string, keys []string) []string {
	var warnings []string
	known := newSchema().byName
	for _, name := range keys {
		if v, set := c.written[name]; set && fmt.Sprint(v) != fmt.Sprint(known[name].fallback()) {
			warnings = append(warnings, name+" is set but "+because+": it is not used")
		}
	}
	return warnings
}
