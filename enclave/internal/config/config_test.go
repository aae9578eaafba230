package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"github.com/unforeseen-consequences/containment-chamber/shared/wire"
)

// least is the smallest configuration that loads.
const least = "network: hoodi\nanti_slashing: {backend: noop}\n"

func load(t *testing.T, s Sources) *Config {
	t.Helper()
	c, err := Load(s)
	if err != nil {
		t.Fatalf("Load: %v", err)
	}
	return c
}

func loadYAML(t *testing.T, yaml string) *Config {
	t.Helper()
	return load(t, Sources{YAML: []byte(yaml)})
}

func flags(t *testing.T, args ...string) *pflag.FlagSet {
	t.Helper()
	set := pflag.NewFlagSet("test", pflag.ContinueOnError)
	set.StringP("config", "c", "", "not a key")
	RegisterFlags(set)
	if err := set.Parse(args); err != nil {
		t.Fatalf("parse %q: %v", args, err)
	}
	return set
}

func TestDefaults(t *testing.T) {
	c := loadYAML(t, least)
	want := map[string][2]any{
		"server.listen_address":        {c.Server.ListenAddress, "127.0.0.1"},
		"server.listen_port":           {c.Server.ListenPort, uint16(9000)},
		"server.drain_delay_seconds":   {c.Server.DrainDelay, time.Duration(0)},
		"server.drain_timeout_seconds": {c.Server.DrainTimeout, 15 * time.Second},
		"http":                         {c.HTTP, HTTP{MaxConcurrentRequests: 8192, KeyManagerAPI: KeyManagerAPI{MaxConcurrentReads: 50, MaxConcurrentWrites: 10, RequestTimeout: 30 * time.Second, MaxItems: 100}}},
		"custom_network":               {c.CustomNetwork, CustomNetwork{SlotsPerEpoch: 32, SecondsPerSlot: 12, Forks: []CustomFork{}}},
		"metrics.listen_address":       {c.Metrics.ListenAddress, "0.0.0.0"},
		"metrics.listen_port":          {c.Metrics.ListenPort, uint16(3000)},
		"log":                          {c.Log, Log{Level: "info", BufferLines: 10000}},
		"auth":                         {c.Auth, Auth{Mode: "open"}},
		"key_sources.filesystem":       {c.KeySources.Filesystem, Filesystem{Paths: []string{}, KeystoreLoadConcurrency: 128, RawLoadConcurrency: 128, KDFMemoryPercent: 25}},
		"key_sources.dynamodb":         {c.KeySources.DynamoDB, StoredTable{StatusFilter: []string{"active"}, RefreshInterval: time.Second, MaxConcurrentReads: 16}},
		"key_sources.database":         {c.KeySources.Database, StoredRows{StatusFilter: []string{"active"}, RefreshInterval: time.Second}},
		"chamber": {c.Chamber, Chamber{KMSKeyARNs: []string{}, Wrap: "data_key", ShareCheckInterval: time.Hour, Keys: ChamberKeys{
			List:      ChamberKeyList{MaxRequests: 16},
			Generate:  ChamberKeyGenerate{MaxItems: 100, MaxRequests: 16, RequestTimeout: 10 * time.Minute, Backup: ChamberKeyBackup{Recipients: []string{}}},
			Import:    ChamberKeyImport{Enabled: true, MaxItems: 100, MaxRequests: 16, RequestTimeout: 10 * time.Minute},
			Lifecycle: ChamberKeyLifecycle{Enabled: true, MaxItems: 500, MaxRequests: 16, RequestTimeout: 10 * time.Minute},
		}}},
		"signer_state":  {c.SignerState, SignerState{PasswordSource: "url", RefreshInterval: time.Second}},
		"anti_slashing": {c.AntiSlashing, AntiSlashing{Backend: "noop", PoolSize: 8, Migrate: "auto", PasswordSource: "url", UnknownKeys: "allow", WriteTimeout: 5 * time.Second, MaxFutureEpochs: 1}},
		"signing":       {c.Signing, Signing{Wait: 4 * time.Second, CanaryKeys: []string{}}},
		"tls": {c.TLS, TLS{
			Mode: "disabled", ListenPort: 9443, File: TLSFile{ReloadInterval: time.Minute},
			ATLS: ATLS{CertValidity: 24 * time.Hour, RotationInterval: time.Hour},
		}},
		"tee": {c.TEE, TEE{Platform: "none", EnclaveCID: 16, Egress: []Route{}}},
		"parent": {c.Parent, Parent{
			Health:       ParentHealth{ListenAddress: "127.0.0.1", ListenPort: 3001},
			Egress:       ParentEgress{MaxConnections: 1024, ConnectTimeout: 10 * time.Second, IdleTimeout: 10 * time.Minute, HalfOpenTimeout: time.Minute},
			Ingress:      ParentIngress{MaxConnections: 4096, MaxPerSource: 1024, ConnectTimeout: 5 * time.Second, IdleTimeout: 10 * time.Minute, HalfOpenTimeout: time.Minute},
			LogSink:      ParentLogSink{MaxLinesPerSecond: 10000},
			DrainTimeout: 20 * time.Second,
		}},
	}
	for key, pair := range want {
		if diff := cmp.Diff(pair[1], pair[0]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", key, diff)
		}
	}
}

