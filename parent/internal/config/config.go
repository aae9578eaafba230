// Package config merges the configuration that both processes read and checks what the parent itself needs.
package config

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/v2"
	"go.yaml.in/yaml/v3"

	"github.com/unforeseen-consequences/containment-chamber/shared/wire"
)

// Config is what the parent runs on. Only [Load] makes one; nobody checks again.
type Config struct {
	// Merged is the YAML that the enclave gets: file, environment and flags in one, keys sorted, comments dropped,
	// values as written. At most [wire.MaxConfiguration] bytes. The enclave checks it as if it came from an enemy.
	Merged []byte

	// Simulated is true for tee.platform simulated, false for nitro. No other platform has a parent.
	Simulated bool
	// EnclaveCID is the enclave's context identifier (tee.enclave_cid, 16): what ingress dials, and the only peer that
	// egress, log sink and boot service admit.
	EnclaveCID uint32
	// SocketDir is the directory of the unix sockets of platform simulated. Whoever writes there can take the place of either process.
	SocketDir string
	// Routes is the route table (tee.egress): the only endpoints that anything from the enclave is passed on to.
	Routes []wire.Route

	// TCP addresses, HOST:PORT; port 0 takes any free one. API is server.listen_address with tls.listen_port (127.0.0.1:9443), Health
	// that address with server.listen_port (9000), Metrics is metrics.listen_address with metrics.listen_port (0.0.0.0:3000).
	API, Health, Metrics string
	// ParentHealth serves health and metrics of this process (parent.health, 127.0.0.1:3001).
	ParentHealth string

	// ProxyProtocol has connections to the API begin with a header that tells the client's address (tls.proxy_protocol, false).
	ProxyProtocol bool
	// Egress bounds each route (parent.egress), Ingress each entrance (parent.ingress).
	Egress, Ingress Limits
	// AllowLoopback permits routes to this host (parent.egress.allow_loopback, false; true for platform simulated).
	AllowLoopback bool
	// MaxLogLines is how many lines the log sink passes on in a second (parent.log_sink.max_lines_per_second, 10000; 0: no limit).
	MaxLogLines int
	// DrainDelay is how long clients are still taken in after SIGTERM, while the enclave asks them to leave (server.drain_delay_seconds, 0).
	DrainDelay time.Duration
	// Drain is how long open connections may take to end after that (parent.drain_timeout_seconds, 20; 0 cuts them at once).
	Drain time.Duration
	// LogLevel is debug, info, warn or error (log.level, info).
	LogLevel string
}

// Limits bound one listener.
type Limits struct {
	// MaxConnections is how many live at a time (1024 outbound, 4096 inbound).
	MaxConnections int
	// MaxPerSource is how many of them one client address may have (1024 inbound; outbound there is one client).
	MaxPerSource int
	// ConnectTimeout bounds a dial (10 s outbound, 5 s inbound).
	ConnectTimeout time.Duration
	// IdleTimeout ends a connection without a byte in either direction (600 s).
	IdleTimeout time.Duration
	// HalfOpenTimeout does so once one direction has ended (60 s).
	HalfOpenTimeout time.Duration
}

// Load reads the file at path, lays environ ("NAME=value") over it and sets ("key.path=value") over that. Every problem is in
// the error, one per line, with its place, its key and the reason. Keys outside tee and parent that the parent does not
// read are passed on unjudged.
func Load(path string, environ, sets []string) (*Config, error) {
	tree, err := readFile(path)
	if err != nil {
		return nil, err
	}
	merged := koanf.New(".")
	if err := merged.Load(confmap.Provider(tree, ""), nil); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	origins, err := override(merged, environ, sets)
	if err != nil {
		return nil, err
	}
	r := &reader{file: path, values: merged.Raw(), origins: origins}
	cfg := r.read()
	r.production(cfg.Simulated, environ)
	if err := errors.Join(r.problems...); err != nil {
		return nil, err
	}
	if cfg.Merged, err = yaml.Marshal(r.values); err != nil {
		return nil, fmt.Errorf("%s: write the merged configuration: %w", path, err)
	}
	if len(cfg.Merged) > wire.MaxConfiguration {
		return nil, fmt.Errorf("%s: merged with environment and flags it has %d bytes, more than %d", path, len(cfg.Merged), wire.MaxConfiguration)
	}
	return cfg, nil
}

func readFile(path string) (map[string]any, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	defer f.Close() //nolint:errcheck // read only
	text, err := io.ReadAll(io.LimitReader(f, wire.MaxConfiguration+1))
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	if len(text) > wire.MaxConfiguration {
		return nil, fmt.Errorf("%s: larger than %d bytes", path, wire.MaxConfiguration)
	}
	return parse(path, text)
}

// read reads every key that is the parent's.
func (r *reader) read() *Config {
	cfg := &Config{
		EnclaveCID:  uint32(r.number("tee.enclave_cid", 16, 4, 1<<32-2)),
		MaxLogLines: int(r.number("parent.log_sink.max_lines_per_second", 10_000, 0, 1_000_000)),
		DrainDelay:  r.seconds("server.drain_delay_seconds", 0, 0, 600),
		Drain:       r.seconds("parent.drain_timeout_seconds", 20, 0, 600),
		LogLevel:    r.choice("log.level", "info", "debug", "info", "warn", "error"),
		Egress:      r.limits("parent.egress", 1024, 10),
		Ingress:     r.limits("parent.ingress", 4096, 5),
	}
	server := r.address("server.listen_address", "127.0.0.1")
	cfg.API = join(server, r.number("tls.listen_port", 9443, 0, 65535))
	cfg.Health = join(server, r.number("server.listen_port", 9000, 0, 65535))
	cfg.Metrics = join(r.address("metrics.listen_address", "0.0.0.0"), r.number("metrics.listen_port", 3000, 0, 65535))
	cfg.ParentHealth = join(r.address("parent.health.listen_address", "127.0.0.1"), r.number("parent.health.listen_port", 3001, 0, 65535))
	cfg.Routes = r.routes()
	cfg.Ingress.MaxPerSource = int(r.number("parent.ingress.max_connections_per_source", 1024, 1, 65536))
	cfg.ProxyProtocol = r.boolean("tls.proxy_protocol", false)
	cfg.AllowLoopback = r.boolean("parent.egress.allow_loopback", false)
	cfg.SocketDir = r.text("tee.simulated.socket_dir", "")

	const platform = "tee.platform"
	r.known = append(r.known, platform, "tee.role_arn", "tee.simulated.state_dir") // the last two are the enclave's
	r.unknown("tee", "parent")
	switch r.choice(platform, "none", "none", "nitro", "simulated") {
	case "none":
		if _, ok := r.section("tee"); ok {
			r.add(platform, "none needs no parent: the signer runs alone; want nitro or simulated")
		}
	case "simulated":
		cfg.Simulated, cfg.AllowLoopback = true, true
		if cfg.SocketDir == "" {
			r.add("tee.simulated.socket_dir", "must be set: tee.platform simulated keeps its sockets there")
		}
	}
	return cfg
}

func (r *reader) limits(section string, connections, connect int64) Limits {
	return Limits{
		MaxConnections:  int(r.number(section+".max_connections", connections, 1, 65536)),
		ConnectTimeout:  r.seconds(section+".connect_timeout_seconds", connect, 1, 300),
		IdleTimeout:     r.seconds(section+".idle_timeout_seconds", 600, 1, 86400),
		HalfOpenTimeout: r.seconds(section+".half_open_timeout_seconds", 60, 1, 86400),
	}
}

func join(host string, port int64) string {
	return net.JoinHostPort(host, strconv.FormatInt(port, 10))
}
