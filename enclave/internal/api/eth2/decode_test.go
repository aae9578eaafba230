package eth2

import (
	"strings"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/problem"
)

func checkMalformed(t *testing.T, req eth2.Request, err error, want string) {
	t.Helper()
	if req != nil {
		t.Error("a request came with the error")
	}
	if err == nil {
		t.Fatalf("accepted, want error %q", want)
	}
	if p := problem.Of(err); p.Kind != problem.Malformed || !strings.Contains(p.Public, want) {
		t.Errorf("%v %q, want malformed and %q", p.Kind, p.Public, want)
	}
}

// replace changes the one place where old stands.
func replace(t *testing.T, s, old, repl string) string {
	t.Helper()
	if strings.Count(s, old) != 1 {
		t.Fatalf("%q stands %d times in the body, want once", old, strings.Count(s, old))
	}
	return strings.Replace(s, old, repl, 1)
}

// attestationBody has no space between tokens and no signing root, so that a changed one stays valid but for the change.
const attestationBody = `{"type":"ATTESTATION","fork_info":{"fork":{"previous_version":"0x60000910",` +
	`"current_version":"0x70000910","epoch":"50688"},"genesis_validators_root":` +
	`"0x212f13fc4df078b6cb7db228f1c8307566dcecf900867401a92023d7ba99cb5f"},"attestation":{"slot":"1622080",` +
	`"index":"0","beacon_block_root":"0xabababababababababababababababababababababababababababababababab",` +
	`"source":{"epoch":"50689","root":"0x0101010101010101010101010101010101010101010101010101010101010101"},` +
	`"target":{"epoch":"50690","root":"0x0202020202020202020202020202020202020202020202020202020202020202"}}}`

func hoodi(tb testing.TB) *eth2.Network {
	tb.Helper()
	n, err := eth2.NetworkByName("hoodi")
	if err != nil {
		tb.Fatal(err)
	}
	return n
}

func TestDecodeAttestation(t *testing.T) {
	kind, req, err := decode(hoodi(t), []byte(attestationBody))
	if err != nil {
		t.Fatal(err)
	}
	a, ok := req.(*eth2.AttestationRequest)
	if !ok || kind != eth2.Attestation || a.Source != 50689 || a.Target != 50690 {
		t.Errorf("got %v %+v", kind, req)
	}
	if root, ok := req.ValidatorsRoot(); !ok || root != hoodi(t).ValidatorsRoot {
		t.Errorf("validators root %x, %v", root, ok)
	}
}

// TestTolerance: what differs between clients makes no difference to what is signed.
func TestTolerance(t *testing.T) {
	_, want, err := decode(hoodi(t), []byte(attestationBody))
	if err != nil {
		t.Fatal(err)
	}
	const signingRoot = `0xf14f2fa173f64ffffc7dd412abb9672c2e3618be82eaaf149d2d7ce8036d7793`
	for name, change := range map[string][2]string{
		"type in lower case":        {`"ATTESTATION"`, `"attestation"`},
		"type in mixed case":        {`"ATTESTATION"`, `"AttestatioN"`},
		"bare integers":             {`"epoch":"50690"`, `"epoch":50690`},
		"camel case versions":       {`"previous_version":"0x60000910","current_version"`, `"previousVersion":"0x60000910","currentVersion"`},
		"one camel case version":    {`"current_version"`, `"currentVersion"`},
		"upper case digits":         {`0x` + strings.Repeat("ab", 32), `0x` + strings.Repeat("AB", 32)},
		"unknown fields":            {`"index":"0"`, `"index":"0","proofs":[{"index":[1.5,-2e9,"}"]},null,true],"x":{"slot":"9"}`},
		"null signing root":         {`"type"`, `"signingRoot":null,"type"`},
		"null in the other":         {`"current_version"`, `"currentVersion":null,"current_version"`},
		"space between tokens":      {`"source":{"epoch":"50689",`, "\"source\" \t:\r\n { \"epoch\" : 50689 , "},
		"escapes in unknown values": {`"type"`, `"note":"\"}\\","type"`},
		"signingRoot":               {`"type"`, `"signingRoot":"` + signingRoot + `","type"`},
		"signing_root":              {`"type"`, `"signing_root":"` + signingRoot + `","type"`},
	} {
		t.Run(name, func(t *testing.T) {
			_, got, err := decode(hoodi(t), []byte("\n "+replace(t, attestationBody, change[0], change[1])+"\t"))
			if err != nil {
				t.Fatal(err)
			}
			if got.SigningRoot() != want.SigningRoot() {
				t.Errorf("signing root %x, want %x", got.SigningRoot(), want.SigningRoot())
			}
		})
	}
}

