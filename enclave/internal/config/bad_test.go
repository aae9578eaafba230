package config

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/shared/wire"
)

// refused loads and returns the lines of the error.
func refused(t *testing.T, s Sources) []string {
	t.Helper()
	c, err := Load(s)
	if err == nil || c != nil {
		t.Fatalf("got %+v, %v; want an error alone", c, err)
	}
	return strings.Split(err.Error(), "\n")
}

// TestBadYAML expects each text to be refused with exactly these words.
func TestBadYAML(t *testing.T) {
	const c = "configuration:"
	for _, test := range []struct {
		name, yaml string
		want       []string
	}{
		{"empty", "", []string{
			"network: must be set to mainnet, sepolia, hoodi, holesky, gnosis or custom; there is no default, because a signer on the wrong network signs nothing",
			"anti_slashing.backend: must be set to postgres, dynamodb, sqlite or noop; there is no default, because it decides whether this signer can vote twice",
		}},
		{"malformed in line 1", "network: [", []string{c + "1: malformed YAML: did not find expected node content"}},
		{"malformed in line 3", least + "tls: mode: file\n", []string{c + "3: malformed YAML: mapping values are not allowed in this context"}},
		{"tab", least + "tls:\n\tmode: file\n", []string{c + "4: malformed YAML: found character that cannot start any token"}},
		{"not UTF-8", least + "\n\xff: 1\n", []string{c + "4: not valid UTF-8"}},
		{"unknown anchor", least + "tls: *a\n", []string{c + "1: malformed YAML: unknown anchor 'a' referenced"}},
		{"second document", least + "---\nnetwork: hoodi\n", []string{c + "3: a second document begins here, want one"}},
		{"malformed second document", least + "---\n[", []string{c + "4: malformed YAML: did not find expected node content"}},
		{"list", "- network\n", []string{
			c + "1: want a mapping of keys",
			"network: must be set to mainnet, sepolia, hoodi, holesky, gnosis or custom; there is no default, because a signer on the wrong network signs nothing",
			"anti_slashing.backend: must be set to postgres, dynamodb, sqlite or noop; there is no default, because it decides whether this signer can vote twice",
		}},
		{"text for a section", least + "server: 9000\n", []string{c + "3: server: want a mapping of keys"}},
		{"section for a value", "network: {name: hoodi}\nanti_slashing: {backend: noop}\n", []string{c + "1: network: want one of mainnet, sepolia, hoodi, holesky, gnosis, custom"}},
		{"unknown key at the top", least + "netwerk: hoodi\n", []string{c + "3: netwerk: unknown key, nearest known: network"}},
		{"misspelt required key", "netwerk: hoodi\nanti_slashing: {backend: noop}\n", []string{c + "1: netwerk: unknown key, nearest known: network"}},
		{"unknown key below", least + "server:\n  listen_prot: 1\n", []string{c + "4: server.listen_prot: unknown key, nearest known: server.listen_port"}},
		{"old section name", "network: hoodi\nantislashing: {backend: noop}\n", []string{
			c + "2: antislashing: unknown key, nearest known: anti_slashing",
			"anti_slashing.backend: must be set to postgres, dynamodb, sqlite or noop; there is no default, because it decides whether this signer can vote twice",
		}},
		{"dotted key", least + "server.listen_port: 1\n", []string{c + "3: server.listen_port: unknown key: a dot does not separate keys in YAML, nest them"}},
		{"merge key", least + "<<: {server: 1}\n", []string{c + `3: "<<": unknown key, nearest known: log`}},
		{"key that forges a line", least + `"a\nb": 1` + "\n", []string{c + `3: "a\nb": unknown key, nearest known: auth`}},
		{"key that is no name", least + "? [a]\n: 1\n", []string{c + "3: a key must be a plain name"}},
		{"set twice", least + "network: mainnet\n", []string{c + "3: network: set twice, first in line 1"}},
		{"section twice", least + "server: {listen_port: 1}\nserver: {listen_port: 1}\n", []string{c + "4: server: set twice, first in line 3"}},
		{"alias", least + "log: {level: &a debug}\nauth: {mode: *a}\n", []string{c + "4: auth.mode: aliases are not accepted"}},
		{"alias of a section", least + "log: &a {level: debug}\nauth: *a\n", []string{c + "4: auth: want a mapping of keys"}},
		{"text for a number", least + "server:\n  listen_port: http\n", []string{c + "4: server.listen_port: want a whole number from 0 to 65535"}},
		{"too large", least + "server: {listen_port: 65536}\n", []string{c + "3: server.listen_port: want a whole number from 0 to 65535"}},
		{"beyond 64 bits", least + "log: {buffer_lines: 99999999999999999999}\n", []string{c + "3: log.buffer_lines: want a whole number from 1 to 1000000"}},
		{"zero where it is refused", least + "log: {buffer_lines: 0}\n", []string{c + "3: log.buffer_lines: want a whole number from 1 to 1000000"}},
		{"negative", least + "server: {drain_timeout_seconds: -1}\n", []string{c + "3: server.drain_timeout_seconds: want a whole number from 0 to 600"}},
		{"fraction", least + "server: {listen_port: 9000.0}\n", []string{c + "3: server.listen_port: want a whole number from 0 to 65535"}},
		{"hexadecimal", least + "server: {listen_port: 0x2328}\n", []string{c + "3: server.listen_port: want a whole number from 0 to 65535"}},
		{"leading zero", least + "server: {listen_port: 010}\n", []string{c + "3: server.listen_port: want a whole number from 0 to 65535"}},
		{"duration with unit", least + "server: {drain_timeout_seconds: 15s}\n", []string{c + "3: server.drain_timeout_seconds: want a whole number from 0 to 600"}},
		{"list for a number", least + "server: {listen_port: [1]}\n", []string{c + "3: server.listen_port: want a whole number from 0 to 65535"}},
		{"number for text", least + "tls: {file: {cert_path: 12}}\n", []string{c + "3: tls.file.cert_path: want text, found int: put it in quotes"}},
		{"boolean for text", least + "tls: {file: {cert_path: true}}\n", []string{c + "3: tls.file.cert_path: want text, found bool: put it in quotes"}},
		{"boolean for a choice", least + "log: {level: true}\n", []string{c + "3: log.level: want one of debug, info, warn, error"}},
		{"custom tag", least + "tls: {file: {cert_path: !x y}}\n", []string{c + "3: tls.file.cert_path: want text, found x: put it in quotes"}},
		{"no value", "network:\nanti_slashing: {backend: noop}\n", []string{c + "1: network: has no value, want one of mainnet, sepolia, hoodi, holesky, gnosis, custom"}},
		{"unknown network", "network: goerli\nanti_slashing: {backend: noop}\n", []string{c + "1: network: want one of mainnet, sepolia, hoodi, holesky, gnosis, custom"}},
		{"empty choice", least + "tls: {mode: ''}\n", []string{c + "3: tls.mode: want one of disabled, file, atls"}},
		{"control character", least + `tls: {file: {cert_path: "a\u001b[2J"}}` + "\n", []string{c + "3: tls.file.cert_path: control characters are not accepted"}},
		{"number in a list", least + "key_sources: {filesystem: {paths: [/a, 1]}}\n", []string{c + "3: key_sources.filesystem.paths: item 2: want text, found int: put it in quotes"}},
		{"empty text in a list", least + "key_sources: {filesystem: {paths: ['']}}\n", []string{c + "3: key_sources.filesystem.paths: item 1: is empty"}},
		{"empty item", least + "key_sources: {filesystem: {paths: '/a,,/b'}}\n", []string{c + "3: key_sources.filesystem.paths: want a list of texts, found an empty item"}},
		{"mapping for a list", least + "key_sources: {filesystem: {paths: {a: b}}}\n", []string{c + "3: key_sources.filesystem.paths: want a list of texts"}},
		{"word for a switch", least + "http: {experimental: {batch_sign: yes}}\n", []string{c + "3: http.experimental.batch_sign: want true or false"}},
		{"switch in upper case", least + "http: {experimental: {batch_sign: True}}\n", []string{c + "3: http.experimental.batch_sign: want true or false"}},
		{"number for a switch", least + "http: {experimental: {batch_sign: 1}}\n", []string{c + "3: http.experimental.batch_sign: want true or false"}},
		{"empty switch", least + "http: {experimental: {batch_sign: ''}}\n", []string{c + "3: http.experimental.batch_sign: want true or false"}},
		{"switch without value", least + "http: {experimental: {batch_sign: }}\n", []string{c + "3: http.experimental.batch_sign: has no value, want true or false"}},
		{"list for a switch", least + "http: {experimental: {batch_sign: [true]}}\n", []string{c + "3: http.experimental.batch_sign: want true or false"}},
		{"switch for a section", least + "http: {experimental: true}\n", []string{c + "3: http.experimental: want a mapping of keys"}},
		{"no requests at all", least + "http: {max_concurrent_requests: 0}\n", []string{c + "3: http.max_concurrent_requests: want a whole number from 1 to 65536"}},
		{"write that is too long", "network: hoodi\nanti_slashing: {backend: noop, write_timeout_seconds: 11}\n", []string{c + "2: anti_slashing.write_timeout_seconds: want a whole number from 1 to 10"}},
		{"host name for an address", least + "server: {listen_address: localhost}\n", []string{c + "3: server.listen_address: want an IP address, such as 127.0.0.1"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := refused(t, Sources{YAML: []byte(test.yaml)})
			if strings.Join(got, "\n") != strings.Join(test.want, "\n") {
				t.Errorf("got\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(test.want, "\n\t"))
			}
		})
	}
}

func TestBadRoutes(t *testing.T) {
	const want = "want a list of entries with name, host, port, vsock_port"
	const good = "{name: a, host: a.b, port: 1, vsock_port: 8001}"
	for _, test := range []struct{ name, egress, want string }{
		{"text", "kms", want},
		{"mapping", good, want},
		{"list of texts", "[kms]", "entry 1: " + want},
		{"no port", "[" + good + ", {name: b, host: b.b, vsock_port: 8002}]", "entry 2: has no port"},
		{"unknown field", "[{name: a, host: a.b, port: 1, vsock_prot: 8001}]", "vsock_prot: unknown key, nearest known: vsock_port"},
		{"field twice", "[{name: a, name: a, host: a.b, port: 1, vsock_port: 8001}]", "tee.egress.name: set twice, first in line 3"},
		{"port zero", "[{name: a, host: a.b, port: 0, vsock_port: 8001}]", "tee.egress.port: want a whole number from 1 to 65535"},
		{"vsock port of the log sink", "[{name: a, host: a.b, port: 1, vsock_port: 7000}]", "tee.egress.vsock_port: want a whole number from 8001 to 4294967294"},
		{"vsock port of the stock init", "[{name: a, host: a.b, port: 1, vsock_port: 9000}]", "entry 1: vsock_port: belongs to one of the enclave's own listeners or to the stock init"},
		{"vsock port of the API", "[{name: a, host: a.b, port: 1, vsock_port: 9443}]", "entry 1: vsock_port: belongs to"},
		{"vsock port of health", "[{name: a, host: a.b, port: 1, vsock_port: 9080}]", "entry 1: vsock_port: belongs to"},
		{"vsock port of ACME", "[{name: a, host: a.b, port: 1, vsock_port: 9081}]", "entry 1: vsock_port: belongs to"},
		{"vsock port twice", "[" + good + ", {name: b, host: b.b, port: 1, vsock_port: 8001}]", "entry 2: vsock_port: is taken by an earlier entry"},
		{"name twice", "[" + good + ", {name: a, host: b.b, port: 1, vsock_port: 8002}]", "entry 2: name: a is taken by an earlier entry"},
		{"endpoint twice", "[" + good + ", {name: b, host: a.b, port: 1, vsock_port: 8002}]", "entry 2: host: a.b with this port is taken by an earlier entry"},
		{"name in upper case", "[{name: KMS, host: a.b, port: 1, vsock_port: 8001}]", "entry 1: name: want 1 to 63 lower case letters, digits and dashes"},
		{"URL for a host", "[{name: a, host: 'https://a.b', port: 1, vsock_port: 8001}]", "entry 1: host: want a DNS name in lower case or an IP address"},
		{"host with a line break", `[{name: a, host: "a.b\n127.0.0.1 evil", port: 1, vsock_port: 8001}]`, "tee.egress.host: control characters are not accepted"},
		{"empty host", "[{name: a, host: '', port: 1, vsock_port: 8001}]", "entry 1: host: want a DNS name"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := refused(t, Sources{YAML: []byte(least + "tee: {egress: " + test.egress + "}\n")})
			if !strings.HasPrefix(got[0], "configuration:3: tee.egress") || !strings.Contains(got[0], test.want) {
				t.Errorf("got\n\t%s\nwant %q", strings.Join(got, "\n\t"), test.want)
			}
		})
	}
}