// TestSchema holds what the code relies on and the compiler cannot see.
func TestSchema(t *testing.T) {
	keys := Keys()
	if len(keys) != 124 {
		t.Errorf("%d keys, want 124: update this test when a key comes or goes", len(keys))
	}
	seen := make(map[string]bool)
	for _, k := range keys {
		if k.fallback() == nil {
			t.Errorf("%s: default %q does not fit", k.Name, k.Default)
		}
		numbers := append([]Key{k}, k.Fields...)
		for _, n := range numbers {
			if n.Kind == Number && (n.Max == 0 || n.Min > n.Max) {
				t.Errorf("%s: no range", n.Name)
			}
		}
		if (k.Unit != 0) != (strings.HasSuffix(k.Name, "_seconds") || strings.HasSuffix(k.Name, "_milliseconds")) {
			t.Errorf("%s: unit %v does not fit the name", k.Name, k.Unit)
		}
		for _, name := range k.flags() {
			if seen[name] {
				t.Errorf("flag %s stands for two keys", name)
			}
			seen[name] = true
		}
	}
}

func TestEmbeddedSourceHasAllKeys(t *testing.T) {
	for _, k := range Keys() {
		last := k.Name[strings.LastIndexByte(k.Name, '.')+1:]
		if !strings.Contains(strings.Join(Source(), "\n"), `koanf:"`+last+`"`) {
			t.Errorf("%s does not stand in the embedded files", k.Name)
		}
	}
}

func TestPrecedence(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.yaml")
	text := least + "server: {listen_port: 1, drain_timeout_seconds: 1}\nmetrics: {listen_port: 1001}\nlog: {level: debug}\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c := load(t, Sources{
		Path:    path,
		Environ: []string{"CONTAINMENT_SERVER__LISTEN_PORT=2", "CONTAINMENT_METRICS__LISTEN_PORT=1002"},
		Flags:   flags(t, "--server-listen-port", "3", "-c", path),
	})
	type ports struct {
		Server, Metrics, TLS uint16
		Level                string
		Drain                time.Duration
	}
	got := ports{c.Server.ListenPort, c.Metrics.ListenPort, c.TLS.ListenPort, c.Log.Level, c.Server.DrainTimeout}
	want := ports{Server: 3, Metrics: 1002, TLS: 9443, Level: "debug", Drain: time.Second}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("flag over environment over file over default (-want +got):\n%s", diff)
	}
}

