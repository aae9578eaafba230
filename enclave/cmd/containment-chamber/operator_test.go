package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/operator"
)

// TestOperatorStatusAnswers: what the signer sends is printed, or why there is nothing to print.
func TestOperatorStatusAnswers(t *testing.T) {
	for name, test := range map[string]struct {
		code           int
		body, out, err string
	}{
		"a status":      {200, `{"seal":{"status":"not_applicable","reason":"r"},"keys":{"total":1}}`, "{\n  \"seal\": {\n    \"status\": \"not_applicable\",", ""},
		"a newer one":   {200, `{"seal":{"status":"sealed"},"quorum":3}`, "\"quorum\": 3", ""},
		"starting":      {503, `{"message":"starting: stage keys is not done"}`, "", `the signer answers 503 Service Unavailable: "{\"message\":\"starting: stage keys is not done\"}"`},
		"no such route": {404, "", "", "the signer does not serve /api/v1/operator/status"},
		"redirect":      {307, "", "", "the signer answers 307"},
		"not JSON":      {200, "<html>", "", "the signer's answer: invalid character '<'"},
		"nothing":       {200, "", "", "the signer's answer: unexpected end of JSON input"},
	} {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/below"+operator.RouteStatus {
					t.Errorf("asked for %s", r.URL)
				}
				w.Header().Set("Location", "/upcheck")
				w.WriteHeader(test.code)
				_, _ = w.Write([]byte(test.body))
			}))
			t.Cleanup(s.Close)
			code, out, errs := command(t, "operator", "status", "--signer-url", s.URL+"/below")
			if (code == exitOK) != (test.err == "") || !strings.Contains(out, test.out) || !strings.Contains(errs, test.err) {
				t.Errorf("exit code %d, %q, %q; want %q and %q", code, out, errs, test.out, test.err)
			}
		})
	}
}

// TestStatusTable: what is wrong stands out, and nothing of the signer's reaches the terminal as more than text.
func TestStatusTable(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	var s operator.Status
	if err := json.Unmarshal([]byte(`{"seal":{"status":"not_applicable","reason":"\u001b[2Jr"},"healthy":false,"build":"0.1.0","platform":"nitro","network":"hoodi",
		"started":"2026-03-01T11:00:00Z","attestation":{"error":"chain: expired","module_id":"i-1-enc2","age_seconds":90,"not_after":"2026-03-01T13:00:00Z",
		"certificate_not_after":"2026-03-01T12:59:00Z","pcrs":{"PCR0":"\u009b2J"},"config_digest":"00","debug":true},
		"keys":{"total":3,"sources":{"filesystem":2,"memory":1}},
		"checks":[{"id":"slashing-protection","up":false,"reason":"disk full","data":{"backend":"sqlite\u009b2J"}},{"id":"keys","up":true}]}`), &s); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := printStatus(&out, s, now); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"signer               NOT HEALTHY, build 0.1.0, network hoodi, platform nitro\n",
		"started              2026-03-01T11:00:00Z, 1h0m0s ago\n", `not_applicable: "\x1b[2Jr"`, "NOT VALID: chain: expired\n", "DEBUG MODE",
		"i-1-enc2, 1m30s old, ends in 1h0m0s; its certificate in 59m0s\n", `PCR0                 "\u009b2J"`, "keys                 3: 2 from filesystem, 1 from memory\n",
		"slashing-protection  DOWN: disk full  {\"backend\":\"sqlite\ufffd2J\"}\n", "keys                 up\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	out.Reset()
	if err := printStatus(&out, operator.Status{}, now); err != nil || !strings.Contains(out.String(), "attestation  none\n") {
		t.Errorf("%v %s", err, &out)
	}
}