func TestBadEnvironmentAndFlags(t *testing.T) {
	for _, test := range []struct {
		name    string
		environ []string
		flags   []string
		want    string
	}{
		{"unknown variable", []string{"CONTAINMENT_NETWERK=hoodi"}, nil, `environment "CONTAINMENT_NETWERK": netwerk: unknown key, nearest known: network`},
		{"variable without double underscore", []string{"CONTAINMENT_SERVER_LISTEN_PORT=1"}, nil, `environment "CONTAINMENT_SERVER_LISTEN_PORT": server_listen_port: unknown key, nearest known: server.listen_port`},
		{"misspelt variable like a service's", []string{"CONTAINMENT_SERVER__LISTN_PORT=1"}, nil, `environment "CONTAINMENT_SERVER__LISTN_PORT": server.listn_port: unknown key, nearest known: server.listen_port`},
		{"wrong type", []string{"CONTAINMENT_SERVER__LISTEN_PORT=x"}, nil, `environment "CONTAINMENT_SERVER__LISTEN_PORT": server.listen_port: want a whole number from 0 to 65535`},
		{"switch that is neither", []string{"CONTAINMENT_HTTP__EXPERIMENTAL__BATCH_SIGN=on"}, nil, `environment "CONTAINMENT_HTTP__EXPERIMENTAL__BATCH_SIGN": http.experimental.batch_sign: want true or false`},
		{"empty switch", []string{"CONTAINMENT_HTTP__EXPERIMENTAL__BATCH_SIGN="}, nil, `environment "CONTAINMENT_HTTP__EXPERIMENTAL__BATCH_SIGN": http.experimental.batch_sign: want true or false`},
		{"switch by a flag that is neither", nil, []string{"--http-experimental-batch-sign=1"}, "flag --http-experimental-batch-sign: http.experimental.batch_sign: want true or false"},
		{"custom network beside another", []string{"CONTAINMENT_CUSTOM_NETWORK__SLOTS_PER_EPOCH=32"}, nil, `environment "CONTAINMENT_CUSTOM_NETWORK__SLOTS_PER_EPOCH": custom_network.slots_per_epoch: describes network custom, but network is hoodi`},
		{"forks", []string{"CONTAINMENT_CUSTOM_NETWORK__FORKS=altair"}, nil, `environment "CONTAINMENT_CUSTOM_NETWORK__FORKS": custom_network.forks: want a list of entries with name, version`},
		{"canary key that is none", nil, []string{"--signing-canary-keys=0x12"}, "flag --signing-canary-keys: signing.canary_keys: item 1: want a public key"},
		{"section", []string{"CONTAINMENT_SERVER=x"}, nil, `environment "CONTAINMENT_SERVER": server: unknown key, nearest known: server`},
		{"routes", []string{"CONTAINMENT_TEE__EGRESS=[]"}, nil, `environment "CONTAINMENT_TEE__EGRESS": tee.egress: want a list of entries with name, host, port, vsock_port`},
		{"set twice", []string{"CONTAINMENT_LOG__LEVEL=info", "CONTAINMENT_log__level=debug"}, nil, `environment "CONTAINMENT_log__level": log.level: set twice, also by environment "CONTAINMENT_LOG__LEVEL"`},
		{"not UTF-8", []string{"CONTAINMENT_TLS__FILE__CERT_PATH=\xff"}, nil, `environment "CONTAINMENT_TLS__FILE__CERT_PATH": tls.file.cert_path: not valid UTF-8`},
		{"misspelt switch", []string{"PRODUCTION=yes"}, nil, `environment "PRODUCTION": want true or false`},
		{"debug in production", []string{"PRODUCTION=true", "ENCLAVE_DEBUG=1"}, nil, `environment "ENCLAVE_DEBUG": refused together with PRODUCTION=true`},
		{"flag of a wrong type", nil, []string{"--server-listen-port=x"}, "flag --server-listen-port: server.listen_port: want a whole number from 0 to 65535"},
		{"flag and its alias", nil, []string{"--filesystem-keystores-path=/a", "--key-sources-filesystem-paths=/b"}, "flag --filesystem-keystores-path: key_sources.filesystem.paths: set twice, also by flag --key-sources-filesystem-paths"},
		{"rule against a flag", nil, []string{"--tls-mode=atls"}, "flag --tls-mode: tls.mode: atls needs an attestation device"},
	} {
		t.Run(test.name, func(t *testing.T) {
			yaml := "network: hoodi\nanti_slashing: {backend: sqlite, sqlite: {path: x}}\n"
			got := refused(t, Sources{YAML: []byte(yaml), Environ: test.environ, Flags: flags(t, test.flags...)})
			if len(got) != 1 || !strings.HasPrefix(got[0], test.want) {
				t.Errorf("got\n\t%s\nwant %q", strings.Join(got, "\n\t"), test.want)
			}
		})
	}
}

