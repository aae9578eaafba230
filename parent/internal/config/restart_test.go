package config

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWhatAReloadMayChange(t *testing.T) {
	const text = "tee: {platform: nitro, egress: [{name: kms, host: a.b, port: 443, vsock_port: 8001}]}\n"
	before := load(t, text, nil, nil)
	for _, test := range []struct {
		name, text string
		sets       []string
		conflict   string
		restart    []string
	}{
		{"nothing", text, nil, "", nil},
		{"what is followed", least, []string{"parent.egress.max_connections=7", "parent.egress.allow_loopback=true", "network=mainnet"}, "", nil},
		{"what waits", text, []string{"log.level=debug", "parent.ingress.max_connections=7"}, "", []string{"log.level", "parent.ingress"}},
		{"the enclave's identifier", text, []string{"tee.enclave_cid=17", "log.level=debug"}, "tee.enclave_cid: cannot change while the parent runs, restart it", []string{"log.level"}},
		{"platform", text, []string{"tee.platform=simulated", "tee.simulated.socket_dir=/x"}, "tee.platform, tee.simulated.socket_dir: cannot change while the parent runs, restart it", nil},
		{"what the API's connections begin with", text, []string{"tls.proxy_protocol=true"}, "tls.proxy_protocol: cannot change while the parent runs, restart it", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			newer := load(t, test.text, nil, test.sets)
			conflict := ""
			if err := before.Contradicts(newer); err != nil {
				conflict = err.Error()
			}
			if conflict != test.conflict {
				t.Errorf("got %q, want %q", conflict, test.conflict)
			}
			if diff := cmp.Diff(test.restart, before.NeedRestart(newer)); diff != "" {
				t.Error(diff)
			}
		})
	}
}
