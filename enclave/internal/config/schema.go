package config

import (
	_ "embed"
	"time"
)

var (
	//go:embed schema.go
	schemaSource string
	//go:embed schema_access.go
	accessSource string
	//go:embed schema_slashing.go
	slashingSource string
	//go:embed schema_custody.go
	custodySource string
	//go:embed schema_platform.go
	platformSource string
)

// Source is the text of the Go files that the structs of the configuration stand in, for package manual.
func Source() []string {
	return []string{schemaSource, accessSource, custodySource, slashingSource, platformSource}
}

// The comments of the structs below are the manual: config.example.yaml is made from them. Each one says what the
// value does, its unit, what zero means, and who is trusted with it. The tags say how it is named in YAML (koanf), its
// default, its range, its closed set (enum) or its bytes (hex), whether it is part of the measured digest, and, for
// a key without a default, what the example shows.

// Config is the checked configuration. Only [Load] and [LoadBytes] make one; after that nobody asks again.
type Config struct {
	// The main listener: the whole API in plain HTTP on platform none, health alone on the others.
	Server Server `koanf:"server"`
	// How requests are taken in, the same on the main and the TLS listener.
	HTTP HTTP `koanf:"http"`
	// Prometheus metrics, always plain HTTP.
	Metrics Metrics `koanf:"metrics"`
	// The network whose duties are signed. A request with another network's genesis validators root is refused with 403.
	// custom is the network that custom_network describes, such as a devnet.
	// There is no default: a signer on the wrong network would be silent until the first duty.
	// Trust: measured, so that a client can pin it.
	Network string `koanf:"network" enum:"mainnet sepolia hoodi holesky gnosis custom" measured:"true" example:"hoodi"`
	// The network that network: custom stands for; refused beside any other.
	CustomNetwork CustomNetwork `koanf:"custom_network"`
	// What is logged, and how much of it waits for the parent.
	Log Log `koanf:"log"`
	// Who may do what.
	Auth Auth `koanf:"auth"`
	// Where validator keys come from.
	KeySources KeySources `koanf:"key_sources"`
	// The master key, which stored validator keys are encrypted under: which KMS keys its shares are held by.
	Chamber Chamber `koanf:"chamber"`
	// Where the signer keeps its own state: the wrapped master key, operators, policies.
	SignerState SignerState `koanf:"signer_state"`
	// The record of what was signed, checked and written before every slashable signature (EIP-3076).
	AntiSlashing AntiSlashing `koanf:"anti_slashing"`
	// How many signatures are made at once, and for which keys none should be asked.
	Signing Signing `koanf:"signing"`
	// The TLS listener, a second one beside server.listen_port.
	TLS TLS `koanf:"tls"`
	// Where the signer runs, and how it reaches the world from there.
	TEE TEE `koanf:"tee"`
	// Settings of the parent process alone. They stand here so that one file serves both processes.
	Parent Parent `koanf:"parent"`

	written  map[string]any // what the sources set, without defaults: the digest and the differences come from it
	measured []byte         // canonical JSON of the measured part of written
}

// Server is the main listener.
type Server struct {
	// IP address that the main and the TLS listener bind. On platform nitro and simulated the parent binds it and
	// forwards; the enclave itself listens on fixed vsock ports (TLS 9443, health 9080), whatever stands here.
	// Trust: whoever reaches a wider address than loopback can ask for signatures while auth.mode is open.
	ListenAddress string `koanf:"listen_address" default:"127.0.0.1"`
	// TCP port of the main listener. Zero takes any free port, for tests.
	// Trust: none beyond listen_address.
	ListenPort uint16 `koanf:"listen_port" default:"9000" range:"0-65535"`
	// What the main listener serves, which has no TLS: full, the whole API, or health alone. Empty is full without TLS, and health once tls.mode is
	// another than disabled, and in an enclave, where full is refused.
	// Trust: in full, tokens and answers are in the clear for whoever stands between.
	Plaintext string `koanf:"plaintext" enum:"full health" example:"health"`
	// Seconds after SIGTERM in which requests are answered as before, but /readyz with 503, and each answer says that it is
	// the last of its connection: clients have left when the listeners close. The parent, after a SIGTERM of its own, lets
	// clients in for as long, and its enclave tells them the same. With replicas it is to be longer than a load balancer
	// needs to see it, and than a slot, in which validator clients use their connections again: 15. Zero closes at once.
	// Trust: none; whoever can send the signal can also kill the process.
	DrainDelay time.Duration `koanf:"drain_delay_seconds" default:"0" range:"0-600"`
	// Seconds that requests under way may take to end after SIGTERM and drain_delay_seconds. Zero cuts them off at once.
	// Trust: none; a vote that is on record but whose signature was cut off can be asked for again.
	DrainTimeout time.Duration `koanf:"drain_timeout_seconds" default:"15" range:"0-600"`
}

