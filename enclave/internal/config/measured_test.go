package config

import (
	"crypto/sha512"
	"encoding/hex"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestCanonicalVectors holds the examples of RFC 8785, 3.2.2 (without its fractions) and 3.2.3.
func TestCanonicalVectors(t *testing.T) {
	for _, test := range []struct {
		name string
		v    any
		want string
	}{
		{
			"literals and the string of 3.2.2",
			map[string]any{"string": "€$\u000f\nA'B\"\\\\\"/", "literals": []any{nil, true, false}},
			`{"literals":[null,true,false],"string":"€$\u000f\nA'B\"\\\\\"/"}`,
		},
		{
			"order of 3.2.3",
			map[string]any{
				"€": "Euro Sign", "\r": "Carriage Return", "\ufb33": "Hebrew Letter Dalet With Dagesh", "1": "One",
				"\U0001f600": "Emoji: Grinning Face", "\u0080": "Control", "ö": "Latin Small Letter O With Diaeresis",
			},
			`{"\r":"Carriage Return","1":"One","` + "\u0080" + `":"Control","ö":"Latin Small Letter O With Diaeresis",` +
				`"€":"Euro Sign","` + "\U0001f600" + `":"Emoji: Grinning Face","` + "\ufb33" + `":"Hebrew Letter Dalet With Dagesh"}`,
		},
		{"escapes", "\b\t\n\f\r\"\\\x00\x1f\x7f<>&\u2028", `"\b\t\n\f\r\"\\\u0000\u001f` + "\x7f<>&\u2028" + `"`},
		{"numbers", []any{int64(0), int64(-1), int64(maxExact), int64(-maxExact)}, `[0,-1,9007199254740991,-9007199254740991]`},
		{"empty", []any{map[string]any{}, []any{}, []string{}, ""}, `[{},[],[],""]`},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := appendCanonical(nil, test.v)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, string(got)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestCanonicalRefuses(t *testing.T) {
	for _, test := range []struct {
		v    any
		want string
	}{
		{1.5, "float64 has no canonical JSON here"},
		{[]any{uint8(1)}, "uint8 has no canonical JSON here"},
		{map[string]any{"a": int64(maxExact + 1)}, "9007199254740992 is not exact in canonical JSON"},
		{"\xff", `"\xff" is not valid UTF-8`},
		{map[string]any{"\xff": ""}, `"\xff" is not valid UTF-8`},
	} {
		if got, err := appendCanonical(nil, test.v); err == nil || err.Error() != test.want || got != nil {
			t.Errorf("%v: got %s, %v; want %s", test.v, got, err, test.want)
		}
	}
}

// full sets every measured key but the routes.
var full = strings.NewReplacer("network: mainnet\n", customNetwork, "backend: postgres,", "backend: postgres, ca_pem: '"+examplePEM+"', "+fullSlashing+",").Replace(nitro) + "auth: {mode: open}\n"

// examplePEM is a certificate in one line, as a folded YAML text makes it.
const examplePEM = "-----BEGIN CERTIFICATE----- MIIBKzCB3qADAgECAgEBMAUGAytlcDAVMRMwEQYDVQQDDApleGFtcGxlIENBMB4XDTI2MTEyMTE2MjU1MVoXDTM2MTExODE2MjU1MVowFTETMBEGA1UEAwwKZXhhbXBsZSBDQTAqMAUGAytlcAMhANx6XDl4iapvmZ4g2FYbvIOpb5Rl1PRTRKWaXMMZmuRxo1MwUTAdBgNVHQ4EFgQU+hwl9j/v0LiL0C9NH94VkajtgwQwHwYDVR0jBBgwFoAU+hwl9j/v0LiL0C9NH94VkajtgwQwDwYDVR0TAQH/BAUwAwEB/zAFBgMrZXADQQAInpokRKFnOg6u1lo3jaAQA2efRWo255UbB6yyGtMD9wmrxCUW5IPh8NNyuMmgzLC3WytH2Pb+SzZS/MtXnucD -----END CERTIFICATE-----"

const (
	fullSlashing = "password_source: url, trust_parent: true, region: eu-central-1, unknown_keys: refuse, api: false, " +
		"dynamodb: {table: 'arn:aws:dynamodb:eu-central-1:111122223333:table/containment-slashing', endpoint: 'https://dynamodb.internal:8000'}"
	fullRoutes = `, egress: [{name: kms, host: kms.eu-central-1.amazonaws.com, port: 443, vsock_port: 8001}]}`
	fullJSON   = `{"anti_slashing":{"api":false,"backend":"postgres","ca_pem":"` + examplePEM + `",` +
		`"dynamodb":{"endpoint":"https://dynamodb.internal:8000","table":"arn:aws:dynamodb:eu-central-1:111122223333:table/containment-slashing"},` +
		`"password_source":"url","region":"eu-central-1","trust_parent":true,"unknown_keys":"refuse","url":"postgres://signer@db.internal:5432/slashing"},"auth":{"mode":"open"},` +
		`"custom_network":{"forks":[{"name":"altair","version":"0x20000038"},{"name":"bellatrix","version":"0x300000ab"}],` +
		`"genesis_fork_version":"0x10000038","genesis_time":1764000000,"genesis_validators_root":"0xd61ea484febacfae5298d52a2b581f3e305a51f3112a9241b968dccf019f7b11",` +
		`"seconds_per_slot":6,"slots_per_epoch":8},"network":"custom","signer_state":{"backend":"dynamodb","table":"arn:aws:dynamodb:eu-central-1:111122223333:table/containment-state"},` +
		`"tee":{"egress":[{"host":"kms.eu-central-1.amazonaws.com","name":"kms","port":443,"vsock_port":8001}],"platform":"nitro",` +
		`"role_arn":"arn:aws:iam::111122223333:role/signer"},"tls":{"mode":"atls"}}`
	// fullDigest was computed apart from this code: printf %s "$JSON" | sha384sum.
	fullDigest = "cce29ec6807c31d658afff420b4ca5ca32ea66456f8b80dd9f673f5cc8f038276ffbdda6e294e5db443634b3af0f2df2"
)

func fullYAML() string {
	return strings.Replace(full, "role/signer'}", "role/signer'"+fullRoutes, 1)
}

func TestDigestGolden(t *testing.T) {
	c := loadYAML(t, fullYAML())
	if diff := cmp.Diff(fullJSON, string(c.Measured())); diff != "" {
		t.Errorf("measured (-want +got):\n%s", diff)
	}
	digest := c.Digest()
	if got := hex.EncodeToString(digest[:]); got != fullDigest {
		t.Errorf("digest %s, want %s", got, fullDigest)
	}
	if sha512.Sum384(c.Measured()) != digest {
		t.Error("what Measured returns does not hash to the digest")
	}
	// The golden JSON sets every measured key, so that a key which becomes measured fails here.
	for _, k := range Keys() {
		if _, set := c.written[k.Name]; k.Measured != set {
			t.Errorf("%s: measured %v, in the golden configuration %v", k.Name, k.Measured, set)
		}
	}
}

// TestDigestKeeps writes the same measured values differently.
func TestDigestKeeps(t *testing.T) {
	yaml := fullYAML()
	want := loadYAML(t, yaml).Digest()
	reversed := ""
	for _, section := range regexp.MustCompile(`(?m)^\S.*\n( .*\n)*`).FindAllString(yaml, -1) {
		reversed = section + reversed
	}
	for name, s := range map[string]Sources{
		"order of keys":        {YAML: []byte(reversed)},
		"a field's default":    {YAML: []byte(strings.Replace(yaml, "vsock_port: 8001", "vsock_port: 8001, plain: false", 1))},
		"order within entries": {YAML: []byte(strings.Replace(yaml, "name: kms, host: kms.eu-central-1.amazonaws.com", "host: kms.eu-central-1.amazonaws.com, name: kms", 1))},
		"quotes":               {YAML: []byte(strings.NewReplacer("443", `"443"`, "8001", "'8001'", "0x10000038", "'0x10000038'", "network: custom", `network: "custom"`).Replace(yaml))},
		"comments":             {YAML: []byte("# hello\n" + yaml + "# bye\n")},
		"unmeasured keys":      {YAML: []byte(yaml + "log: {level: debug}\nserver: {listen_port: 1}\nsigning: {concurrency_limit: 7}\nparent: {drain_timeout_seconds: 1}\n")},
		"local paths":          {YAML: []byte(strings.Replace(yaml, "backend: postgres", "backend: postgres, sqlite: {path: /x}", 1))},
		"unmeasured switch":    {YAML: []byte(yaml + "http: {max_concurrent_requests: 5, experimental: {batch_sign: true}}\n")},
		"canary keys":          {YAML: []byte(yaml), Flags: flags(t, "--signing-canary-keys="+strings.Repeat("ab", 48))},
		"upper case digits":    {YAML: []byte(strings.NewReplacer("0x300000ab", "0x300000AB", "d61ea484febacfae", "D61EA484FEBACFAE").Replace(yaml))},
		"network by variable":  {YAML: []byte(strings.Replace(yaml, "network: custom\n", "", 1)), Environ: []string{"CONTAINMENT_NETWORK=custom"}},
		"network by flag":      {YAML: []byte(yaml), Flags: flags(t, "--network=custom")},
	} {
		if got := load(t, s).Digest(); got != want {
			t.Errorf("%s changed the digest", name)
		}
	}
}

// TestDigestChanges changes each measured key. Its base is for platform simulated, where every backend may be.
func TestDigestChanges(t *testing.T) {
	const simulated = "platform: simulated, simulated: {socket_dir: a, state_dir: b},"
	yaml := strings.Replace(fullYAML(), "platform: nitro,", simulated, 1)
	old := loadYAML(t, yaml)
	changed := make(map[string]bool)
	for _, change := range [][2]string{
		{customNetwork, "network: hoodi\n"},
		{"d61ea484", "d61ea485"},
		{"0x10000038", "0x10000039"},
		{"slots_per_epoch: 8", "slots_per_epoch: 16"},
		{"seconds_per_slot: 6", "seconds_per_slot: 12"},
		{"genesis_time: 1764000000", "genesis_time: 1764000001"},
		{"0x300000ab", "0x300000ac"},
		{"  forks: [", "  #forks: ["},
		{"auth: {mode: open}\n", ""}, // the default, but no longer written
		{"role/signer", "role/other"},
		{"port: 443", "port: 444"},
		{"containment-state", "other-state"},
		{"backend: dynamodb", "backend: postgres"},
		{"db.internal", "db.attacker"},
		{"signer@", "other@"},
		{"ca_pem: '" + examplePEM + "',", ""},
		{"backend: postgres", "backend: dynamodb"},
		{"password_source: url, ", ""},
		{"trust_parent: true, ", ""},
		{"region: eu-central-1, ", ""},
		{"refuse", "allow"},
		{" api: false,", ""},
		{"table/containment-slashing", "table/other"},
		{"dynamodb.internal", "dynamodb.attacker"},
		{simulated, "platform: nitro,"},
	} {
		text := strings.Replace(yaml, change[0], change[1], 1)
		if text == yaml {
			t.Fatalf("%q does not stand in the configuration", change[0])
		}
		c := loadYAML(t, text)
		if c.Digest() == old.Digest() {
			t.Errorf("%q -> %q kept the digest", change[0], change[1])
		}
		for _, d := range Diff(old, c) {
			if d.Measured {
				changed[d.Key] = true
			}
		}
	}
	for _, k := range Keys() {
		if k.Measured && !changed[k.Name] && k.Name != "tls.mode" { // nothing but atls is possible there
			t.Errorf("no change of %s was tried", k.Name)
		}
	}
}

func TestDiff(t *testing.T) {
	const base = "network: hoodi\nanti_slashing: {backend: postgres, url: 'postgres://u:old-hush@h/d?password=old-hush&sslmode=require'}\n"
	for _, test := range []struct {
		name, after string
		want        []Change
	}{
		{"nothing", base, nil},
		{"unmeasured", base + "log: {level: debug}\n", []Change{{Key: "log.level", Old: "unset (default info)", New: `"debug"`}}},
		{"default written", base + "tls: {mode: disabled}\n", []Change{{Key: "tls.mode", Old: "unset (default disabled)", New: `"disabled"`, Measured: true}}},
		{"switch", base + "http: {experimental: {batch_sign: true}}\n", []Change{{Key: "http.experimental.batch_sign", Old: "unset (default false)", New: "true"}}},
		{"list", base + "key_sources: {filesystem: {paths: [/a]}}\n", []Change{{Key: "key_sources.filesystem.paths", Old: "unset", New: `["/a"]`}}},
		{"route", base + "tee: {egress: [{name: a, host: b, port: 1, vsock_port: 8001}]}\n", []Change{
			{Key: "tee.egress", Old: "unset", New: `[{"host":"b","name":"a","port":1,"vsock_port":8001}]`, Measured: true},
		}},
		{"password", strings.ReplaceAll(base, "old", "new"), []Change{{
			Key: "anti_slashing.url", Old: `"postgres://u@h/d?sslmode=require"`, New: `"postgres://u@h/d?sslmode=require" (another password)`,
		}}},
		{"host of the store", strings.ReplaceAll(base, "@h", "@other"), []Change{{
			Key: "anti_slashing.url", Old: `"postgres://u@h/d?sslmode=require"`, New: `"postgres://u@other/d?sslmode=require"`, Measured: true,
		}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			before, after := loadYAML(t, base), loadYAML(t, test.after)
			got := Diff(before, after)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			measured := false
			for _, c := range got {
				measured = measured || c.Measured
			}
			if measured != (before.Digest() != after.Digest()) {
				t.Errorf("measured change %v, digest says otherwise", measured)
			}
			if strings.Contains(string(after.Measured()), "hush") {
				t.Errorf("a password in %s", after.Measured())
			}
		})
	}
}

func TestParseStoreURL(t *testing.T) {
	for _, test := range []struct {
		text, public string
		password     bool
	}{
		{"postgres://h/d", "postgres://h/d", false},
		{"postgresql://u@h:1/d?sslmode=require", "postgresql://u@h:1/d?sslmode=require", false},
		{"postgres://u:hush@h/d", "postgres://u@h/d", true},
		{"postgres://u:@h/d", "postgres://u@h/d", true},
		{"postgres://u:h%40u%23s%2Fh@h/d", "postgres://u@h/d", true},
		{"postgres://h/d?b=1&password=hush&a=2", "postgres://h/d?b=1&a=2", true},
		{"postgres://h/d?PassWord=hush", "postgres://h/d", true},
		{"postgres://h/d?sslpassword=hush&a=1", "postgres://h/d?a=1", true},
		{"postgres://h/d?p%61ssword=hush", "postgres://h/d", true},
		{"postgres://h/d?x;password=hush", "postgres://h/d", true},
	} {
		got, err := parseStoreURL(test.text)
		if err != nil || got.public != test.public || got.password != test.password {
			t.Errorf("%s: got %+v, %v", test.text, got, err)
		}
	}
}
