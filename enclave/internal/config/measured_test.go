package config

import (
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
		"local paths":          {YAML: []byte(strings.Replace(yaml, "  backend: postgres\n", "  backend: postgres\n  sqlite: {path: /x}\n", 1))},
		"a sealed password":    {YAML: []byte(strings.Replace(yaml, "  backend: postgres\n", "  backend: postgres\n  sealed_password: AQIDBA==\n", 1))},
		"a setup token":        {YAML: []byte(yaml), Flags: flags(t, "--chamber-setup-token-sha256="+strings.Repeat("ab", 32))},
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
		{"mode: policies", "mode: open"},
		{", open_exits: false", ""}, // the default, but no longer written
		{"role/signer", "role/other"},
		{"port: 443", "port: 444"},
		{"containment-state", "other-state"},
		{"backend: dynamodb", "backend: postgres"},
		{"  region: eu-central-1 # of the state\n", ""},
		{"state.internal", "state.attacker"},
		{"state@db.internal", "state@db.attacker"},
		{"  password_source: url # of the state\n", ""},
		{"  ca_pem: '" + examplePEM + "' # of the state\n", ""},
		{"5b0f2ac4", "5b0f2ac5"},
		{"key/0f3cbd2e-", "key/0f3cbd2f-"},
		{"kms_threshold: 2", "kms_threshold: 1"},
		{"wrap: data_key", "wrap: encrypt"},
		{"kms.{region}.amazonaws.com", "kms.attacker"},
		{"kms_ca_pem: ''", "kms_ca_pem: '" + examplePEM + "'"},
		{"generate: {enabled: true", "generate: {enabled: false"},
		{"backup: {enabled: true, recipients: [" + recipient + "]}", "backup: {enabled: false}"},
		{"recipients: [" + recipient, "recipients: [" + otherRecipient},
		{"containment-keys", "other-keys"},
		{"    region: eu-central-1 # of the keys\n", ""},
		{"keys.internal", "keys.attacker"},
		{"    ca_pem: '" + examplePEM + "' # of the keys\n", ""},
		{"    status_filter: [active]\n", ""},
		{"enabled: false, ", ""},
		{"[inactive]", "[inactive, active]"},
		{"signer@db.internal", "signer@db.attacker"},
		{"signer@", "other@"},
		{"  ca_pem: '" + examplePEM + "'\n", ""},
		{"backend: postgres", "backend: dynamodb"},
		{"  password_source: url\n", ""},
		{"  trust_parent: true\n", ""},
		{"  region: eu-central-1\n", ""},
		{"refuse", "allow"},
		{"  api: false\n", ""},
		{"sealed_password_kms_key_arn: " + keyB, "sealed_password_kms_key_arn: " + keyA},
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
