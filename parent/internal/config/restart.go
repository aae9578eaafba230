package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// NeedRestart names what differs in a newer configuration and is read at start alone: all but the routes with their limits, what the
// enclave reads, and what [Config.Contradicts] judges.
func (c *Config) NeedRestart(newer *Config) []string {
	return differing(map[string]bool{
		"tls.listen_port":                        c.API == newer.API,
		"server.listen_address and listen_port":  c.Health == newer.Health,
		"metrics.listen_address and listen_port": c.Metrics == newer.Metrics,
		"parent.health":                          c.ParentHealth == newer.ParentHealth,
		"parent.ingress":                         c.Ingress == newer.Ingress,
		"parent.log_sink.max_lines_per_second":   c.MaxLogLines == newer.MaxLogLines,
		"server.drain_delay_seconds":             c.DrainDelay == newer.DrainDelay,
		"parent.drain_timeout_seconds":           c.Drain == newer.Drain,
		"log.level":                              c.LogLevel == newer.LogLevel,
	})
}

// Contradicts returns an error if a newer configuration cannot be used by a parent that runs, not even in part: with it, some listeners
// would look for another enclave than others, or the next enclave would expect what this parent does not send.
func (c *Config) Contradicts(newer *Config) error {
	keys := differing(map[string]bool{
		"tee.platform":             c.Simulated == newer.Simulated,
		"tee.enclave_cid":          c.EnclaveCID == newer.EnclaveCID,
		"tee.simulated.socket_dir": c.SocketDir == newer.SocketDir,
		"tls.proxy_protocol":       c.ProxyProtocol == newer.ProxyProtocol,
	})
	if len(keys) == 0 {
		return nil
	}
	return fmt.Errorf("%s: cannot change while the parent runs, restart it", strings.Join(keys, ", "))
}

// differing are the keys of what is not the same.
func differing(same map[string]bool) []string {
	maps.DeleteFunc(same, func(_ string, same bool) bool { return same })
	return slices.Sorted(maps.Keys(same))
}
