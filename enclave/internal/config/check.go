package config

import (
	"net/netip"
	"regexp"
	"slices"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/shared/wire"
)

// checker applies the rules that need more than one value's type and range.
type checker struct {
	*Config
	found   *report
	origins map[string]string
}

// refuse reports a problem of key. The rule is skipped if key, or one of the keys it builds on, has a problem already.
func (c *checker) refuse(key string, basis []string, format string, args ...any) {
	for _, name := range append(basis, key) {
		if c.found.wrong[name] {
			return
		}
	}
	c.found.add(c.origins[key], key, format, args...)
}

func on(keys ...string) []string { return keys }

func (c *checker) all(p process) {
	c.required()
	c.customNetwork()
	c.canaries()
	c.addresses()
	c.ports()
	c.stores()
	c.slashing()
	c.chamber()
	c.tls()
	c.routes()
	c.access()
	c.platform()
	c.custody()
	c.production(p)
}

func (c *checker) required() {
	if c.Network == "" {
		c.refuse("network", nil, "must be set to mainnet, sepolia, hoodi, holesky, gnosis or custom; there is no default, because a signer on the wrong network signs nothing")
	}
	if c.AntiSlashing.Backend == "" {
		c.refuse("anti_slashing.backend", nil, "must be set to postgres, dynamodb, sqlite or noop; there is no default, because it decides whether this signer can vote twice")
	}
}

func (c *checker) addresses() {
	for _, listener := range []struct{ key, address string }{
		{"server.listen_address", c.Server.ListenAddress},
		{"metrics.listen_address", c.Metrics.ListenAddress},
		{"parent.health.listen_address", c.Parent.Health.ListenAddress},
	} {
		if _, err := netip.ParseAddr(listener.address); err != nil {
			c.refuse(listener.key, nil, "want an IP address, such as 127.0.0.1")
		}
	}
}

// ports refuses two listeners on one port, whatever their addresses: a wildcard address would take it from the other.
func (c *checker) ports() {
	type listener struct {
		key  string
		port uint16
	}
	listeners := []listener{{"server.listen_port", c.Server.ListenPort}, {"metrics.listen_port", c.Metrics.ListenPort}}
	if c.TLS.Mode != "disabled" {
		listeners = append(listeners, listener{"tls.listen_port", c.TLS.ListenPort})
	}
	if c.TEE.Platform != "none" {
		listeners = append(listeners, listener{"parent.health.listen_port", c.Parent.Health.ListenPort})
	}
	for i, l := range listeners {
		for _, other := range listeners[:i] {
			if l.port == other.port && l.port != 0 {
				c.refuse(l.key, on(other.key, "tls.mode", "tee.platform"), "port %d is taken by %s", l.port, other.key)
			}
		}
	}
}

// stores checks what the sections say of databases and tables, each in the same way.
func (c *checker) stores() {
	for _, s := range c.servers() {
		c.server(s)
	}
	for _, t := range c.tables() {
		c.table(t)
	}
	c.distinct()
	c.authorities()
}

func (c *checker) tls() {
	if c.TLS.Mode == "file" {
		if c.TLS.File.CertPath == "" {
			c.refuse("tls.file.cert_path", on("tls.mode"), "must be set: tls.mode file reads its certificate there")
		}
		if c.TLS.File.KeyPath == "" {
			c.refuse("tls.file.key_path", on("tls.mode"), "must be set: tls.mode file reads its private key there")
		}
	}
	if c.TLS.ATLS.RotationInterval >= c.TLS.ATLS.CertValidity {
		c.refuse("tls.atls.rotation_interval_seconds", on("tls.atls.cert_validity_seconds"),
			"must be shorter than tls.atls.cert_validity_seconds (%d), or a certificate expires before the next one",
			c.TLS.ATLS.CertValidity/time.Second)
	}
	if c.TLS.Mode == "atls" && c.TEE.Platform == "none" {
		c.refuse("tls.mode", on("tee.platform"), "atls needs an attestation device, which tee.platform none does not have")
	}
}

// portACME is the enclave's listener for ACME HTTP-01.
const portACME = 9081