func TestBadAttestation(t *testing.T) {
	for name, tc := range map[string]struct{ old, repl, want string }{
		"missing type":            {`"type":"ATTESTATION",`, ``, "type: is missing"},
		"null type":               {`"ATTESTATION"`, `null`, "type: is missing"},
		"unknown type":            {`"ATTESTATION"`, `"GENERIC"`, `type: "GENERIC" is not a known signing type`},
		"empty type":              {`"ATTESTATION"`, `""`, `type: "" is not a known signing type`},
		"type with escape":        {`"ATTESTATION"`, `"\u0041TTESTATION"`, `type: "\\u0041TTESTATION" is not a known signing type`},
		"type not fit for a log":  {`"ATTESTATION"`, "\"a\x7f\u202e\xff\"", `type: "a\x7f\u202e\xff" is not a known signing type`},
		"type that is long":       {`"ATTESTATION"`, `"` + strings.Repeat("A", 5000) + `"`, `type: "` + strings.Repeat("A", 64) + `" is not a known signing type`},
		"type is no string":       {`"ATTESTATION"`, `7`, "type: is not a string"},
		"payload of another type": {`"ATTESTATION"`, `"RANDAO_REVEAL"`, "randao_reveal: is missing"},

		"missing fork_info":       {`"fork_info"`, `"fork_inf"`, "fork_info: is missing"},
		"fork_info is a string":   {`"fork_info":{`, `"fork_info":"x","f":{`, "fork_info: is not an object"},
		"missing fork":            {`"fork":`, `"fork1":`, "fork_info.fork: is missing"},
		"missing version":         {`"previous_version":"0x60000910",`, ``, "fork_info.fork.previous_version: is missing"},
		"both spellings":          {`"current_version"`, `"currentVersion":"0x70000910","current_version"`, "fork_info.fork.currentVersion: is given twice, also as current_version"},
		"short version":           {`0x70000910`, `0x700009`, "fork_info.fork.current_version: has 6 hexadecimal digits, want 8"},
		"missing validators root": {`"genesis_validators_root"`, `"root"`, "fork_info.genesis_validators_root: is missing"},
		"camel validators root":   {`"genesis_validators_root"`, `"genesisValidatorsRoot"`, "fork_info.genesis_validators_root: is missing"},

		"missing payload":      {`"attestation":`, `"Attestation":`, "attestation: is missing"},
		"payload is a list":    {`"attestation":{`, `"attestation":[{}],"x":{`, "attestation: is not an object"},
		"missing slot":         {`"slot":"1622080",`, ``, "attestation.slot: is missing"},
		"missing source":       {`"source"`, `"src"`, "attestation.source: is missing"},
		"missing target epoch": {`"epoch":"50690",`, ``, "attestation.target.epoch: is missing"},
		"null target epoch":    {`"50690"`, `null`, "attestation.target.epoch: is missing"},

		"float":          {`"50690"`, `50690.0`, "attestation.target.epoch: is not a decimal integer"},
		"float string":   {`"50690"`, `"50690.0"`, "attestation.target.epoch: is not a decimal integer"},
		"exponent":       {`"50690"`, `5e4`, "attestation.target.epoch: is not a decimal integer"},
		"negative":       {`"50690"`, `-1`, "attestation.target.epoch: is not a decimal integer"},
		"plus":           {`"50690"`, `"+1"`, "attestation.target.epoch: is not a decimal integer"},
		"negative text":  {`"50690"`, `"-1"`, "attestation.target.epoch: is not a decimal integer"},
		"leading zero":   {`"50690"`, `"050690"`, "attestation.target.epoch: is not a decimal integer"},
		"hexadecimal":    {`"50690"`, `"0xc602"`, "attestation.target.epoch: is not a decimal integer"},
		"space":          {`"50690"`, `" 50690"`, "attestation.target.epoch: is not a decimal integer"},
		"underscore":     {`"50690"`, `"50_690"`, "attestation.target.epoch: is not a decimal integer"},
		"quotes within":  {`"50690"`, `"\"50690\""`, "attestation.target.epoch: is not a decimal integer"},
		"empty":          {`"50690"`, `""`, "attestation.target.epoch: is not a decimal integer"},
		"bool":           {`"50690"`, `true`, "attestation.target.epoch: is not a decimal integer"},
		"list":           {`"50690"`, `[50690]`, "attestation.target.epoch: is not a decimal integer"},
		"2^64":           {`"50690"`, `"18446744073709551616"`, "attestation.target.epoch: is larger than 64 bits"},
		"very large":     {`"50690"`, strings.Repeat("9", 1000), "attestation.target.epoch: is larger than 64 bits"},
		"root too short": {`"0x` + strings.Repeat("01", 32), `"0x` + strings.Repeat("01", 31), "attestation.source.root: has 62 hexadecimal digits, want 64"},
		"root too long":  {`"0x` + strings.Repeat("01", 32), `"0x` + strings.Repeat("01", 33), "attestation.source.root: has 66 hexadecimal digits, want 64"},
		"root without 0x": {
			`"0x` + strings.Repeat("01", 32), `"` + strings.Repeat("01", 32), "attestation.source.root: does not begin with 0x",
		},
		"root with 0X":  {`"0x` + strings.Repeat("01", 32), `"0X` + strings.Repeat("01", 32), "attestation.source.root: does not begin with 0x"},
		"root not hex":  {strings.Repeat("01", 32), strings.Repeat("01", 31) + "0g", "attestation.source.root: is not hexadecimal"},
		"root a number": {`"0x` + strings.Repeat("01", 32) + `"`, `1`, "attestation.source.root: is not a string"},

		"key twice":             {`"slot":"1622080",`, `"slot":"1622080","slot":"1622080",`, "attestation.slot: is given twice"},
		"key twice, once null":  {`"slot":"1622080",`, `"slot":"1622080","slot":null,`, "attestation.slot: is given twice"},
		"type twice":            {`"type":`, `"type":"DEPOSIT","type":`, "type: is given twice"},
		"unknown key twice":     {`"slot":"1622080",`, `"slot":"1622080","x":1,"x":1,`, "attestation.x: is given twice"},
		"key not fit for a log": {`"slot":"1622080",`, "\"slot\":\"1622080\",\"\u202e\":1,\"\u202e\":1,", `attestation.\u202e: is given twice`},
		"key with escape":       {`"slot":"1622080",`, `"slot":"1622080","sl\u006ft":"1",`, "attestation: has a key with an escape sequence"},
		"too many keys":         {`"type":`, manyKeys(30) + `"type":`, "body: has more than 32 fields"},

		"signing root too short":   {`"type"`, `"signingRoot":"0x00","type"`, "signingRoot: has 2 hexadecimal digits, want 64"},
		"signing root no hex":      {`"type"`, `"signingRoot":"zzzddd","type"`, "signingRoot: does not begin with 0x"},
		"signing root mismatch":    {`"type"`, `"signingRoot":"0x` + strings.Repeat("00", 32) + `","type"`, "signingRoot: differs from the signing root of this request, 0xf14f"},
		"signing_root mismatch":    {`"type"`, `"signing_root":"0x` + strings.Repeat("00", 32) + `","type"`, "signing_root: differs from the signing root"},
		"signing root twice":       {`"type"`, `"signingRoot":"0x00","signing_root":"0x00","type"`, "signing_root: is given twice, also as signingRoot"},
		"trailing data":            {`"}}}`, `"}}}{}`, "body is not JSON"},
		"trailing comma":           {`"}}}`, `"}},}`, "body is not JSON"},
		"truncated":                {`"}}}`, `"}}`, "body is not JSON"},
		"deeply nested":            {`"type"`, `"x":` + strings.Repeat("[", 50000) + strings.Repeat("]", 50000) + `,"type"`, "body is not JSON"},
		"deep, but still valid":    {`"type":"ATTESTATION"`, `"x":` + strings.Repeat(`[{"":`, 4000) + "1" + strings.Repeat("}]", 4000), "type: is missing"},
		"unknown key that is long": {`"type"`, `"` + strings.Repeat("k", 5000) + `":1,"` + strings.Repeat("k", 5000) + `":1,"type"`, strings.Repeat("k", 64) + ": is given twice"},
	} {
		t.Run(name, func(t *testing.T) {
			_, req, err := decode(hoodi(t), []byte(replace(t, attestationBody, tc.old, tc.repl)))
			checkMalformed(t, req, err, tc.want)
			if err != nil && len(err.Error()) > 200 {
				t.Errorf("the error is %d bytes long", len(err.Error()))
			}
		})
	}
}

