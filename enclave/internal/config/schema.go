package config

import (
	_ "embed"
	"time"
)

//go:embed schema.go
var source string

// Source is the text of this file, for package manual.
func Source() string { return source }

// The comments of the structs below are the manual: config.example.yaml is made from them. Each one says what the
// value does, its unit, what zero means, and who is trusted with it. The tags say how it is named in YAML (koanf), its
// default, its range or its closed set (enum), whether it is part of the measured digest, and, for
// a key without a default, what the example shows.

// Config is the checked configuration. Only [Load] and [LoadBytes] make one; after that nobody asks again.
type Config struct {
	// The main listener: the whole API in plain HTTP on platform none, health alone on the others.
	Server Server `koanf:"server"`
	// Prometheus metrics, always plain HTTP.
	Metrics Metrics `koanf:"metrics"`
	// The network whose duties are signed. A request with another network's genesis validators root is refused with 403.
	// There is no default: a signer on the wrong network would be silent until the first duty.
	// Trust: measured, so that a client can pin it.
	Network string `koanf:"network" enum:"mainnet sepolia hoodi" measured:"true" example:"hoodi"`
	// What is logged, and how much of it waits for the parent.
	Log Log `koanf:"log"`
	// Who may ask for a signature.
	Auth Auth `koanf:"auth"`
	// Where validator keys come from.
	KeySources KeySources `koanf:"key_sources"`
	// Where the signer keeps its own state: the wrapped master key, operators, policies.
	SignerState SignerState `koanf:"signer_state"`
	// The record of what was signed, checked and written before every slashable signature (EIP-3076).
	AntiSlashing AntiSlashing `koanf:"anti_slashing"`
	// How many signatures are made at once.
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
	// Seconds that requests under way may take to end after SIGTERM. Zero cuts them off at once.
	// Trust: none; a vote that is on record but whose signature was cut off can be asked for again.
	DrainTimeout time.Duration `koanf:"drain_timeout_seconds" default:"15" range:"0-600"`
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

// Auth says who may ask for a signature.
type Auth struct {
	// How callers are known. open: every caller may do everything, for a signer behind its own network boundary.
	// Trust: measured. With open, whoever reaches the port is trusted with every key.
	Mode string `koanf:"mode" default:"open" enum:"open" measured:"true"`
}

// KeySources says where keys come from.
type KeySources struct {
	// Keys in files, read at start.
	Filesystem Filesystem `koanf:"filesystem"`
}

// Filesystem is the key source of files.
type Filesystem struct {
	// Directories that are scanned for key descriptors (*.yaml): EIP-2335 keystores and raw keys.
	// An empty list loads no keys from files.
	// Trust: whoever reads these directories has the keys; whoever writes them decides which keys are loaded.
	Paths []string `koanf:"paths" alias:"filesystem-keystores-path" example:"/var/lib/containment-chamber/keystores"`
	// Keystores that are decrypted at once. Zero is refused.
	// Trust: none.
	KeystoreLoadConcurrency int `koanf:"keystore_load_concurrency" default:"128" range:"1-4096"`
	// Raw key files that are read at once. Zero is refused.
	// Trust: none.
	RawLoadConcurrency int `koanf:"raw_load_concurrency" default:"128" range:"1-4096"`
}

// SignerState says where the signer keeps its state.
type SignerState struct {
	// Kind of store; empty for none, which is enough for keys in files. Platform nitro requires dynamodb or postgres.
	// Trust: measured. The store holds ciphertext, and can withhold it or roll it back.
	Backend string `koanf:"backend" enum:"dynamodb postgres sqlite" measured:"true" example:"dynamodb"`
	// Table of the dynamodb backend: its ARN on platform nitro, so that the measured digest names account and region;
	// a name or an ARN elsewhere.
	// Trust: measured. Two signers that share a table share their master key.
	Table string `koanf:"table" measured:"true" example:"arn:aws:dynamodb:eu-central-1:111122223333:table/containment-state"`
}

// AntiSlashing is the slashing protection store.
type AntiSlashing struct {
	// Kind of store. postgres and dynamodb may be shared by several signers; sqlite serves exactly one; noop
	// records nothing and is for tests alone. There is no default: nobody should sign without having chosen.
	// Trust: measured. Whoever can roll the store back can make this signer vote twice.
	Backend string `koanf:"backend" enum:"sqlite postgres dynamodb noop" measured:"true" example:"sqlite"`
	// URL of the postgres backend, postgres://user@host:port/database?sslmode=… . A password in it is left out of
	// everything printed and of the measured digest, so that rotating it changes no digest; platform nitro refuses one,
	// because the parent reads this file.
	// Trust: measured without the password. Whoever can write to that database can make this signer vote twice.
	URL string `koanf:"url" url:"true" measured:"true" example:"postgres://signer@db.internal:5432/slashing?sslmode=verify-full"`
	// The sqlite backend.
	SQLite SQLite `koanf:"sqlite"`
	// Seconds until a write whose outcome is still unknown is given up with 503. With signing.wait_milliseconds it stays below
	// the 30 seconds that a request may take in all. Zero is refused.
	// Trust: none; without the store's answer nothing is signed.
	WriteTimeout time.Duration `koanf:"write_timeout_seconds" default:"5" range:"1-20"`
}

// SQLite is the sqlite slashing store.
type SQLite struct {
	// File of the sqlite backend, created with mode 0600. Not measured: it is local to the host, and no enclave has it.
	// Trust: whoever can roll it back, or start a second signer on a copy, can make this signer vote twice.
	Path string `koanf:"path" example:"./slashing.sqlite"`
}

// Signing bounds the signing work.
type Signing struct {
	// Signatures under way at once, from slot to signature. Zero means 16 for each CPU: a slot is also held while
	// the slashing store writes, so there are more slots than CPUs.
	// Trust: none.
	ConcurrencyLimit int `koanf:"concurrency_limit" default:"0" range:"0-65536"`
	// Milliseconds that a request waits for a slot before it gets 503. Zero refuses at once when all are taken.
	// Trust: none.
	Wait time.Duration `koanf:"wait_milliseconds" default:"1000" range:"0-5000"`
}

// TLS is the TLS listener.
type TLS struct {
	// disabled: no TLS listener. file: certificate and key from files. atls: attested TLS, whose certificate carries an
	// attestation document of the enclave; platform nitro and simulated require it.
	// Trust: measured. With disabled or file, clients cannot tell an enclave from its host.
	Mode string `koanf:"mode" default:"disabled" enum:"disabled file atls" measured:"true"`
	// TCP port of the TLS listener on server.listen_address; on platform nitro and simulated the parent
	// listens there and forwards to vsock port 9443. Zero takes any free port, for tests.
	// Trust: none beyond server.listen_address.
	ListenPort uint16 `koanf:"listen_port" default:"9443" range:"0-65535"`
	// Mode file.
	File TLSFile `koanf:"file"`
	// Mode atls.
	ATLS ATLS `koanf:"atls"`
}

// TLSFile is where mode file finds its certificate.
type TLSFile struct {
	// PEM file of the certificate chain, best an absolute path. Replace it by renaming, so that it is never read half-written.
	// Trust: whoever writes it can take the listener down, no more.
	CertPath string `koanf:"cert_path" example:"/etc/containment-chamber/tls/tls.crt"`
	// PEM file of the private key.
	// Trust: whoever reads it can impersonate this signer.
	KeyPath string `koanf:"key_path" example:"/etc/containment-chamber/tls/tls.key"`
	// Seconds between two looks at both files. Zero reads them once, at start.
	// Trust: none.
	ReloadInterval time.Duration `koanf:"reload_interval_seconds" default:"60" range:"0-86400"`
}

// ATLS times the attested certificates.
type ATLS struct {
	// Seconds that a certificate may be valid; it never outlives the evidence in it (about three hours). Zero is refused.
	// Trust: a longer life lets a stolen session key be used for longer.
	CertValidity time.Duration `koanf:"cert_validity_seconds" default:"86400" range:"60-2592000"`
	// Seconds between two certificates, each with a new key and a fresh document; shorter than
	// cert_validity_seconds. Zero is refused.
	// Trust: as cert_validity_seconds.
	RotationInterval time.Duration `koanf:"rotation_interval_seconds" default:"3600" range:"10-2592000"`
}

// TEE says where the signer runs.
type TEE struct {
	// none: the signer alone, as a Linux process or container. nitro: AWS Nitro Enclave and parent. simulated: enclave and
	// parent on one machine, unix sockets for vsock, a software NSM; for laptops and tests.
	// Trust: measured. Only nitro keeps the host away from the keys; simulated proves nothing to anybody.
	Platform string `koanf:"platform" default:"none" enum:"none nitro simulated" measured:"true"`
	// Context identifier of the enclave on the host's vsock. Zero is refused, as is all below 4.
	// Trust: none; clients verify what answers.
	EnclaveCID uint32 `koanf:"enclave_cid" default:"16" range:"4-4294967294"`
	// ARN of the IAM role whose credentials the parent relays.
	// Trust: measured. Credentials of another role are refused.
	RoleARN string `koanf:"role_arn" measured:"true" example:"arn:aws:iam::111122223333:role/containment-chamber"`
	// Outbound endpoints, the route table of both processes. A host without a route cannot be reached from the enclave.
	// An empty list allows no outbound connection.
	// Trust: measured. The parent can refuse to forward; TLS is end to end.
	Egress []Route `koanf:"egress" measured:"true"`
	// Platform simulated.
	Simulated Simulated `koanf:"simulated"`
}

// Route is one outbound endpoint, field by field a wire.Route.
type Route struct {
	// Name of the route in logs and metrics: lower case letters, digits and dashes, unique.
	Name string `koanf:"name" example:"kms"`
	// DNS name or IP address, as the enclave's client names it.
	Host string `koanf:"host" example:"kms.eu-central-1.amazonaws.com"`
	// TCP port.
	Port uint16 `koanf:"port" range:"1-65535" example:"443"`
	// Vsock port of the parent, unique, 8001 or above.
	VsockPort uint32 `koanf:"vsock_port" range:"8001-4294967294" example:"8001"`
}

// Simulated is the platform for laptops and tests.
type Simulated struct {
	// Directory of the unix sockets PORT.sock that stand for vsock ports.
	// Trust: whoever writes there can take the place of either process.
	SocketDir string `koanf:"socket_dir" example:"./run/vsock"`
	// Directory of the development root, made on first run.
	// Trust: whoever reads it can forge every simulated attestation document.
	StateDir string `koanf:"state_dir" example:"./run/state"`
}

// Parent is what the parent process alone reads. Nothing of it is measured: the parent is not trusted.
type Parent struct {
	// The parent's own health and metrics listener.
	Health ParentHealth `koanf:"health"`
	// Connections from the enclave to its routes.
	Egress ParentEgress `koanf:"egress"`
	// Connections from clients to the enclave.
	Ingress ParentIngress `koanf:"ingress"`
	// The receiver of the enclave's log lines.
	LogSink ParentLogSink `koanf:"log_sink"`
	// Seconds that open connections may take to end after SIGTERM; best longer than server.drain_timeout_seconds, so
	// that the enclave is done first. Zero cuts them off at once.
	// Trust: none.
	DrainTimeout time.Duration `koanf:"drain_timeout_seconds" default:"20" range:"0-600"`
}

// ParentHealth is the parent's health listener.
type ParentHealth struct {
	// IP address of the parent's own health and metrics.
	// Trust: they tell counts of connections and bytes.
	ListenAddress string `koanf:"listen_address" default:"127.0.0.1"`
	// TCP port of it. Zero takes any free port, for tests.
	// Trust: none.
	ListenPort uint16 `koanf:"listen_port" default:"3001" range:"0-65535"`
}

// ParentEgress bounds outbound connections.
type ParentEgress struct {
	// Connections open at once; further ones are refused. Zero is refused.
	// Trust: none.
	MaxConnections int `koanf:"max_connections" default:"1024" range:"1-65536"`
	// Seconds until a connection attempt to a route's host is given up. Zero is refused.
	// Trust: none.
	ConnectTimeout time.Duration `koanf:"connect_timeout_seconds" default:"10" range:"1-300"`
	// Seconds without a byte in either direction until a connection is closed. Zero is refused.
	// Trust: none.
	IdleTimeout time.Duration `koanf:"idle_timeout_seconds" default:"600" range:"1-86400"`
}

// ParentIngress bounds inbound connections.
type ParentIngress struct {
	// Connections open at once; further ones are refused. Zero is refused.
	// Trust: none.
	MaxConnections int `koanf:"max_connections" default:"4096" range:"1-65536"`
	// Seconds until a connection attempt to the enclave is given up. Zero is refused.
	// Trust: none.
	ConnectTimeout time.Duration `koanf:"connect_timeout_seconds" default:"5" range:"1-300"`
	// Seconds without a byte in either direction until a connection is closed. Zero is refused.
	// Trust: none.
	IdleTimeout time.Duration `koanf:"idle_timeout_seconds" default:"600" range:"1-86400"`
}

// ParentLogSink bounds the log stream.
type ParentLogSink struct {
	// Lines passed on each second; further ones are dropped and counted. Zero passes all.
	// Trust: protects the host's disk from the enclave.
	MaxLinesPerSecond int `koanf:"max_lines_per_second" default:"10000" range:"0-1000000"`
}
