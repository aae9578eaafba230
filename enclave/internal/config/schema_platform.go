package config

import "time"

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
	// Whether connections to the TLS listener begin with a PROXY protocol v2 header, which the parent then sends (and any other proxy
	// that stands before a signer without an enclave): logs show the clients' addresses rather than the proxy's.
	// Trust: a proxy says what it likes; the address is for logs, and bounds how many proofs one client may ask for, no more.
	ProxyProtocol bool `koanf:"proxy_protocol" default:"false"`
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
	// ARN of the IAM role whose credentials the parent relays: STS is asked whose they are before they are used, and others are refused. That
	// needs a route to STS in the region. Empty takes those of any role. Platform simulated takes it for the instance's role as well,
	// which PCR3 measures.
	// Trust: measured. It grants nothing by itself; the parent can get the same credentials.
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
	// Whether connections do not begin with TLS: PostgreSQL, which asks for it in its own words, and HTTP, as of the Pod Identity agent.
	// On all others the parent refuses a ClientHello that does not name host.
	Plain bool `koanf:"plain" default:"false" example:"false"`
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

// Parent is what the parent process reads; of it the enclave reads the bounds of egress, which hold on both sides. Nothing is measured:
// the parent is not trusted.
type Parent struct {
	// The parent's own health and metrics listener.
	Health ParentHealth `koanf:"health"`
	// Connections from the enclave to its routes.
	Egress ParentEgress `koanf:"egress"`
	// Connections from clients to the enclave.
	Ingress ParentIngress `koanf:"ingress"`
	// The receiver of the enclave's log lines.
	LogSink ParentLogSink `koanf:"log_sink"`
	// Seconds that open connections may take to end after SIGTERM and server.drain_delay_seconds; best longer than
	// server.drain_timeout_seconds, so that the enclave is done first. Zero cuts them off at once.
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
	// Seconds without a byte until a connection is closed one direction of which has ended. Zero is refused.
	// Trust: none.
	HalfOpenTimeout time.Duration `koanf:"half_open_timeout_seconds" default:"60" range:"1-86400"`
	// Whether routes may lead to this host's loopback. Other addresses of the host and its link are refused always, but for those of the
	// Pod Identity agent and the instance metadata service, written as such. Platform simulated permits loopback without it.
	// Trust: none; it keeps a name server that lies from turning the parent into a door to the host's own services.
	AllowLoopback bool `koanf:"allow_loopback" default:"false"`
}

// ParentIngress bounds inbound connections.
type ParentIngress struct {
	// Connections open at once; further ones are refused. Zero is refused.
	// Trust: none.
	MaxConnections int `koanf:"max_connections" default:"4096" range:"1-65536"`
	// Connections of one client address, a /64 of IPv6 standing for one; further ones are refused. Zero is refused.
	// Trust: none.
	MaxPerSource int `koanf:"max_connections_per_source" default:"1024" range:"1-65536"`
	// Seconds until a connection attempt to the enclave is given up. Zero is refused.
	// Trust: none.
	ConnectTimeout time.Duration `koanf:"connect_timeout_seconds" default:"5" range:"1-300"`
	// Seconds without a byte in either direction until a connection is closed. Zero is refused.
	// Trust: none.
	IdleTimeout time.Duration `koanf:"idle_timeout_seconds" default:"600" range:"1-86400"`
	// Seconds without a byte until a connection is closed one direction of which has ended. Zero is refused.
	// Trust: none.
	HalfOpenTimeout time.Duration `koanf:"half_open_timeout_seconds" default:"60" range:"1-86400"`
}

// ParentLogSink bounds the log stream.
type ParentLogSink struct {
	// Lines passed on each second; further ones are dropped and counted. Zero passes all.
	// Trust: protects the host's disk from the enclave.
	MaxLinesPerSecond int `koanf:"max_lines_per_second" default:"10000" range:"0-1000000"`
}