func TestFoldedCertificates(t *testing.T) {
	lines := strings.Join(strings.Fields(strings.NewReplacer("BEGIN CERT", "BEGIN_CERT", "END CERT", "END_CERT").Replace(examplePEM)), "\n    ")
	lines = strings.NewReplacer("_", " ").Replace(lines)
	c := loadYAML(t, "network: hoodi\nanti_slashing:\n  backend: noop\n  ca_pem: >-\n    "+lines+"\n    "+lines+"\n")
	if cas, err := c.AntiSlashing.CAs(); err != nil || cas == nil {
		t.Errorf("got %v, %v", cas, err)
	}
	if cas, err := loadYAML(t, least).AntiSlashing.CAs(); err != nil || cas != nil {
		t.Errorf("without certificates: %v, %v", cas, err)
	}
}

func TestAllProblemsAtOnce(t *testing.T) {
	got := refused(t, Sources{
		YAML:    []byte("netwerk: hoodi\ntls: {mode: atlas}\ntee: {platform: nitro}\nanti_slashing: {backend: sqlite}\n"),
		Environ: []string{"CONTAINMENT_LOG__LEVEL=loud"},
		Flags:   flags(t, "--server-listen-port=http"),
	})
	want := []string{
		"configuration:1: netwerk: unknown key, nearest known: network",
		"configuration:2: tls.mode: want one of disabled, file, atls",
		`environment "CONTAINMENT_LOG__LEVEL": log.level: want one of debug, info, warn, error`,
		"flag --server-listen-port: server.listen_port: want a whole number from 0 to 65535",
		"anti_slashing.sqlite.path: must be set: anti_slashing.backend sqlite keeps its record there",
		"auth.mode: open is refused on tee.platform nitro",
		"signer_state.backend: must be set on tee.platform nitro",
		"chamber.kms_key_arns: must be set on tee.platform nitro",
		"tee.role_arn: must be set on tee.platform nitro",
		"configuration:4: anti_slashing.backend: sqlite is refused on tee.platform nitro",
	}
	if len(got) != len(want) {
		t.Fatalf("got\n\t%s", strings.Join(got, "\n\t"))
	}
	for i := range want {
		if !strings.HasPrefix(got[i], want[i]) {
			t.Errorf("line %d: got %q, want %q", i+1, got[i], want[i])
		}
	}
}

func TestBadFiles(t *testing.T) {
	dir := t.TempDir()
	large := filepath.Join(dir, "large.yaml")
	if err := os.WriteFile(large, bytes.Repeat([]byte("#"), wire.MaxConfiguration+1), 0o600); err != nil {
		t.Fatal(err)
	}
	broken := filepath.Join(dir, "broken.yaml")
	if err := os.WriteFile(broken, []byte("a: b: c\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	missing := filepath.Join(dir, "missing.yaml")
	for _, test := range []struct {
		sources Sources
		want    string
	}{
		{Sources{Path: missing}, "read configuration: open " + missing + ": no such file or directory"},
		{Sources{Path: dir}, "read configuration: read " + dir + ": is a directory"},
		{Sources{Path: large}, large + ": larger than 1048576 bytes"},
		{Sources{Path: broken}, broken + ":1: malformed YAML: mapping values are not allowed in this context"},
		{Sources{Path: broken, YAML: []byte(least)}, "configuration is given both as a file and as bytes"},
		{Sources{YAML: bytes.Repeat([]byte("#"), wire.MaxConfiguration+1)}, "configuration: larger than 1048576 bytes"},
	} {
		if got := refused(t, test.sources); len(got) != 1 || got[0] != test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
}
