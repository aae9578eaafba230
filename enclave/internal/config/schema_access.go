package config

import "time"

// Auth says who may do what.
type Auth struct {
	// How callers are known. open: everybody may ask for signatures and for the list of public keys, for a signer behind its own network
	// boundary; all else needs a token. policies: a token, or a client's certificate, that a policy allows it. Platform nitro refuses open.
	// Trust: measured. With open, whoever reaches the port is trusted with every key.
	Mode string `koanf:"mode" default:"open" enum:"open policies" measured:"true"`
	// Whether voluntary exits and deposits are as all other operations. Else a policy has to name them, in either mode.
	// Trust: measured. Whoever may have exits signed can end every validator.
	OpenExits bool `koanf:"open_exits" default:"false" measured:"true"`
	// File of policies and tokens for signers without a master key, best an absolute path. It is read again when it changes. It holds no
	// secret itself: each token's is env:VARIABLE, file:PATH or sha256:DIGITS. Refused on platform nitro, where they are kept
	// under the master key. Empty for none.
	// Trust: whoever writes it has every right.
	PolicyFile string `koanf:"policy_file" example:"/etc/containment-chamber/policies.yaml"`
	// Whether the TLS listener asks clients for a certificate, which a policy can name in place of a token. None is needed to connect.
	// Trust: none.
	ClientCertificates bool `koanf:"client_certificates" default:"false"`
}

// KeyManagerAPI is the Ethereum Key Manager API.
type KeyManagerAPI struct {
	// Whether /eth/v1/keystores answers: a list of keys, import of EIP-2335 keystores, and deletion with the slashing record. Every call needs
	// a token with its scope, also while auth.mode is open.
	// Trust: none beyond the tokens.
	Enabled bool `koanf:"enabled" default:"false"`
	// Whether imported keys are stored, sealed under the master key, rather than in memory alone, where they are gone with the process. It
	// needs key_sources.dynamodb or key_sources.database.
	// Trust: none.
	Persist bool `koanf:"persist" default:"false"`
	// Lists and deletions at once; further ones get 503. Zero is refused.
	// Trust: none.
	MaxConcurrentReads int `koanf:"max_concurrent_reads" default:"50" range:"1-1024"`
	// Imports at once; further ones get 503. Zero is refused.
	// Trust: none.
	MaxConcurrentWrites int `koanf:"max_concurrent_writes" default:"10" range:"1-256"`
	// Seconds that a request may take; what is not done by then is told as an error of its item. Zero is refused.
	// Trust: none.
	RequestTimeout time.Duration `koanf:"request_timeout_seconds" default:"30" range:"1-3600"`
	// Keystores of an import, or public keys of a deletion. Zero is refused.
	// Trust: none.
	MaxItems int `koanf:"max_items_per_request" default:"100" range:"1-1000"`
}
