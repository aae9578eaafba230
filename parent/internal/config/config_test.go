package config

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/unforeseen-consequences/containment-chamber/shared/wire"
)

const least = "tee: {platform: nitro}\n"

// write puts text into a file called config.yaml and returns its path.
func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func load(t *testing.T, text string, environ, sets []string) *Config {
	t.Helper()
	c, err := Load(write(t, text), environ, sets)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestDefaults(t *testing.T) {
	want := &Config{
		Merged:       []byte("tee:\n    platform: nitro\n"),
		EnclaveCID:   16,
		API:          "127.0.0.1:9443",
		Health:       "127.0.0.1:9000",
		Metrics:      "0.0.0.0:3000",
		ParentHealth: "127.0.0.1:3001",
		Egress:       Limits{MaxConnections: 1024, ConnectTimeout: 10 * time.Second, IdleTimeout: 10 * time.Minute, HalfOpenTimeout: time.Minute},
		Ingress:      Limits{MaxConnections: 4096, MaxPerSource: 1024, ConnectTimeout: 5 * time.Second, IdleTimeout: 10 * time.Minute, HalfOpenTimeout: time.Minute},
		MaxLogLines:  10_000,
		Drain:        20 * time.Second,
		LogLevel:     "info",
	}
	if diff := cmp.Diff(want, load(t, least, nil, nil)); diff != "" {
		t.Error(diff)
	}
}

func TestEveryKeyIsRead(t *testing.T) {
	c := load(t, `
server: {listen_address: "::1", listen_port: 1, drain_delay_seconds: 15}
tls: {listen_port: 2, proxy_protocol: true}
metrics: {listen_address: 127.0.0.2, listen_port: 3}
log: {level: debug}
tee:
  platform: simulated
  enclave_cid: 17
  role_arn: arn
  simulated: {socket_dir: /run/vsock, state_dir: /run/state}
  egress:
    - {name: kms, host: kms.eu-central-1.amazonaws.com, port: 443, vsock_port: 8001}
    - {name: db, host: "2001:db8::1", port: 5432, vsock_port: 8002, plain: true}
parent:
  health: {listen_address: 127.0.0.3, listen_port: 4}
  egress: {max_connections: 5, connect_timeout_seconds: 6, idle_timeout_seconds: 7, half_open_timeout_seconds: 12, allow_loopback: false}
  ingress: {max_connections: 8, connect_timeout_seconds: 9, idle_timeout_seconds: 10, half_open_timeout_seconds: 13, max_connections_per_source: 14}
  log_sink: {max_lines_per_second: 0}
  drain_timeout_seconds: 11
`, nil, nil)
	c.Merged = nil
	want := &Config{
		Simulated: true, EnclaveCID: 17, SocketDir: "/run/vsock",
		Routes: []wire.Route{
			{Name: "kms", Host: "kms.eu-central-1.amazonaws.com", Port: 443, VsockPort: 8001},
			{Name: "db", Host: "2001:db8::1", Port: 5432, VsockPort: 8002, Plain: true},
		},
		API: "[::1]:2", Health: "[::1]:1", Metrics: "127.0.0.2:3", ParentHealth: "127.0.0.3:4",
		Egress:        Limits{MaxConnections: 5, ConnectTimeout: 6 * time.Second, IdleTimeout: 7 * time.Second, HalfOpenTimeout: 12 * time.Second},
		Ingress:       Limits{MaxConnections: 8, ConnectTimeout: 9 * time.Second, IdleTimeout: 10 * time.Second, HalfOpenTimeout: 13 * time.Second, MaxPerSource: 14},
		ProxyProtocol: true, AllowLoopback: true, // on a laptop
		DrainDelay: 15 * time.Second, Drain: 11 * time.Second, LogLevel: "debug",
	}
	if diff := cmp.Diff(want, c); diff != "" {
		t.Error(diff)
	}
}

func TestLaterSourcesOverride(t *testing.T) {
	text := "network: hoodi\nlog:\ntls: {listen_port: 1}\ntee: {platform: nitro, enclave_cid: 20}\n"
	environ := []string{
		"CONTAINMENT_TEE__ENCLAVE_CID=21", "CONTAINMENT_TLS__LISTEN_PORT=2", "CONTAINMENT_LOG__LEVEL=warn", "CONTAINMENT_NETWORK=mainnet",
		"CONTAINMENT_KEY_SOURCES__FILESYSTEM__PATHS=/a,/b", "HOME=/root",
		"CONTAINMENT_CHAMBER_SERVICE_HOST=10.0.0.1", "CONTAINMENT_CHAMBER_PORT=tcp://10.0.0.1:9443", "CONTAINMENT_CHAMBER_PORT_9443_TCP=tcp://10.0.0.1:9443",
	}
	c := load(t, text, environ, []string{"tee.enclave_cid=22", "server.listen_port=3", "server.listen_port=4", "auth.note=a=b"})
	if c.EnclaveCID != 22 || c.API != "127.0.0.1:2" || c.Health != "127.0.0.1:4" || c.LogLevel != "warn" {
		t.Errorf("got %+v", c)
	}
	want := map[string]any{
		"network":     "mainnet",
		"auth":        map[string]any{"note": "a=b"},
		"key_sources": map[string]any{"filesystem": map[string]any{"paths": "/a,/b"}},
		"log":         map[string]any{"level": "warn"},
		"server":      map[string]any{"listen_port": "4"},
		"tls":         map[string]any{"listen_port": "2"},
		"tee":         map[string]any{"platform": "nitro", "enclave_cid": "22"},
	}
	var got map[string]any
	if err := yaml.Unmarshal(c.Merged, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("merged:\n%s%s", c.Merged, diff)
	}
}

func TestMergedKeepsValuesAsWritten(t *testing.T) {
	text := "z: 010\nw: 0x2328 # hex\na: 2024-01-01\nb: '12'\nc: !x y\nd: &anchor [1.0, yes, ~, {q: 1, p: 2}]\n" + least
	want := "a: 2024-01-01\nb: '12'\nc: !x y\nd: [1.0, yes, ~, {q: 1, p: 2}]\ne: \"true\"\nf: \"\"\ntee:\n    platform: nitro\nw: 0x2328\nz: 010\n"
	for range 5 { // maps have no order
		c := load(t, text, []string{"CONTAINMENT_E=true", "CONTAINMENT_F="}, nil)
		if diff := cmp.Diff(want, string(c.Merged)); diff != "" {
			t.Fatal(diff)
		}
	}
}

// refused loads and returns the lines of the error.
func refused(t *testing.T, path string, environ, sets []string) []string {
	t.Helper()
	c, err := Load(path, environ, sets)
	if err == nil || c != nil {
		t.Fatalf("Load = %+v, %v; want an error alone", c, err)
	}
	return strings.Split(strings.ReplaceAll(err.Error(), filepath.Dir(path)+"/", ""), "\n")
}

func TestBadYAML(t *testing.T) {
	const simulated = "tee: {platform: simulated, simulated: {socket_dir: /x}}\n"
	for _, test := range []struct{ name, text, want string }{
		{"empty", "", "config.yaml: tee.platform: none needs no parent: the signer runs alone; want nitro or simulated"},
		{"platform none", "\ntee: {platform: none}", "config.yaml:2: tee.platform: none needs no parent: the signer runs alone; want nitro or simulated"},
		{"unknown platform", "tee: {platform: sgx}", "config.yaml:1: tee.platform: want one of none, nitro, simulated"},
		{"no socket directory", "tee: {platform: simulated}", "config.yaml: tee.simulated.socket_dir: must be set: tee.platform simulated keeps its sockets there"},
		{"malformed", least + "a: b: c\n", "config.yaml:2: malformed YAML: mapping values are not allowed in this context"},
		{"tab", least + "a:\n\tb: c\n", "config.yaml:3: malformed YAML: found character that cannot start any token"},
		{"second document", least + "---\n" + least, "config.yaml:2: a second document begins here, want one"},
		{"list", "- a\n", "config.yaml:1: want a mapping of keys"},
		{"twice", least + "log: {level: info,\n level: warn}\n", "config.yaml:3: log.level: set twice, first in line 2"},
		{"dotted", least + "log.level: info\n", "config.yaml:2: log.level: a dot does not separate keys in YAML, nest them"},
		{"alias", least + "a: &a b\nc: [*a]\n", "config.yaml:3: c: aliases are not accepted"},
		{"merge key", least + "a: {<<: {b: c}}\n", "config.yaml:2: a: a key must be a plain name"},
		{"key that is no name", least + "? [a]\n: b\n", "config.yaml:2: : a key must be a plain name"},
		{"unknown in tee", "tee:\n  platfrom: nitro\n  platform: nitro\n", "config.yaml:2: tee.platfrom: unknown key, nearest known: tee.platform"},
		{"unknown section in tee", "tee:\n  platform: nitro\n  simulate: {a: b}\n", "config.yaml: tee.simulate: unknown key, nearest known: tee.simulated"},
		{"unknown in parent", least + "parent: {egress: {max_connection: 1}}\n", "config.yaml:2: parent.egress.max_connection: unknown key, nearest known: parent.egress.max_connections"},
		{"key that forges a line", least + `parent: {"a\nb": 1}`, `config.yaml:2: "parent.a\nb": unknown key, nearest known: parent.health`},
		{"value for a section", "tee: nitro\n", "config.yaml:1: tee: want a mapping of keys"},
		{"value for an inner section", least + "parent: {health: 3001}\n", "config.yaml:2: parent.health: want a mapping of keys"},
		{"section for a value", least + "parent: {drain_timeout_seconds: {a: 1}}\n", "config.yaml: parent.drain_timeout_seconds: want a whole number from 0 to 600"},
		{"no value", "tee: {platform: nitro, enclave_cid: }\n", "config.yaml:1: tee.enclave_cid: want a whole number from 4 to 4294967294"},
		{"text for a number", least + "server: {listen_port: http}\n", "config.yaml:2: server.listen_port: want a whole number from 0 to 65535"},
		{"too large a number", least + "server: {listen_port: 65536}\n", "config.yaml:2: server.listen_port: want a whole number from 0 to 65535"},
		{"list for a number", least + "parent: {egress: {max_connections: [1]}}\n", "config.yaml:2: parent.egress.max_connections: want a whole number from 1 to 65536"},
		{"host name for an address", least + "server: {listen_address: localhost}\n", "config.yaml:2: server.listen_address: want an IP address, such as 127.0.0.1"},
		{"unknown level", least + "log: {level: loud}\n", "config.yaml:2: log.level: want one of debug, info, warn, error"},
		{"control character", `tee: {platform: simulated, simulated: {socket_dir: "a\u001b"}}`, "config.yaml:1: tee.simulated.socket_dir: control characters are not accepted"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := refused(t, write(t, test.text), nil, nil); got[0] != test.want {
				t.Errorf("got\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), test.want)
			}
		})
	}
	load(t, simulated, nil, nil) // what the rows above break
	// Too long for a socket, which the listener says in clear words.
	load(t, "tee: {platform: simulated, simulated: {socket_dir: "+strings.Repeat("/long", 60)+"}}\n", nil, nil)
}

func TestBadRoutes(t *testing.T) {
	const good = "{name: kms, host: a.b, port: 443, vsock_port: 8001}"
	for _, test := range []struct{ name, egress, want string }{
		{"text", "kms", "config.yaml:1: tee.egress: want a list of entries with name, host, port, vsock_port"},
		{"mapping", good, "config.yaml: tee.egress: want a list of entries with name, host, port, vsock_port"},
		{"list of texts", "[kms]", "config.yaml:1: tee.egress[0]: want an entry with name, host, port, vsock_port"},
		{"no port", "[" + good + ",\n {name: db, host: b, vsock_port: 8002}]", "config.yaml:2: tee.egress[1] (db): has no port"},
		{"unknown field", "[{name: db, host: b, prot: 1, port: 1, vsock_port: 8002}]", "config.yaml:1: tee.egress[0] (db).prot: unknown key, nearest known: port"},
		{"field twice", "[{name: db, host: b, host: c, port: 1, vsock_port: 8002}]", "config.yaml:1: tee.egress[0] (db).host: set twice"},
		{"list for a host", "[{name: db, host: [b], port: 1, vsock_port: 8002}]", "config.yaml:1: tee.egress[0] (db).host: want text"},
		{"port zero", "[{name: db, host: b, port: 0, vsock_port: 8002}]", "config.yaml:1: tee.egress[0] (db).port: want a whole number from 1 to 65535"},
		{"port too large", "[{name: db, host: b, port: 65536, vsock_port: 8002}]", "config.yaml:1: tee.egress[0] (db).port: want a whole number from 1 to 65535"},
		{"vsock port of the boot service", "[{name: db, host: b, port: 1, vsock_port: 7001}]", "config.yaml:1: tee.egress[0] (db).vsock_port: want a whole number from 8001 to 4294967294"},
		{"vsock port of the stock init", "[{name: db, host: b, port: 1, vsock_port: 9000}]", "config.yaml:1: tee.egress[0] (db): vsock_port: 9000 belongs to one of the enclave's own listeners or to the stock init"},
		{"vsock port of the API", "[{name: db, host: b, port: 1, vsock_port: 9443}]", "config.yaml:1: tee.egress[0] (db): vsock_port: 9443 belongs to one of the enclave's own listeners or to the stock init"},
		{"plain without a meaning", "[{name: db, host: b, port: 1, vsock_port: 8002, plain: maybe}]", "config.yaml:1: tee.egress[0] (db).plain: want true or false"},
		{"plain in quotes", "[{name: db, host: b, port: 1, vsock_port: 8002, plain: 'true'}]", "config.yaml:1: tee.egress[0] (db).plain: want true or false"},
		{"vsock port twice", "[" + good + ", {name: db, host: b, port: 1, vsock_port: 8001}]", "config.yaml:1: tee.egress[1] (db): vsock_port: 8001 is taken by kms"},
		{"name twice", "[" + good + ", {name: kms, host: b, port: 1, vsock_port: 8002}]", "config.yaml:1: tee.egress[1] (kms): name: is taken by an earlier entry"},
		{"endpoint twice", "[" + good + ", {name: db, host: a.b, port: 443, vsock_port: 8002}]", "config.yaml:1: tee.egress[1] (db): host: a.b with this port is taken by kms"},
		{"name in upper case", "[{name: DB, host: b, port: 1, vsock_port: 8002}]", "config.yaml:1: tee.egress[0]: name: want 1 to 63 lower case letters, digits and dashes"},
		{"URL for a host", "[{name: db, host: 'https://b', port: 1, vsock_port: 8002}]", "config.yaml:1: tee.egress[0] (db): host: want a DNS name in lower case or an IP address"},
		{"host with a port", "[{name: db, host: 'b:1', port: 1, vsock_port: 8002}]", "config.yaml:1: tee.egress[0] (db): host: want a DNS name in lower case or an IP address"},
		{"number for a name", "[{name: 12, host: b, port: 1, vsock_port: 8002}]", "config.yaml:1: tee.egress[0] (12).name: want text, put it in quotes"},
		{"number for a host", "[{name: db, host: 12, port: 1, vsock_port: 8002}]", "config.yaml:1: tee.egress[0] (db).host: want text, put it in quotes"},
		{"empty host", "[{name: db, host: '', port: 1, vsock_port: 8002}]", "config.yaml:1: tee.egress[0] (db): host: want a DNS name in lower case or an IP address"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := refused(t, write(t, "tee: {platform: nitro, egress: "+test.egress+"}\n"), nil, nil)
			if len(got) != 1 || got[0] != test.want {
				t.Errorf("got\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), test.want)
			}
		})
	}
}

func TestBadEnvironmentAndFlags(t *testing.T) {
	for _, test := range []struct {
		name          string
		environ, sets []string
		want          string
	}{
		{"wrong type", []string{"CONTAINMENT_TEE__ENCLAVE_CID=x"}, nil, "environment CONTAINMENT_TEE__ENCLAVE_CID: tee.enclave_cid: want a whole number from 4 to 4294967294"},
		{"unknown key", []string{"CONTAINMENT_PARENT__DRAIN=x"}, nil, "environment CONTAINMENT_PARENT__DRAIN: parent.drain: unknown key, nearest known: parent.egress"},
		{"section", []string{"CONTAINMENT_TEE=x"}, nil, "environment CONTAINMENT_TEE: tee: is a section, want a key in it"},
		{"key in a value", []string{"CONTAINMENT_TEE__PLATFORM__X=x"}, nil, "environment CONTAINMENT_TEE__PLATFORM__X: tee.platform.x: tee.platform is a value, not a section"},
		{"key in an overridden value", []string{"CONTAINMENT_A=x", "CONTAINMENT_A__B=x"}, nil, "environment CONTAINMENT_A__B: a.b: a is a value, not a section"},
		{"empty part", []string{"CONTAINMENT_TEE____X=x"}, nil, "environment CONTAINMENT_TEE____X: tee..x: a part of the key is empty"},
		{"routes", []string{"CONTAINMENT_TEE__EGRESS=[]"}, nil, "environment CONTAINMENT_TEE__EGRESS: tee.egress: want a list of entries with name, host, port, vsock_port"},
		{"set twice", []string{"CONTAINMENT_LOG__LEVEL=info", "CONTAINMENT_log__level=debug"}, nil, "environment CONTAINMENT_log__level: log.level: set twice, also by environment CONTAINMENT_LOG__LEVEL"},
		{"not UTF-8", []string{"CONTAINMENT_A=\xff"}, nil, "environment CONTAINMENT_A: a: not valid UTF-8"},
		{"production", []string{"PRODUCTION=true", "CONTAINMENT_TEE__PLATFORM=simulated", "CONTAINMENT_TEE__SIMULATED__SOCKET_DIR=x"}, nil, "environment CONTAINMENT_TEE__PLATFORM: tee.platform: simulated is refused with PRODUCTION=true: it protects nothing"},
		{"misspelt production", []string{"PRODUCTION=yes"}, nil, "environment: PRODUCTION: want true or false"},
		{"flag without value", nil, []string{"tee.platform"}, "flag --set tee.platform: want KEY.PATH=VALUE"},
		{"flag without key", nil, []string{"=x"}, "flag --set: : a part of the key is empty"},
		{"flag of a wrong type", nil, []string{"tls.listen_port=x"}, "flag --set: tls.listen_port: want a whole number from 0 to 65535"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := refused(t, write(t, least), test.environ, test.sets)
			if len(got) != 1 || got[0] != test.want {
				t.Errorf("got\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), test.want)
			}
		})
	}
	load(t, least, []string{"PRODUCTION=true"}, nil)
	load(t, "tee: {platform: simulated, simulated: {socket_dir: x}}", []string{"PRODUCTION=false"}, nil)
}

func TestAllProblemsAtOnce(t *testing.T) {
	got := refused(t, write(t, "tee: {platform: sgx, enclave_cid: 3}\nparent: {helth: 1}\n"), nil, []string{"log.level=loud"})
	want := []string{
		"config.yaml:1: tee.enclave_cid: want a whole number from 4 to 4294967294",
		"flag --set: log.level: want one of debug, info, warn, error",
		"config.yaml:2: parent.helth: unknown key, nearest known: parent.health",
		"config.yaml:1: tee.platform: want one of none, nitro, simulated",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestBadFiles(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "config.yaml")
	if got := refused(t, missing, nil, nil); got[0] != "read configuration: open config.yaml: no such file or directory" {
		t.Errorf("missing file: %q", got)
	}
	if _, err := Load(t.TempDir(), nil, nil); err == nil || !strings.Contains(err.Error(), "is a directory") {
		t.Errorf("directory: %v", err)
	}
	large := write(t, least+strings.Repeat("#", wire.MaxConfiguration))
	if got := refused(t, large, nil, nil); got[0] != "config.yaml: larger than 1048576 bytes" {
		t.Errorf("large file: %q", got)
	}
	nearly := write(t, least+"a: "+strings.Repeat("a", wire.MaxConfiguration-200))
	got := refused(t, nearly, []string{"CONTAINMENT_B=" + strings.Repeat("b", 1000)}, nil)
	if !strings.HasPrefix(got[0], "config.yaml: merged with environment and flags it has ") || !strings.HasSuffix(got[0], " bytes, more than 1048576") {
		t.Errorf("large merged configuration: %.200q", got)
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"", least, "a: &a [*a]", "? [a]\n: b", "<<: {a: b}", "a: !!binary aGk=", "- a", "tee:\n  egress: [{name: a}]\n", "\"\\n\": {x: ~}", "a:\n- |\n \n 00", "a: [{b}]", "a: >\n  x\n\n   y\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		tree, err := parse("config.yaml", text)
		if (tree == nil) == (err == nil) {
			t.Fatalf("parse = %v, %v; want one of them", tree, err)
		}
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n\x1b") && !bytes.ContainsAny(text, "\n\x1b") {
				t.Fatalf("error %q has control characters", err)
			}
			return
		}
		merged, err := yaml.Marshal(tree)
		if err != nil {
			t.Fatal(err)
		}
		// What is handed over is read back as the same tree: the enclave sees what the parent saw.
		again, err := parse("merged", merged)
		if err != nil {
			t.Fatalf("%q became %q: %v", text, merged, err)
		}
		if diff := cmp.Diff(values(tree), values(again)); diff != "" {
			t.Fatalf("%q became %q:\n%s", text, merged, diff)
		}
	})
}

// values replaces the nodes of a tree by what an enclave reads of them: kind, type and value, not the form.
func values(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for name, inner := range v {
			out[name] = values(inner)
		}
		return out
	case *yaml.Node:
		if isNull(v) {
			return nil
		}
		out := []any{v.Kind, v.ShortTag(), v.Value}
		for _, inner := range v.Content {
			out = append(out, values(inner))
		}
		return out
	}
	return v
}