var (
	routeName = regexp.MustCompile(`^[a-z0-9-]{1,63}$`)
	dnsName   = regexp.MustCompile(`^([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
)

// routes checks the route table. Ranges are checked when the entries are read.
func (c *checker) routes() {
	const key = "tee.egress"
	names, hosts, ports := make(map[string]bool), make(map[Route]bool), make(map[uint32]bool)
	reserved := []uint32{wire.PortInitHeartbeat, wire.PortHealth, portACME, wire.PortAPI}
	for i, r := range c.TEE.Egress {
		endpoint := Route{Host: r.Host, Port: r.Port}
		fault := ""
		switch _, notIP := netip.ParseAddr(r.Host); {
		case !routeName.MatchString(r.Name):
			fault = "name: want 1 to 63 lower case letters, digits and dashes"
		case names[r.Name]:
			fault = "name: " + r.Name + " is taken by an earlier entry"
		case notIP != nil && (len(r.Host) > 253 || !dnsName.MatchString(r.Host)):
			fault = "host: want a DNS name in lower case or an IP address"
		case hosts[endpoint]:
			fault = "host: " + r.Host + " with this port is taken by an earlier entry"
		case slices.Contains(reserved, r.VsockPort):
			fault = "vsock_port: belongs to one of the enclave's own listeners or to the stock init"
		case ports[r.VsockPort]:
			fault = "vsock_port: is taken by an earlier entry"
		}
		if fault != "" {
			c.found.add(c.origins[key], key, "entry %d: %s", i+1, fault)
		}
		names[r.Name], hosts[endpoint], ports[r.VsockPort] = true, true, true
	}
}

var roleARN = regexp.MustCompile(`^arn:aws[a-z-]*:iam::[0-9]{12}:role/[A-Za-z0-9+=,.@_/-]+$`)

// platform holds the promises of tee.platform: what clients may conclude from an attestation document.
func (c *checker) platform() {
	platform := on("tee.platform")
	if c.TEE.RoleARN != "" && !roleARN.MatchString(c.TEE.RoleARN) {
		c.refuse("tee.role_arn", nil, "want the ARN of an IAM role, arn:aws:iam::ACCOUNT:role/NAME")
	}
	if c.TEE.Platform != "none" && c.TLS.Mode != "atls" {
		c.refuse("tls.mode", platform, "tee.platform %s requires atls, because clients know the enclave by nothing else", c.TEE.Platform)
	}
	switch c.TEE.Platform {
	case "simulated":
		if c.TEE.Simulated.SocketDir == "" {
			c.refuse("tee.simulated.socket_dir", platform, "must be set: tee.platform simulated keeps its sockets there")
		}
		if c.TEE.Simulated.StateDir == "" {
			c.refuse("tee.simulated.state_dir", platform, "must be set: tee.platform simulated keeps its development root there")
		}
	case "nitro":
		c.nitro(platform)
	}
}

func (c *checker) nitro(platform []string) {
	c.nitroCustody(platform)
	c.nitroSlashing(platform)
	for _, s := range c.servers() {
		c.hidden(s, platform)
	}
	for _, t := range c.tables() {
		c.owned(t, platform)
	}
	c.verified("on tee.platform nitro", platform)
	c.trustedKMS("on tee.platform nitro", platform)
}

func (c *checker) production(p process) {
	if p.production && p.debug {
		c.found.add(`environment "ENCLAVE_DEBUG"`, "", "refused together with PRODUCTION=true: a debug enclave shows its memory to the host")
	}
	if !p.production {
		return
	}
	if c.TEE.Platform == "simulated" {
		c.refuse("tee.platform", nil, "simulated is refused with PRODUCTION=true: it protects nothing")
	}
	if c.AntiSlashing.Backend == "noop" {
		c.refuse("anti_slashing.backend", nil, "noop is refused with PRODUCTION=true: it records nothing, so that every vote can be made twice")
	}
	c.verified("with PRODUCTION=true", nil)
	c.trustedKMS("with PRODUCTION=true", nil)
}

// verified refuses databases and tables that could be anybody's.
func (c *checker) verified(where string, because []string) {
	for _, s := range c.servers() {
		c.verifiedServer(s, where, because)
	}
	for _, t := range c.tables() {
		c.verifiedTable(t, where, because)
	}
}
