package config

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestEnclaveKeysPass holds what the parent may not do to keys that it does not read: a switch stays a switch, the digits of a
// version stay as written, and entries keep their order. What environment and flags set arrives as quoted text.
func TestEnclaveKeysPass(t *testing.T) {
	text := least + `network: custom
custom_network:
  genesis_validators_root: 0xd61ea484febacfae5298d52a2b581f3e305a51f3112a9241b968dccf019f7b11
  genesis_fork_version: 0x10000038 # a number to YAML
  forks:
    - {name: bellatrix, version: 0x00000010}
    - name: altair
      version: "0x20000038"
http:
  max_concurrent_requests: 100
  experimental: {batch_sign: true}
signing: {canary_keys: [0xABCD]}
`
	want := `custom_network:
    forks:
        - {name: bellatrix, version: 0x00000010}
        - name: altair
          version: "0x20000038"
    genesis_fork_version: 0x10000038
    genesis_validators_root: 0xd61ea484febacfae5298d52a2b581f3e305a51f3112a9241b968dccf019f7b11
    slots_per_epoch: "16"
http:
    experimental:
        batch_sign: true
    max_concurrent_requests: 100
network: custom
signing:
    canary_keys: [0xABCD]
tee:
    platform: nitro
`
	environ := []string{"CONTAINMENT_CUSTOM_NETWORK__SLOTS_PER_EPOCH=16"}
	if diff := cmp.Diff(want, string(load(t, text, environ, nil).Merged)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}

	c := load(t, least, []string{"CONTAINMENT_HTTP__EXPERIMENTAL__BATCH_SIGN=false"}, []string{"custom_network.genesis_fork_version=0x10000038", "http.experimental.batch_sign=true"})
	want = "custom_network:\n    genesis_fork_version: \"0x10000038\"\nhttp:\n    experimental:\n        batch_sign: \"true\"\ntee:\n    platform: nitro\n"
	if diff := cmp.Diff(want, string(c.Merged)); diff != "" {
		t.Errorf("set outside of the file (-want +got):\n%s", diff)
	}
}
