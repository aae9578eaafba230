package config

import "slices"

// NeedRestart names what differs in a newer configuration and is read at start alone: all but the routes with their limits, and what the
// enclave reads.
func (c *Config) NeedRestart(newer *Config) []string {
	var keys []string
	for key, same := range map[string]bool{
		"tee.platform":                           c.Simulated == newer.Simulated,
		"tee.enclave_cid":                        c.EnclaveCID == newer.EnclaveCID,
		"tee.simulated.socket_dir":               c.SocketDir == newer.SocketDir,
		"tls.listen_port":                        c.API == newer.API,
		"server.listen_address and listen_port":  c.Health == newer.Health,
		"metrics.listen_address and listen_port": c.Metrics == newer.Metrics,
		"parent.health":                          c.ParentHealth == newer.ParentHealth,
		"parent.ingress":                         c.Ingress == newer.Ingress,
		"parent.log_sink.max_lines_per_second":   c.MaxLogLines == newer.MaxLogLines,
		"parent.drain_timeout_seconds":           c.Drain == newer.Drain,
		"tls.proxy_protocol":                     c.ProxyProtocol == newer.ProxyProtocol,
		"log.level":                              c.LogLevel == newer.LogLevel,
	} {
		if !same {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}