// HTTP is how requests are taken in.
type HTTP struct {
	// Requests that are inside the signer at once; further ones get 503 with Retry-After. A request counts from the end of
	// its body until its answer begins, so that slow clients fill nothing. GET requests have places of their own, and GET
	// /upcheck needs none: a full signer is not taken for a dead one. Zero is refused.
	// Trust: none; whoever reaches the port can fill it.
	MaxConcurrentRequests int `koanf:"max_concurrent_requests" default:"8192" range:"1-65536"`
	// The Ethereum Key Manager API, /eth/v1/keystores.
	KeyManagerAPI KeyManagerAPI `koanf:"key_manager_api"`
	// What is off until asked for, and may change or go in any release.
	Experimental Experimental `koanf:"experimental"`
}

// Experimental are parts of the API that are not promised.
type Experimental struct {
	// Whether POST /api/v1/eth2/sign answers, which signs one message with many keys in one request. Each signature passes
	// the same checks as if it were asked for alone. Not measured: it is a way of asking, not whom we serve.
	// Trust: none beyond auth.mode.
	BatchSign bool `koanf:"batch_sign" default:"false"`
}

// CustomNetwork is a network that is not known by name. Once loaded, its hexadecimal digits are in lower case.
type CustomNetwork struct {
	// Genesis validators root of the network, 0x and 64 hexadecimal digits. network: custom requires it.
	// Trust: measured. It tells this network from every other: the same keys must not serve two with one root.
	GenesisValidatorsRoot string `koanf:"genesis_validators_root" hex:"32" measured:"true" example:"0x21b3993cb82f843dda89ebacc278cf2ef5929134510e60cde925f6d70c4798ab"`
	// Fork version of genesis (GENESIS_FORK_VERSION), 0x and 8 hexadecimal digits. network: custom requires it.
	// Trust: measured. Validator registrations are signed for it alone.
	GenesisForkVersion string `koanf:"genesis_fork_version" hex:"4" measured:"true" example:"0x10000038"`
	// Slots of an epoch (SLOTS_PER_EPOCH). Zero is refused.
	// Trust: measured. It says which epoch a slot is in, and so for which of a request's two fork versions it is signed.
	SlotsPerEpoch uint64 `koanf:"slots_per_epoch" default:"32" range:"1-1024" measured:"true"`
	// Start of slot 0 in Unix seconds (the genesis time of the chain). Zero is not known: anti_slashing.max_future_epochs then has
	// no effect, which is warned about.
	// Trust: measured. It says what the current epoch is.
	GenesisTime uint64 `koanf:"genesis_time" default:"0" range:"0-4294967295" measured:"true" example:"1764000000"`
	// Seconds of a slot (SECONDS_PER_SLOT). Zero is refused.
	// Trust: measured. It says what the current epoch is.
	SecondsPerSlot uint64 `koanf:"seconds_per_slot" default:"12" range:"1-3600" measured:"true"`
	// Forks of the network from altair on, in their order and without a gap, down to the last one that is scheduled. A fork that is
	// active from genesis on is listed too, with its own version. An empty list means that only phase0 is known.
	// Trust: measured. A version decides by which fork's rules a message is read.
	Forks []CustomFork `koanf:"forks" measured:"true"`
}

// CustomFork is one fork of a custom network.
type CustomFork struct {
	// Name of the fork in lower case: altair, bellatrix, capella, deneb, electra, fulu or gloas.
	Name string `koanf:"name" enum:"altair bellatrix capella deneb electra fulu gloas" example:"altair"`
	// Fork version, 0x and 8 hexadecimal digits, unlike genesis_fork_version and that of every other entry.
	Version string `koanf:"version" hex:"4" example:"0x20000038"`
}

