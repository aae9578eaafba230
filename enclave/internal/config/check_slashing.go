package config

// slashing checks the section anti_slashing, but for its server and its table.
func (c *checker) slashing() {
	s := c.AntiSlashing
	if s.Backend == "sqlite" && s.SQLite.Path == "" {
		c.refuse("anti_slashing.sqlite.path", on("anti_slashing.backend"), "must be set: anti_slashing.backend sqlite keeps its record there")
	}
	if s.UnknownKeys == "refuse" && s.Backend == "noop" {
		c.refuse("anti_slashing.unknown_keys", on("anti_slashing.backend"), "refuse would refuse every vote: anti_slashing.backend noop knows no key")
	}
	if s.API && s.Backend == "noop" {
		c.refuse("anti_slashing.api", on("anti_slashing.backend"), "is for a record, and anti_slashing.backend noop keeps none")
	}
	c.sealed()
}

// nitroSlashing is what an enclave asks of its store.
func (c *checker) nitroSlashing(platform []string) {
	const relayed = "the parent relays the AWS credentials, and whoever controls the host can rewrite the slashing record with them"
	s := c.AntiSlashing
	switch s.Backend {
	case "sqlite":
		c.refuse("anti_slashing.backend", platform, "sqlite is refused on tee.platform nitro: an enclave has no disk, and its record would end with it; want postgres or dynamodb")
	case "noop":
		c.refuse("anti_slashing.backend", platform, "noop is refused on tee.platform nitro: it records nothing; want postgres or dynamodb")
	case "dynamodb":
		if s.DynamoDB.SealedAccessKey == "" {
			c.trusting("anti_slashing.backend", "dynamodb without dynamodb.sealed_access_key", relayed, platform)
		}
	case "postgres":
		switch s.PasswordSource {
		case "rds_iam":
			c.trusting("anti_slashing.password_source", "rds_iam", relayed, platform)
		case "url":
			c.trusting("anti_slashing.password_source", "url", "no password can stand in the URL there, and a database that asks for none takes votes from the host too; want kms", platform)
		}
	}
}

// trusting refuses a way to the record that the parent has as well, unless the parent is trusted with the record.
func (c *checker) trusting(key, value, why string, platform []string) {
	if !c.AntiSlashing.TrustParent {
		c.refuse(key, append(on("anti_slashing.trust_parent"), platform...), "%s needs anti_slashing.trust_parent: true on tee.platform nitro: %s", value, why)
	}
}
