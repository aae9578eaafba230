package main

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/config"
)

func TestConfigSealedContext(t *testing.T) {
	const key = "sealed_password_kms_key_arn: 'arn:aws:kms:eu-central-1:111122223333:key/0f3cbd2e-9d1c-4d3a-8b43-6f2f3f7a1c55'"
	const postgres = "network: hoodi\nanti_slashing: {backend: postgres, password_source: kms, url: 'postgres://u&v@db:6432/votes', " + key + "}\n"
	const table = "network: hoodi\nanti_slashing: {backend: dynamodb, region: eu-central-1, dynamodb: {table: votes}, " + key + "}\n"
	for _, test := range []struct{ name, without, with, out string }{
		{
			"password", postgres, strings.Replace(postgres, "url:", "sealed_password: AQIDBA==, url:", 1),
			`{"containment-chamber":"anti_slashing.sealed_password","containment-chamber:ca":"public","containment-chamber:database":"votes",` +
				`"containment-chamber:server":"db:6432","containment-chamber:user":"u&v"}` + "\n",
		},
		{
			"access key", table, strings.Replace(table, "{table:", "{sealed_access_key: AQIDBA==, table:", 1),
			`{"containment-chamber":"anti_slashing.dynamodb.sealed_access_key","containment-chamber:endpoint":"public","containment-chamber:table":"votes"}` + "\n",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, text := range []string{test.without, test.with} {
				if out, err := configRun(t, "sealed-context", "-c", configFile(t, text)); err != nil || out != test.out {
					t.Errorf("got %q, %v; want %q", out, err, test.out)
				}
			}
			c, err := config.LoadBytes([]byte(test.with))
			if err != nil {
				t.Fatal(err)
			}
			sealed, err := c.AntiSlashing.Sealed()
			if err != nil {
				t.Fatal(err)
			}
			var printed map[string]string
			if err := json.Unmarshal([]byte(test.out), &printed); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(sealed.Context, printed); diff != "" {
				t.Errorf("the signer uses another one (-signer +printed):\n%s", diff)
			}
		})
	}
}

func TestConfigSealedContextRefuses(t *testing.T) {
	for text, want := range map[string]string{
		configNoop:         "anti_slashing has no sealed credential",
		"netwerk: hoodi\n": "netwerk: unknown key",
		"network: hoodi\nanti_slashing: {backend: postgres, url: 'postgres://u@h/d'}\n": "anti_slashing has no sealed credential",
	} {
		out, err := configRun(t, "sealed-context", "-c", configFile(t, text))
		if _, ok := errors.AsType[usageError](err); !ok || out != "" || !strings.Contains(err.Error(), want) {
			t.Errorf("got %q, %v; want %q", out, err, want)
		}
	}
}