// Metrics is the metrics listener.
type Metrics struct {
	// IP address that the metrics listener binds; on platform nitro and simulated the parent binds it.
	// Trust: metrics tell how many keys there are and when they sign, never the keys.
	ListenAddress string `koanf:"listen_address" default:"0.0.0.0"`
	// TCP port of the metrics listener. Zero takes any free port, for tests.
	// Trust: none beyond listen_address.
	ListenPort uint16 `koanf:"listen_port" default:"3000" range:"0-65535"`
}

// Log says what is logged.
type Log struct {
	// The least severe lines that are written.
	// Trust: no level writes a secret; debug tells more about timing.
	Level string `koanf:"level" default:"info" enum:"debug info warn error"`
	// Lines that wait in the enclave while the parent's log sink is away; further ones are dropped and counted in
	// containment_enclave_log_events_dropped_total. Zero is refused.
	// Trust: the parent can drop every line; sequence numbers show that it did.
	BufferLines int `koanf:"buffer_lines" default:"10000" range:"1-1000000"`
}

// KeySources says where keys come from.
type KeySources struct {
	// Keys in files, read at start and again when POST /reload asks for it.
	Filesystem Filesystem `koanf:"filesystem"`
	// Stored keys, encrypted under the master key, in a DynamoDB table.
	DynamoDB StoredTable `koanf:"dynamodb"`
	// Stored keys, encrypted under the master key, in the database of signer_state: PostgreSQL or SQLite.
	Database StoredRows `koanf:"database"`
}

// Filesystem is the key source of files.
type Filesystem struct {
	// Directories that are scanned for key descriptors (*.yaml, *.yml), not below them: EIP-2335 keystores and raw keys. A reload
	// drops the keys whose descriptors are gone; a directory that cannot be read ends the start, and leaves a reload without effect.
	// An empty list loads no keys from files.
	// Trust: whoever reads these directories has the keys; whoever writes them decides which keys are loaded.
	Paths []string `koanf:"paths" alias:"filesystem-keystores-path" example:"/var/lib/containment-chamber/keystores"`
	// Keystores that are decrypted at once; in any case at most one for each CPU, and by a reload one for two. Zero is refused.
	// Trust: none.
	KeystoreLoadConcurrency int `koanf:"keystore_load_concurrency" default:"128" range:"1-4096"`
	// Descriptors, which hold the raw keys, that are read at once; by a reload at most one for two CPUs. Zero is refused.
	// Trust: none.
	RawLoadConcurrency int `koanf:"raw_load_concurrency" default:"128" range:"1-4096"`
	// Percent of the memory, of the machine or of the control group that bounds this process, that decrypting keystores may take at
	// once. A keystore that alone needs more is refused, by name. Zero is refused.
	// Trust: whoever writes a keystore chooses what it costs; this bounds it.
	KDFMemoryPercent int `koanf:"kdf_memory_percent" default:"25" range:"1-90"`
}

// Signing bounds and watches the signing work. Once loaded, canary keys are 0x and 96 digits in lower case.
type Signing struct {
	// Signatures under way at once, from slot to signature. Zero means 64 for each CPU: a slot is also held while
	// the slashing store writes, so there are more slots than CPUs.
	// Trust: none.
	ConcurrencyLimit int `koanf:"concurrency_limit" default:"0" range:"0-65536"`
	// Milliseconds that a request waits for a slot before it gets 503. Zero refuses at once when all are taken.
	// Trust: none.
	Wait time.Duration `koanf:"wait_milliseconds" default:"4000" range:"0-5000"`
	// Public keys that no validator client should ever ask for: 96 hexadecimal digits each, with or without 0x. A request for
	// one is logged as an error and counted in containment_canary_signing_total: somebody tries keys. An empty list watches for none.
	// Trust: whoever learns which keys they are can avoid them; the parent reads this file.
	CanaryKeys []string `koanf:"canary_keys" example:"0x93247f2209abcacf57b75a51dafae777f9dd38bc7053d1af526f220a7489a6d3a2753e5f3e8b1cfe39b56f43611df74a"`
}
