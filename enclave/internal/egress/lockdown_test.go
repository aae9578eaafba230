package egress

import (
	"net"
	"net/http"
	"strings"
	"testing"
)

func TestLockdown(t *testing.T) {
	transport, resolver := http.DefaultTransport, net.DefaultResolver //nolint:forbidigo // to see that they come back
	restore := Lockdown()
	defer restore()

	for name, client := range map[string]*http.Client{
		"default": {},
		"clone":   {Transport: http.DefaultTransport.(*http.Transport).Clone()}, //nolint:forbidigo // as libraries do
	} {
		_, err := client.Get("http://example.com/secret")
		if err == nil || !strings.Contains(err.Error(), "egress is locked: example.com:80 is wanted through http.DefaultTransport") {
			t.Errorf("%s client: %v", name, err)
		}
	}
	_, err := net.DefaultResolver.LookupHost(t.Context(), "forgotten.example.com")
	if err == nil || !strings.Contains(err.Error(), "lookup forgotten.example.com") || !strings.Contains(err.Error(), "egress is locked") {
		t.Errorf("lookup: %v", err)
	}
	var plain net.Dialer
	_, err = plain.DialContext(t.Context(), "tcp", "forgotten.example.com:443")
	if err == nil || !strings.Contains(err.Error(), "lookup forgotten.example.com") || !strings.Contains(err.Error(), "egress is locked") {
		t.Errorf("plain dialer: %v", err)
	}

	restore()
	if http.DefaultTransport != transport || net.DefaultResolver != resolver { //nolint:forbidigo // to see that they came back
		t.Error("not restored")
	}
}
