// Package wire is the agreement between the enclave and its parent: ports, boot protocol, log lines.
package wire

import "time"

// Vsock ports, wire constants. 9000 on the parent belongs to the boot heartbeat of the stock init and is never used.
const (
	// PortLogs is the parent's log sink.
	PortLogs uint32 = 7000
	// PortBoot is the parent's boot service.
	PortBoot uint32 = 7001
	// PortEgressFirst is the first port that egress routes take; each route names its own.
	PortEgressFirst uint32 = 8001
	// PortAPI is the enclave's API over TLS; TCP 9443 outside.
	PortAPI uint32 = 9443
	// PortHealth is the enclave's plaintext health; TCP 9000 outside.
	PortHealth uint32 = 9080
	// PortMetrics is the enclave's metrics; TCP 3000 outside.
	PortMetrics uint32 = 3000
	// PortInitHeartbeat is taken by the stock init at start.
	PortInitHeartbeat uint32 = 9000
)

// Release is the release that this source makes. Parent and enclave of one release belong together, and attestation documents
// name it.
const Release = "0.1.0"

const (
	// MaxConfiguration is the largest configuration the boot service hands over, 1 MiB: a route table of
	// several thousand endpoints fits, and nothing larger is read from an untrusted parent.
	MaxConfiguration = 1 << 20
	// MaxLogLine is the longest log line, 64 KiB with its newline.
	MaxLogLine = 64 << 10
	// HeartbeatEvery is the time between two heartbeats of the enclave.
	HeartbeatEvery = 5 * time.Second
	// HeartbeatLost is how long either side waits for a heartbeat before it takes the other for gone.
	HeartbeatLost = 3 * HeartbeatEvery
)

// Route is one outbound endpoint, the same entry for both sides: the enclave dials VsockPort on the parent,
// the parent dials Host:Port.
type Route struct {
	Name      string // unique, lower case letters, digits and dashes
	Host      string // DNS name or IP address, as the enclave's client names it
	Port      uint16
	VsockPort uint32
	// Plain marks an endpoint whose clients do not begin with a TLS ClientHello: PostgreSQL, which asks for TLS in its own words, and
	// HTTP. On all others the parent looks whether the ClientHello names Host.
	Plain bool
}
