package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSealed(t *testing.T) {
	password := func(server, ca string) map[string]string {
		return map[string]string{
			"containment-chamber": "anti_slashing.sealed_password", "containment-chamber:server": server, "containment-chamber:user": "u",
			"containment-chamber:database": "d", "containment-chamber:ca": ca,
		}
	}
	accessKey := func(table, endpoint string) map[string]string {
		return map[string]string{
			"containment-chamber": "anti_slashing.dynamodb.sealed_access_key", "containment-chamber:table": table, "containment-chamber:endpoint": endpoint,
		}
	}
	// Both were computed apart from this code: base64 -d of the certificate, once and twice | sha256sum.
	const (
		once  = "b5db2385e1e6a5e47097f9194c8e192a7fdcf196944d2dcae11e043776e605bd"
		twice = "51aeb85eb313225d7e8d993eb7b9fe8056e60fcea2c6d77b6a1a65bbfcc1c6e9"
		arn   = "arn:aws:dynamodb:eu-central-1:111122223333:table/slashing"
	)
	withCA := func(pem string) string {
		return strings.Replace(sealedPostgres, "backend:", "ca_pem: '"+pem+"', backend:", 1)
	}
	for _, test := range []struct {
		name, yaml string
		want       map[string]string // nil if nothing is sealed
	}{
		{"password", sealedPostgres, password("h:5432", "public")},
		{"another port", strings.Replace(sealedPostgres, "@h/", "@h:6543/", 1), password("h:6543", "public")},
		{"IPv6", strings.Replace(sealedPostgres, "@h/", "@[2001:db8::1]/", 1), password("[2001:db8::1]:5432", "public")},
		{"folded", strings.Replace(sealedPostgres, "AQIDBA==", "'AQID BA=='", 1), password("h:5432", "public")},
		{"behind a socket", strings.Replace(sealedPostgres, "h/d", "/d?host=/run/pg", 1), password("/run/pg:5432", "public")},
		{"an authority", withCA(examplePEM), password("h:5432", once)},
		{"an authority and spaces", withCA("  " + examplePEM + "  "), password("h:5432", once)},
		{"two authorities", withCA(examplePEM + " " + examplePEM), password("h:5432", twice)},
		{"no authority", withCA("  "), password("h:5432", "public")},
		{"access key", sealedTable, accessKey("slashing", "public")},
		{"access key at an endpoint", strings.Replace(sealedTable, "{table: slashing", "{endpoint: 'https://h:8000', table: '"+arn+"'", 1), accessKey(arn, "https://h:8000")},
		{"access key of another backend", strings.Replace(sealedTable, "backend: dynamodb", "backend: noop", 1), nil},
		{"password beside another source", strings.Replace(sealedPostgres, "password_source: kms", "password_source: url", 1), nil},
		{"nothing", least, nil},
	} {
		var want *Sealed
		if test.want != nil {
			want = &Sealed{Ciphertext: []byte{1, 2, 3, 4}, KeyARN: keyA, Context: test.want}
		}
		got, err := loadYAML(t, test.yaml).AntiSlashing.Sealed()
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}

// TestSealedUnchecked: what no check has seen is refused and not guessed.
func TestSealedUnchecked(t *testing.T) {
	good := AntiSlashing{Backend: "postgres", PasswordSource: "kms", SealedPassword: "AQIDBA==", URL: "postgres://u@h/d"}
	if got, err := good.Sealed(); err != nil || got == nil {
		t.Fatalf("got %v, %v", got, err)
	}
	for key, spoil := range map[string]func(*AntiSlashing){
		"anti_slashing.sealed_password: ": func(a *AntiSlashing) { a.SealedPassword = "" },
		"anti_slashing.url: ":             func(a *AntiSlashing) { a.URL = "" },
		"anti_slashing.ca_pem: ":          func(a *AntiSlashing) { a.CAPEM = "AAAA" },
	} {
		bad := good
		spoil(&bad)
		if got, err := bad.Sealed(); err == nil || got != nil || !strings.HasPrefix(err.Error(), key) {
			t.Errorf("%s got %v, %v", key, got, err)
		}
	}
}
