package config

import (
	"regexp"
	"slices"
	"strings"
)

// customNetwork demands of a network without a name what the code knows of the others, and refuses it beside them.
func (c *checker) customNetwork() {
	if c.Network != "custom" {
		c.noCustomNetwork()
		return
	}
	if c.CustomNetwork.GenesisValidatorsRoot == "" {
		c.refuse("custom_network.genesis_validators_root", on("network"), "must be set: network custom is known by nothing else")
	}
	if c.CustomNetwork.GenesisForkVersion == "" {
		c.refuse("custom_network.genesis_fork_version", on("network"), "must be set: network custom signs validator registrations for it")
	}
	c.forks()
}

// noCustomNetwork refuses, once, a section that nobody would read: whoever wrote it expects another network than the one that is set.
func (c *checker) noCustomNetwork() {
	if c.Network == "" {
		return
	}
	for _, name := range sorted(c.written) {
		if strings.HasPrefix(name, "custom_network.") {
			c.refuse(name, on("network"), "describes network custom, but network is %s: take the section custom_network away, or set network to custom", c.Network)
			return
		}
	}
}

// forks checks the order of the entries and that no two forks have one version, by which they are told apart. Names and
// digits are checked when the entries are read.
func (c *checker) forks() {
	const key = "custom_network.forks"
	if c.found.wrong[key] {
		return
	}
	names := c.forkNames()
	versions := map[string]string{c.CustomNetwork.GenesisForkVersion: "genesis_fork_version"}
	next := 0 // of names
	for i, fork := range c.CustomNetwork.Forks {
		holder, taken := versions[fork.Version]
		fault := ""
		switch {
		case next == len(names):
			fault = "no fork after " + names[next-1] + " is known"
		case fork.Name != names[next]:
			fault = "name: want " + names[next] + ": forks are listed from " + names[0] + " on, in their order and without a gap"
		case fork.Version == "":
			fault = "version: must be set"
		case taken:
			fault = "version: is that of " + holder
		}
		if fault != "" {
			c.found.add(c.origins[key], key, "entry %d: %s", i+1, fault)
		}
		versions[fork.Version] = fork.Name
		next = min(next+1, len(names))
		if at := slices.Index(names, fork.Name); at >= 0 { // one fault is told once, not for every entry after it
			next = at + 1
		}
	}
}

// forkNames are the forks that an entry can name, oldest first.
func (c *checker) forkNames() []string {
	return newSchema().byName["custom_network.forks"].Fields[0].Enum
}

var publicKey = regexp.MustCompile(`^(0x)?[0-9a-fA-F]{96}$`)

// canaries checks the form of the keys alone: one that no validator has is as good a canary.
func (c *checker) canaries() {
	const key = "signing.canary_keys"
	entries := make(map[string]int)
	for i, text := range c.Signing.CanaryKeys {
		name := canary(text)
		earlier, twice := entries[name]
		switch {
		case !publicKey.MatchString(text):
			c.found.add(c.origins[key], key, "item %d: want a public key, 96 hexadecimal digits with or without 0x", i+1)
		case twice:
			c.found.add(c.origins[key], key, "item %d: is the same key as item %d", i+1, earlier)
		default:
			entries[name] = i + 1
		}
	}
}

// canary is the one spelling of a public key: 0x and lower case.
func canary(text string) string { return "0x" + strings.ToLower(strings.TrimPrefix(text, "0x")) }
