package config

import (
	"strings"
	"testing"
)

func TestProduction(t *testing.T) {
	production := []string{"PRODUCTION=true"}
	load(t, Sources{YAML: []byte(nitro), Environ: production})
	load(t, Sources{YAML: []byte(nitro), Environ: []string{"ENCLAVE_DEBUG=1"}})

	got := refused(t, Sources{YAML: []byte(least + "tls: {mode: atls}\ntee: {platform: simulated, simulated: {socket_dir: a, state_dir: b}}\n"), Environ: production})
	if len(got) != 2 || !strings.HasPrefix(got[0], "configuration:4: tee.platform: simulated is refused with PRODUCTION=true") ||
		!strings.HasPrefix(got[1], "configuration:2: anti_slashing.backend: noop is refused with PRODUCTION=true") {
		t.Errorf("got\n\t%s", strings.Join(got, "\n\t"))
	}
}

// TestProductionKnowsItsDatabase: nothing weaker than verify-full, except where there is no network.
func TestProductionKnowsItsDatabase(t *testing.T) {
	production := []string{"PRODUCTION=true"}
	for url, refusal := range map[string]string{
		"postgres://u@h/d":                                         "",
		"postgres://u@h/d?sslmode=verify-full":                     "",
		"postgres://u@/d?host=/var/run/postgresql":                 "",
		"postgres://u@/d?host=/var/run/postgresql&sslmode=disable": "",
		"postgres://u@h/d?sslmode=verify-ca":                       "verify-ca",
		"postgres://u@h/d?sslmode=require":                         "require",
		"postgres://u@127.0.0.1/d?sslmode=disable":                 "disable",
		"postgres://u@h/d?sslmode=":                                "", // the default
	} {
		yaml := []byte("network: hoodi\nanti_slashing: {backend: postgres, url: '" + url + "'}\n")
		load(t, Sources{YAML: yaml})
		if refusal == "" {
			load(t, Sources{YAML: yaml, Environ: production})
			continue
		}
		got := refused(t, Sources{YAML: yaml, Environ: production})
		if want := `sslmode "` + refusal + `" is refused with PRODUCTION=true`; len(got) != 1 || !strings.Contains(got[0], want) {
			t.Errorf("%s: got %q, want %q", url, got, want)
		}
	}
}

// TestProductionKnowsItsTable: nobody between a signer and its table.
func TestProductionKnowsItsTable(t *testing.T) {
	const table = "network: hoodi\nanti_slashing: {backend: dynamodb, dynamodb: {table: 'arn:aws:dynamodb:eu-central-1:111122223333:table/slashing', endpoint: 'http://h:8000'}}\n"
	production := []string{"PRODUCTION=true"}
	load(t, Sources{YAML: []byte(strings.Replace(table, "http:", "https:", 1)), Environ: production})
	got := refused(t, Sources{YAML: []byte(table), Environ: production})
	if len(got) != 1 || !strings.HasPrefix(got[0], "configuration:2: anti_slashing.dynamodb.endpoint: http is refused with PRODUCTION=true") {
		t.Errorf("got %q", got)
	}
}

func TestProductionKnowsItsState(t *testing.T) {
	production := []string{"PRODUCTION=true"}
	unused := "signer_state: {endpoint: 'http://h', url: 'postgres://u@h/d?sslmode=disable'}\nkey_sources: {dynamodb: {endpoint: 'http://h'}}\n"
	load(t, Sources{YAML: []byte("network: hoodi\nanti_slashing: {backend: sqlite, sqlite: {path: x}}\n" + unused), Environ: production})
	for _, test := range []struct{ base, from, to, want string }{
		{statePostgres, "h/d", "h/d?sslmode=verify-ca", `configuration:3: signer_state.url: sslmode "verify-ca" is refused with PRODUCTION=true`},
		{stateTable, "signer_state: {", "signer_state: {endpoint: 'http://h', ", "configuration:3: signer_state.endpoint: http is refused with PRODUCTION=true"},
		{stateTable, "table: keys", "table: keys, endpoint: 'http://h'", "configuration:4: key_sources.dynamodb.endpoint: http is refused with PRODUCTION=true"},
	} {
		load(t, Sources{YAML: []byte(test.base), Environ: production})
		weak := []byte(strings.Replace(test.base, test.from, test.to, 1))
		load(t, Sources{YAML: weak})
		if got := refused(t, Sources{YAML: weak, Environ: production}); len(got) != 1 || !strings.HasPrefix(got[0], test.want) {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
}
