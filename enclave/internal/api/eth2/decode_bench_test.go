package eth2

import (
	"strconv"
	"strings"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
)

// largeEnvelope is an envelope of about mebibytes MiB of JSON, in transactions of 1 KiB and one that is half of it.
func largeEnvelope(tb testing.TB, mebibytes int) string {
	tb.Helper()
	half := mebibytes << 19
	small := `"0x` + strings.Repeat("5a", 1<<10) + `",`
	list := strings.Repeat(small, half/len(small)) + `"0x` + strings.Repeat("c3", half/2) + `"`
	body := strings.NewReplacer("\n", "", " ", "").Replace(goldenBody(tb, "EXECUTION_PAYLOAD_ENVELOPE 0"))
	return strings.Replace(strings.Replace(body, `"transactions":[]`, `"transactions":[`+list+`]`, 1), `"signingRoot"`, `"unread"`, 1)
}

// emptyTransactions is an envelope of as many transactions as may be, of nothing.
func emptyTransactions(tb testing.TB) string {
	tb.Helper()
	return strings.Replace(largeEnvelope(tb, 0), `"transactions":["0x"]`, `"transactions":[`+strings.Repeat(`"0x",`, maxTransactions-1)+`"0x"]`, 1)
}

// shortKeys is an envelope of as many exits as may be, each of as many fields as may be.
func shortKeys(tb testing.TB) string {
	tb.Helper()
	var keys strings.Builder
	for i := range maxMembers - 2 {
		keys.WriteString(`"` + strconv.Itoa(10+i) + `":1,`)
	}
	exit := `{` + keys.String() + exitRequest[1:]
	return strings.Replace(largeEnvelope(tb, 0), `"builder_exits":[]`, `"builder_exits":[`+strings.Repeat(exit+`,`, maxObjects-1)+exit+`]`, 1)
}

// escapedQuotes is an envelope of 32 MiB of quotes that end no string, in the innermost object.
func escapedQuotes(tb testing.TB) string {
	tb.Helper()
	return strings.Replace(largeEnvelope(tb, 0), `"transactions":["0x"]`, `"transactions":[],"x":"`+strings.Repeat(`\"`, 16<<20)+`"`, 1)
}

// BenchmarkDecode ends with bodies that cost much for their size.
func BenchmarkDecode(b *testing.B) {
	for _, bc := range []struct {
		name, body string
		network    *eth2.Network
	}{
		{"attestation", attestationBody, hoodi(b)},
		{"aggregate", goldenBody(b, "AGGREGATE_AND_PROOF_V2 300 bits"), hoodi(b)},
		{"envelope of 1 MiB", largeEnvelope(b, 1), hoodi(b)},
		{"envelope of 32 MiB", largeEnvelope(b, 32), hoodi(b)},
		{"envelope of empty transactions", emptyTransactions(b), hoodi(b)},
		{"envelope of short keys", shortKeys(b), hoodi(b)},
		{"envelope of escaped quotes", escapedQuotes(b), hoodi(b)},
	} {
		b.Run(bc.name, func(b *testing.B) {
			body := []byte(bc.body)
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := decode(bc.network, body); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestDecodeAllocates little: the document and the request, whatever the size of the body.
func TestDecodeAllocates(t *testing.T) {
	network := hoodi(t)
	for name, tc := range map[string]struct {
		body string
		most float64
	}{
		"attestation": {attestationBody, 4},
		"envelope":    {largeEnvelope(t, 1), 40},
	} {
		body := []byte(tc.body)
		got := testing.AllocsPerRun(10, func() {
			if _, _, err := decode(network, body); err != nil {
				t.Fatal(err)
			}
		})
		if got > tc.most {
			t.Errorf("%s: %v allocations, want at most %v", name, got, tc.most)
		}
	}
}
