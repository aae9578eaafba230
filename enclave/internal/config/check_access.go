package config

// access checks the section auth, and what the main listener serves.
func (c *checker) access() {
	enclave, platform := c.TEE.Platform != "none", on("tee.platform")
	if c.TEE.Platform == "nitro" && c.Auth.Mode == "open" {
		c.refuse("auth.mode", platform, "open is refused on tee.platform nitro: the parent, and whoever it forwards, could ask for signatures of every key; want policies")
	}
	if c.TEE.Platform == "nitro" && c.Auth.PolicyFile != "" {
		c.refuse("auth.policy_file", platform, "is refused on tee.platform nitro: an enclave has no files, and keeps policies and tokens under the master key")
	}
	if c.Auth.Mode == "policies" && c.Auth.PolicyFile == "" && c.SignerState.Backend == "" && c.TEE.Platform == "none" {
		c.refuse("auth.mode", on("signer_state.backend"), "policies needs a place where they are: auth.policy_file, or signer_state.backend with a master key")
	}
	if c.Auth.ClientCertificates && c.TLS.Mode == "disabled" {
		c.refuse("auth.client_certificates", on("tls.mode"), "needs a TLS listener, and tls.mode is disabled")
	}
	if enclave && c.Server.Plaintext == "full" {
		c.refuse("server.plaintext", platform, "full is refused on tee.platform %s: the parent would read tokens, and could change what is signed", c.TEE.Platform)
	}
	if m := c.HTTP.KeyManagerAPI; m.Persist && !c.KeySources.Stored() {
		c.refuse("http.key_manager_api.persist", on("key_sources.dynamodb.table", "key_sources.database.enabled"), "needs stored keys: key_sources.dynamodb.table or key_sources.database.enabled")
	}
}

// PlainHealth says whether the main listener serves health alone, and why.
func (c *Config) PlainHealth() (health bool, why string) {
	switch {
	case c.TEE.Platform != "none":
		return true, "tee.platform is " + c.TEE.Platform
	case c.Server.Plaintext != "":
		return c.Server.Plaintext == "health", "server.plaintext is " + c.Server.Plaintext
	case c.TLS.Mode != "disabled":
		return true, "tls.mode is " + c.TLS.Mode + ", and server.plaintext is not set"
	}
	return false, "tls.mode is disabled, and server.plaintext is not set"
}