func TestEnvironmentAlone(t *testing.T) {
	c := load(t, Sources{Environ: []string{
		"HOME=/root", "PRODUCTION=false", "ENCLAVE_DEBUG=",
		"CONTAINMENT_NETWORK=mainnet",
		"CONTAINMENT_ANTI_SLASHING__BACKEND=sqlite",
		"CONTAINMENT_ANTI_SLASHING__SQLITE__PATH=/data/a=b.sqlite",
		"CONTAINMENT_KEY_SOURCES__FILESYSTEM__PATHS=/a, /b",
		"CONTAINMENT_SIGNING__WAIT_MILLISECONDS=250",
		// What Kubernetes adds for services called containment-chamber and containment-signer.
		"CONTAINMENT_CHAMBER_SERVICE_HOST=10.0.0.1",
		"CONTAINMENT_CHAMBER_SERVICE_PORT=9000",
		"CONTAINMENT_CHAMBER_SERVICE_PORT_HTTP_API=9000",
		"CONTAINMENT_SIGNER_PORT=tcp://10.0.0.1:9000",
		"CONTAINMENT_CHAMBER_PORT_9000_TCP=tcp://10.0.0.1:9000",
		"CONTAINMENT_CHAMBER_PORT_9000_TCP_ADDR=10.0.0.1",
	}})
	if c.Network != "mainnet" || c.AntiSlashing.SQLite.Path != "/data/a=b.sqlite" || c.Signing.Wait != 250*time.Millisecond {
		t.Errorf("environment not applied: %+v", c)
	}
	if diff := cmp.Diff([]string{"/a", "/b"}, c.KeySources.Filesystem.Paths); diff != "" {
		t.Errorf("paths (-want +got):\n%s", diff)
	}
}

// TestEveryKeyByEveryWay sets each key by file, variable and flag, and expects the same digest input.
func TestEveryKeyByEveryWay(t *testing.T) {
	for _, k := range Keys() {
		if k.Kind == Entries {
			continue
		}
		value := k.Default
		switch {
		case k.Enum != nil:
			value = k.Enum[0]
		case value == "":
			value = k.Example
		}
		base := "anti_slashing: {backend: sqlite, sqlite: {path: x}, url: 'postgres://u@h/d'}\n" +
			"signer_state: {backend: dynamodb, table: 'arn:aws:dynamodb:eu-central-1:111122223333:table/state'}\nchamber: {kms_key_arns: ['" + keyA + "']}\n"
		if strings.HasPrefix(k.Name, "custom_network.") {
			base += customNetwork
		} else {
			base += "network: hoodi\n"
		}
		if strings.HasPrefix(k.Name, "chamber.keys.") {
			base += "key_sources: {dynamodb: {table: keys, region: eu-central-1}}\n"
		}
		if k.Name == "chamber.keys.generate.backup.recipients" {
			base = strings.Replace(base, "chamber: {", "chamber: {keys: {generate: {backup: {enabled: true}}}, ", 1)
		}
		byEnviron, err := Load(Sources{YAML: []byte(base), Environ: []string{k.Environment() + "=" + value}})
		if err != nil {
			t.Errorf("%s by environment: %v", k.Name, err)
			continue
		}
		byFlag, err := Load(Sources{YAML: []byte(base), Flags: flags(t, "--"+k.Flag()+"="+value)})
		if err != nil {
			t.Errorf("%s by flag: %v", k.Name, err)
			continue
		}
		if _, set := byEnviron.written[k.Name]; !set {
			t.Errorf("%s was not set", k.Name)
		}
		if diff := cmp.Diff(byEnviron.written, byFlag.written); diff != "" {
			t.Errorf("%s (-environment +flag):\n%s", k.Name, diff)
		}
	}
}

func TestEmptySectionsAndQuotedNumbers(t *testing.T) {
	c := loadYAML(t, "# nothing set here\nserver:\ntls: ~\nmetrics: {listen_port: \"3333\"}\n"+
		"key_sources: {filesystem: {paths: '/a,/b'}}\n"+least)
	if c.Metrics.ListenPort != 3333 || len(c.KeySources.Filesystem.Paths) != 2 || c.Server.ListenPort != 9000 {
		t.Errorf("got %+v", c)
	}
}

