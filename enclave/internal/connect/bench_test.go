package connect_test

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/shared/atls"
)

// vote is as long as a client's.
const vote = `{"type":"ATTESTATION","fork_info":{"fork":{"previous_version":"0x60000910","current_version":"0x70000910","epoch":"50688"},"genesis_validators_root":"0x212f13fc4df078b6cb7db228f1c8307566dcecf900867401a92023d7ba99cb5f"},"signingRoot":"0x548c9a015f4c96cb8b1ddbbdfca85846f85bf9f344a434c140f378cdfb5341f0","attestation":{"slot":"3200000","index":"0","beacon_block_root":"0xb2eedb01adbd02c828d5eec09b4c70cbba12ffffba525ebf48aca33028e8ad89","source":{"epoch":"99999","root":"0xb2eedb01adbd02c828d5eec09b4c70cbba12ffffba525ebf48aca33028e8ad89"},"target":{"epoch":"100000","root":"0xb2eedb01adbd02c828d5eec09b4c70cbba12ffffba525ebf48aca33028e8ad89"}}}`

// BenchmarkRequest is one request after the other to a signer that answers at once: over a connection that its client verified by
// itself, and through the proxy.
func BenchmarkRequest(b *testing.B) {
	s := enclave(b, newHypervisor(b, nil, image()), echo).start(b)
	b.Run("attested", func(b *testing.B) {
		transport, err := atls.NewTransport(atls.TransportOptions{Servers: map[string]atls.Options{s.listener.Addr().String(): s.options()}})
		check(b, err)
		defer transport.Close()
		requests(b, &http.Client{Transport: transport}, "https://"+s.listener.Addr().String())
	})
	b.Run("connected", func(b *testing.B) {
		p := join(b, s)
		requests(b, p.client, p.url)
	})
}

func requests(b *testing.B, client *http.Client, base string) {
	b.Helper()
	var took []time.Duration
	for b.Loop() {
		begun := time.Now()
		res, body, err := ask(b, client, http.MethodPost, base+signPath, vote)
		took = append(took, time.Since(begun))
		if err != nil || res.StatusCode != http.StatusOK || body != vote {
			b.Fatal(res, body, err)
		}
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Nanoseconds()), "p50-ns")
	b.ReportMetric(float64(took[len(took)*99/100].Nanoseconds()), "p99-ns")
}