func manyKeys(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(`"k` + strings.Repeat("x", i) + `":1,`)
	}
	return b.String()
}

func TestBadBody(t *testing.T) {
	for name, tc := range map[string]struct{ body, want string }{
		"empty":                   {"", "body is not JSON"},
		"text":                    {"NOT_A_JSON", "body is not JSON"},
		"string":                  {`"a string"`, "body is not a JSON object"},
		"list":                    {`[{"type":"ATTESTATION"}]`, "body is not a JSON object"},
		"null":                    {`null`, "body is not a JSON object"},
		"number":                  {` 1 `, "body is not a JSON object"},
		"empty object":            {`{}`, "type: is missing"},
		"other fields":            {`{"invalid": "json body"}`, "type: is missing"},
		"null root, no type":      {`{"signingRoot":null}`, "type: is missing"},
		"bad root, no type":       {`{"signingRoot":"zzzddd"}`, "type: is missing"},
		"two objects":             {`{}{}`, "body is not JSON"},
		"byte order mark":         {"\ufeff{}", "body is not JSON"},
		"only type":               {`{"type":"VOLUNTARY_EXIT"}`, "fork_info: is missing"},
		"registration, no fork":   {`{"type":"VALIDATOR_REGISTRATION"}`, "validator_registration: is missing"},
		"deposit, no fork":        {`{"type":"DEPOSIT","deposit":{}}`, "deposit.pubkey: is missing"},
		"deposit without version": {`{"type":"DEPOSIT","deposit":{"pubkey":"0x` + strings.Repeat("0", 96) + `","withdrawal_credentials":"0x` + strings.Repeat("0", 64) + `","amount":1}}`, "deposit.genesis_fork_version: is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			_, req, err := decode(hoodi(t), []byte(tc.body))
			checkMalformed(t, req, err, tc.want)
		})
	}
}