func TestRoutes(t *testing.T) {
	c := loadYAML(t, least+`tee:
  egress:
    - {name: kms, host: kms.eu-central-1.amazonaws.com, port: 443, vsock_port: 8001}
    - {name: db, host: 10.0.0.7, port: "5432", vsock_port: 8002, plain: true}
`)
	want := []wire.Route{
		{Name: "kms", Host: "kms.eu-central-1.amazonaws.com", Port: 443, VsockPort: 8001},
		{Name: "db", Host: "10.0.0.7", Port: 5432, VsockPort: 8002, Plain: true},
	}
	if diff := cmp.Diff(want, c.TEE.Routes()); diff != "" {
		t.Errorf("routes (-want +got):\n%s", diff)
	}
}

// TestAWSRegion: the table's is that of the dynamodb backend alone.
func TestAWSRegion(t *testing.T) {
	const arn = "arn:aws:dynamodb:eu-central-1:111122223333:table/slashing"
	for _, test := range []struct{ backend, table, want string }{
		{"dynamodb", arn, "eu-central-1"},
		{"dynamodb", "slashing", "eu-west-1"},
		{"postgres", arn, "eu-west-1"},
	} {
		a := AntiSlashing{Backend: test.backend, Region: "eu-west-1", DynamoDB: DynamoDB{Table: test.table}}
		s := SignerState{Backend: test.backend, Region: "eu-west-1", Table: test.table}
		if a.AWSRegion() != test.want || s.AWSRegion() != test.want {
			t.Errorf("%s with %s: %q and %q, want %q", test.backend, test.table, a.AWSRegion(), s.AWSRegion(), test.want)
		}
	}
	for table, want := range map[string]string{arn: "eu-central-1", "slashing": "eu-west-1"} {
		if got := (StoredTable{Region: "eu-west-1", Table: table}).AWSRegion(); got != want {
			t.Errorf("stored keys in %s: %q, want %q", table, got, want)
		}
	}
}

func TestWarnings(t *testing.T) {
	simulated := "tls: {mode: atls}\ntee: {platform: simulated, simulated: {socket_dir: a, state_dir: b}}\n"
	for _, test := range []struct {
		name, yaml string
		want       []string
	}{
		{"sqlite on loopback", "network: hoodi\nanti_slashing: {backend: sqlite, sqlite: {path: x}}\n", nil},
		{"noop", least, []string{"anti_slashing.backend is noop"}},
		{
			"bound to everything", least + "server: {listen_address: 0.0.0.0}\n",
			[]string{"server.listen_address 0.0.0.0 is not loopback and auth.mode is open", "is noop"},
		},
		{"IPv6 loopback", least + "server: {listen_address: '::1'}\n", []string{"is noop"}},
		{"behind a parent", least + "server: {listen_address: 0.0.0.0}\n" + simulated, []string{"is noop"}},
		{"nitro", nitro, nil},
		{"TLS, and all in clear", least + "tls: {mode: file, file: {cert_path: c, key_path: k}}\nserver: {plaintext: full}\n", []string{"server.plaintext is full", "is noop"}},
		{
			"URL of another backend", "network: hoodi\nanti_slashing: {backend: sqlite, sqlite: {path: x}, url: 'postgres://u:hush@h/d'}\n",
			[]string{"anti_slashing.url is set but anti_slashing.backend is sqlite"},
		},
		{
			"table of another backend", strings.Replace(least, "noop", "noop, dynamodb: {table: slashing}", 1),
			[]string{"is noop", "anti_slashing.dynamodb.table is set but anti_slashing.backend is noop"},
		},
		{
			"table without TLS", "network: hoodi\nanti_slashing: {backend: dynamodb, region: eu-west-1, dynamodb: {table: slashing, endpoint: 'HTTP://h:8000'}}\n",
			[]string{"anti_slashing.dynamodb.endpoint is http: whoever stands between can be the table"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := loadYAML(t, test.yaml).Warnings()
			if len(got) != len(test.want) {
				t.Fatalf("got %q, want %d warnings", got, len(test.want))
			}
			for i, want := range test.want {
				if !strings.Contains(got[i], want) || strings.Contains(got[i], "hush") {
					t.Errorf("warning %q, want %q", got[i], want)
				}
			}
		})
	}
}