func TestBadOfOtherKinds(t *testing.T) {
	for name, tc := range map[string]struct{ golden, old, repl, want string }{
		"block without header":      {"BLOCK_V2 (FULU)", `"block_header"`, `"header"`, "beacon_block.block_header: is missing"},
		"block without version":     {"BLOCK_V2 (FULU)", `"version"`, `"v"`, "beacon_block.version: is missing"},
		"block of phase0":           {"BLOCK_V2 (FULU)", `"FULU"`, `"PHASE0"`, "beacon_block.version: is a fork before BELLATRIX"},
		"block of altair":           {"BLOCK_V2 (FULU)", `"FULU"`, `"altair"`, "beacon_block.version: is a fork before BELLATRIX"},
		"block of no fork":          {"BLOCK_V2 (FULU)", `"FULU"`, `""`, "beacon_block.version: is empty"},
		"full block in V2":          {"BLOCK_V2 (FULU)", `"block_header"`, `"block"`, "beacon_block.block: is a full block"},
		"contribution bits":         {"SYNC_COMMITTEE_CONTRIBUTION_AND_PROOF", `"0x24"`, `"0x` + strings.Repeat("00", 17) + `"`, "contribution_and_proof.contribution.aggregation_bits: has 34 hexadecimal digits, want at most 32"},
		"contribution half a byte":  {"SYNC_COMMITTEE_CONTRIBUTION_AND_PROOF", `"0x24"`, `"0x2"`, "aggregation_bits: has an odd number of hexadecimal digits"},
		"aggregate without bits":    {"AGGREGATE_AND_PROOF (DEPRECATED)", `"0x00000101"`, `"0x"`, "aggregate_and_proof.aggregate: aggregation_bits: bit list does not end with its length bit"},
		"aggregate with zero bits":  {"AGGREGATE_AND_PROOF (DEPRECATED)", `"0x00000101"`, `"0x00"`, "aggregate_and_proof.aggregate: aggregation_bits: bit list does not end with its length bit"},
		"aggregate with many bits":  {"AGGREGATE_AND_PROOF (DEPRECATED)", `"0x00000101"`, `"0x` + strings.Repeat("00", 256) + `02"`, "aggregation_bits: bit list of 2049 bits is longer than 2048"},
		"aggregate with most bits":  {"AGGREGATE_AND_PROOF (DEPRECATED)", `"0x00000101"`, `"0x` + strings.Repeat("00", 16384) + `0100"`, "aggregate_and_proof.aggregate.aggregation_bits: has 32772 hexadecimal digits, want at most 32770"},
		"aggregate in two shapes":   {"AGGREGATE_AND_PROOF (DEPRECATED)", `"aggregator_index"`, `"data":{},"aggregator_index"`, "aggregate_and_proof.data: is given beside aggregate"},
		"aggregate, V2, path":       {"AGGREGATE_AND_PROOF_V2 (FULU)", `"committee_bits":"0x`, `"committee_bits":"0x00`, "aggregate_and_proof.data.aggregate.committee_bits: has 18 hexadecimal digits, want 16"},
		"aggregate, no proof":       {"AGGREGATE_AND_PROOF_V2 (FULU)", `"selection_proof"`, `"proof"`, "aggregate_and_proof.data.selection_proof: is missing"},
		"registration, fee address": {"VALIDATOR_REGISTRATION", `"fee_recipient":"0x`, `"fee_recipient":"0x00`, "validator_registration.fee_recipient: has 42 hexadecimal digits, want 40"},
	} {
		t.Run(name, func(t *testing.T) {
			body := strings.NewReplacer(" ", "", "\n", "").Replace(goldenBody(t, tc.golden))
			_, req, err := decode(goldenNetwork(), []byte(replace(t, body, tc.old, tc.repl)))
			checkMalformed(t, req, err, tc.want)
		})
	}
}

// TestAggregateByShape: either type name takes either shape, whatever its version says.
func TestAggregateByShape(t *testing.T) {
	v2 := goldenBody(t, "AGGREGATE_AND_PROOF_V2 (FULU)")
	old := replace(t, v2, `AGGREGATE_AND_PROOF_V2`, `AGGREGATE_AND_PROOF`)
	bare := goldenBody(t, "AGGREGATE_AND_PROOF (DEPRECATED)")
	for name, body := range map[string]string{
		"old name, new shape": old,
		"new name, old shape": replace(t, bare, `AGGREGATE_AND_PROOF`, `AGGREGATE_AND_PROOF_V2`),
		"another version":     replace(t, old, `"FULU"`, `"phase0"`),
		"no version":          replace(t, old, `"version"`, `"v"`),
	} {
		t.Run(name, func(t *testing.T) {
			if _, _, err := decode(goldenNetwork(), []byte(body)); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestLaterFork: a header is that of a block in every fork, also in one that is not known yet.
func TestLaterFork(t *testing.T) {
	body := goldenBody(t, "BLOCK_V2 (FULU)")
	for _, version := range []string{`"GLOAS"`, `"heze"`} {
		if _, _, err := decode(goldenNetwork(), []byte(replace(t, body, `"FULU"`, version))); err != nil {
			t.Errorf("%s: %v", version, err)
		}
	}
}
