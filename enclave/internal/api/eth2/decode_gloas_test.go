package eth2

import (
	"strings"
	"testing"
)

// compact is a golden body without space.
func compact(t *testing.T, name string) string {
	t.Helper()
	return strings.NewReplacer(" ", "", "\n", "").Replace(goldenBody(t, name))
}

// change is one change to a golden body, and what the error must say.
type change struct{ golden, old, repl, want string }

func checkChanges(t *testing.T, changes map[string]change) {
	t.Helper()
	for name, tc := range changes {
		t.Run(name, func(t *testing.T) {
			_, req, err := decode(hoodi(t), []byte(replace(t, compact(t, tc.golden), tc.old, tc.repl)))
			checkMalformed(t, req, err, tc.want)
		})
	}
}

func TestBadWrapper(t *testing.T) {
	const message, bare = "PAYLOAD_ATTESTATION_MESSAGE", "PAYLOAD_ATTESTATION lighthouse"
	checkChanges(t, map[string]change{
		"missing payload":       {message, `"payload_attestation_message"`, `"x"`, "payload_attestation_message: is missing"},
		"null payload":          {bare, `"payload_attestation_data":{`, `"payload_attestation_data":null,"x":{`, "payload_attestation_message: is missing"},
		"payload is a list":     {bare, `"payload_attestation_data":{`, `"payload_attestation_data":[],"x":{`, "payload_attestation_data: is not an object"},
		"two spellings":         {bare, `"payload_attestation_data":{`, `"payload_attestation_message":{},"payload_attestation_data":{`, "payload_attestation_data: is given twice, also as payload_attestation_message"},
		"two other spellings":   {bare, `"payload_attestation_data":{`, `"payload_attestation":{},"payload_attestation_data":{`, "payload_attestation: is given twice, also as payload_attestation_data"},
		"wrapped and bare":      {message, `"version":"GLOAS"`, `"version":"GLOAS","slot":"1"`, "payload_attestation_message.data: is given beside slot"},
		"no version":            {message, `"version":"GLOAS",`, ``, "payload_attestation_message.version: is missing"},
		"version before gloas":  {message, `"GLOAS"`, `"FULU"`, "payload_attestation_message.version: is a fork before GLOAS"},
		"version in lower case": {message, `"GLOAS"`, `"phase0"`, "payload_attestation_message.version: is a fork before GLOAS"},
		"empty version":         {message, `"GLOAS"`, `""`, "payload_attestation_message.version: is empty"},
		"version is a number":   {message, `"GLOAS"`, `7`, "payload_attestation_message.version: is not a string"},
		"data is a list":        {message, `"data":{`, `"data":[],"x":{`, "payload_attestation_message.beacon_block_root: is missing"},
		"no fork_info":          {message, `"fork_info"`, `"x"`, "fork_info: is missing"},
		"wrong root":            {message, `"signingRoot":"0x`, `"signing_root":"0x` + strings.Repeat("00", 32) + `","x":"`, "signing_root: differs from the signing root"},
		"request auth twice":    {"REQUEST_AUTH lighthouse", `"request_auth":{`, `"builder_request_auth":{},"request_auth":{`, "request_auth: is given twice, also as builder_request_auth"},
		"request auth in fulu":  {"BUILDER_REQUEST_AUTH 20", `"GLOAS"`, `"Fulu"`, "builder_request_auth.version: is a fork before GLOAS"},
	})
}

func TestBadGloasFields(t *testing.T) {
	const (
		message, bid         = "PAYLOAD_ATTESTATION_MESSAGE", "EXECUTION_PAYLOAD_BID 0 commitments"
		preferences, request = "PROPOSER_PREFERENCES", "BUILDER_REQUEST_AUTH 20"
	)
	hex48 := "0x" + strings.Repeat("ab", 48)
	commitments := func(list string) [2]string {
		return [2]string{`"blob_kzg_commitments":[]`, `"blob_kzg_commitments":` + list}
	}
	changes := map[string]change{
		"boolean is a number":  {message, `"payload_present":true`, `"payload_present":1`, "payload_attestation_message.data.payload_present: is neither true nor false"},
		"boolean in capitals":  {message, `"payload_present":true`, `"payload_present":"True"`, "payload_present: is neither true nor false"},
		"boolean is null":      {message, `"payload_present":true`, `"payload_present":null`, "payload_present: is missing"},
		"boolean is missing":   {message, `"blob_data_available":false`, `"x":false`, "blob_data_available: is missing"},
		"boolean twice":        {message, `"payload_present":true`, `"payload_present":true,"payload_present":true`, "payload_attestation_message.data.payload_present: is given twice"},
		"slot twice":           {message, `"data":{`, `"data":{"slot":"1","y":{"x":1},`, "payload_attestation_message.data.slot: is given twice"},
		"float gas limit":      {preferences, `"target_gas_limit":"`, `"target_gas_limit":1.5,"x":"`, "proposer_preferences.data.target_gas_limit: is not a decimal integer"},
		"gas limit of 2^64":    {preferences, `"target_gas_limit":"`, `"target_gas_limit":18446744073709551616,"x":"`, "target_gas_limit: is larger than 64 bits"},
		"negative index":       {preferences, `"validator_index":"`, `"validator_index":"-1","x":"`, "validator_index: is not a decimal integer"},
		"short address":        {preferences, `"fee_recipient":"0x`, `"fee_recipient":"0x00","x":"`, "fee_recipient: has 2 hexadecimal digits, want 40"},
		"upper case 0X":        {preferences, `"dependent_root":"0x`, `"dependent_root":"0X`, "dependent_root: does not begin with 0x"},
		"no proposal_slot":     {preferences, `"proposal_slot"`, `"slot"`, "proposer_preferences.data.proposal_slot: is missing"},
		"auth data too long":   {request, `"data":"0x`, `"data":"0x` + strings.Repeat("00", 4077), "builder_request_auth.data.data: has 8194 hexadecimal digits, want at most 8192"},
		"auth data half":       {request, `"data":"0x`, `"data":"0x0`, "builder_request_auth.data.data: has an odd number of hexadecimal digits"},
		"auth data a number":   {request, `"data":"0x`, `"data":7,"x":"0x`, "builder_request_auth.data.data: is not a string"},
		"auth without slot":    {request, `"slot"`, `"x"`, "builder_request_auth.data.slot: is missing"},
		"value is missing":     {bid, `"value"`, `"x"`, "execution_payload_bid.data.value: is missing"},
		"payment is an object": {bid, `"execution_payment":"`, `"execution_payment":{},"x":"`, "execution_payment: is not a decimal integer"},
	}
	for name, tc := range map[string][2]string{
		`{}`:                                  {"not a list", "execution_payload_bid.data.blob_kzg_commitments: is not an array"},
		`null`:                                {"null list", "blob_kzg_commitments: is missing"},
		`"[]"`:                                {"text", "blob_kzg_commitments: is not an array"},
		`["0x00"]`:                            {"short", "execution_payload_bid.data.blob_kzg_commitments[0]: has 2 hexadecimal digits, want 96"},
		`["` + hex48 + `",null]`:              {"null element", "blob_kzg_commitments[1]: is not a string"},
		`["` + hex48 + `",["` + hex48 + `"]]`: {"nested", "blob_kzg_commitments[1]: is not a string"},
		`[` + strings.Repeat(`"`+hex48+`",`, 4096) + `"` + hex48 + `"]`: {"too many", "blob_kzg_commitments: has more than 4096 elements"},
	} {
		c := commitments(name)
		changes["commitments, "+tc[0]] = change{bid, c[0], c[1], tc[1]}
	}
	checkChanges(t, changes)
}

func TestBadEnvelope(t *testing.T) {
	const e = "EXECUTION_PAYLOAD_ENVELOPE 0" // with empty lists
	fee := `"base_fee_per_gas":"`
	checkChanges(t, map[string]change{
		"no payload":             {e, `"payload":`, `"x":`, "execution_payload_envelope.data.payload: is missing"},
		"no requests":            {e, `"execution_requests":`, `"x":`, "execution_payload_envelope.data.execution_requests: is missing"},
		"no builder deposits":    {e, `"builder_deposits":[]`, `"x":[]`, "execution_requests.builder_deposits: is missing"},
		"no builder exits":       {e, `,"builder_exits":[]`, ``, "execution_requests.builder_exits: is missing"},
		"null consolidations":    {e, `"consolidations":[]`, `"consolidations":null`, "execution_requests.consolidations: is missing"},
		"request is no object":   {e, `"builder_exits":[]`, `"builder_exits":["x"]`, "execution_requests.builder_exits[0]: is not an object"},
		"request without fields": {e, `"builder_exits":[]`, `"builder_exits":[{}]`, "execution_requests.builder_exits[0].source_address: is missing"},
		"second request":         {e, `"deposits":[],"withdrawals":[],"cons`, `"deposits":[],"withdrawals":[` + withdrawalRequest + `,` + strings.Replace(withdrawalRequest, `"7"`, `"x"`, 1) + `],"cons`, "execution_requests.withdrawals[1].amount: is not a decimal integer"},
		"too many requests":      {e, `"builder_exits":[]`, `"builder_exits":[` + strings.Repeat(exitRequest+`,`, 8192) + `{}]`, "execution_requests.builder_exits: has more than 8192 elements"},
		"base fee of 2^256":      {e, fee, fee + `115792089237316195423570985008687907853269984665640564039457584007913129639936","x":"`, "payload.base_fee_per_gas: is larger than 256 bits"},
		"long base fee":          {e, fee, fee + strings.Repeat("9", 100000) + `","x":"`, "payload.base_fee_per_gas: is larger than 256 bits"},
		"negative base fee":      {e, fee, fee + `-1","x":"`, "payload.base_fee_per_gas: is not a decimal integer"},
		"hexadecimal base fee":   {e, fee, fee + `0x1","x":"`, "payload.base_fee_per_gas: is not a decimal integer"},
		"long extra data":        {e, `"extra_data":"0x`, `"extra_data":"0x` + strings.Repeat("00", 33), "payload.extra_data: has 66 hexadecimal digits, want at most 64"},
		"short bloom":            {e, `"logs_bloom":"0x`, `"logs_bloom":"0x","x":"0x`, "payload.logs_bloom: has 0 hexadecimal digits, want 512"},
		"transaction half":       {e, `"transactions":[]`, `"transactions":["0x0"]`, "payload.transactions[0]: has an odd number of hexadecimal digits"},
		"transaction not hex":    {e, `"transactions":[]`, `"transactions":["0x00","0x` + strings.Repeat("00", 2000) + `zz"]`, "payload.transactions[1]: is not hexadecimal"},
		"transaction with quote": {e, `"transactions":[]`, `"transactions":["0x00\"]\\"]`, "payload.transactions[0]: "},
		"transaction no 0x":      {e, `"transactions":[]`, `"transactions":["00"]`, "payload.transactions[0]: does not begin with 0x"},
		"transaction a number":   {e, `"transactions":[]`, `"transactions":[0]`, "payload.transactions[0]: is not a string"},
		"many transactions":      {e, `"transactions":[]`, `"transactions":[` + strings.Repeat(`"0x",`, 1<<17) + `"0x"]`, "payload.transactions: has more than 131072 elements"},
		"no access list":         {e, `"block_access_list"`, `"x"`, "payload.block_access_list: is missing"},
		"access list is a list":  {e, `"block_access_list":"0x"`, `"block_access_list":[]`, "payload.block_access_list: is not a string"},
		"no slot number":         {e, `"slot_number"`, `"slot"`, "payload.slot_number: is missing"},
	})
}

const (
	withdrawalRequest = `{"source_address":"0x1111111111111111111111111111111111111111","validator_pubkey":"0x22222222222222222222222222222222` +
		`2222222222222222222222222222222222222222222222222222222222222222","amount":"7"}`
	exitRequest = `{"source_address":"0x1111111111111111111111111111111111111111","pubkey":"0x22222222222222222222222222222222` +
		`2222222222222222222222222222222222222222222222222222222222222222"}`
)

// TestGloasTolerance: what may differ makes no difference to what is signed.
func TestGloasTolerance(t *testing.T) {
	for name, tc := range map[string]struct{ golden, old, repl string }{
		"version in lower case":      {"PROPOSER_PREFERENCES", `"GLOAS"`, `"gloas"`},
		"later version":              {"PROPOSER_PREFERENCES", `"GLOAS"`, `"HEZE"`},
		"bare under the usual name":  {"PAYLOAD_ATTESTATION lighthouse", `"payload_attestation_data"`, `"payload_attestation_message"`},
		"usual type, other field":    {"PAYLOAD_ATTESTATION lighthouse", `"PAYLOAD_ATTESTATION"`, `"payload_attestation_message"`},
		"null beside the other name": {"REQUEST_AUTH lighthouse", `"request_auth":{`, `"builder_request_auth":null,"request_auth":{`},
		"boolean in a string":        {"PAYLOAD_ATTESTATION_MESSAGE", `"payload_present":true`, `"payload_present":"true"`},
		"false in a string":          {"PAYLOAD_ATTESTATION_MESSAGE", `"blob_data_available":false`, `"blob_data_available":"false"`},
		"space in arrays":            {"EXECUTION_PAYLOAD_ENVELOPE 0", `"transactions":[]`, "\"transactions\": [\n\t ] "},
		"fork_info of request auth":  {"BUILDER_REQUEST_AUTH 20", `"type"`, `"fork_info":7,"type"`},
		"unknown list":               {"EXECUTION_PAYLOAD_ENVELOPE 0", `"builder_exits":[]`, `"builder_exits":[],"x":[[1,"]"],{}]`},
	} {
		t.Run(name, func(t *testing.T) {
			if _, _, err := decode(hoodi(t), []byte(replace(t, compact(t, tc.golden), tc.old, tc.repl))); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestForkAfterGloas: a payload that may be of a fork after Gloas is read as Gloas's only beside a signing root to compare.
func TestForkAfterGloas(t *testing.T) {
	const (
		needsRoot = "signingRoot: is missing, and without it gloas's container cannot be told from that of fork version 0x90000910, which is not known"
		noFork    = "version: is not a known fork, and without signingRoot its payload cannot be told from GLOAS's"
		other     = "signingRoot: differs from the signing root"
	)
	laterVersion := [2]string{`"0x80000910"`, `"0x90000910"`}
	laterName := [2]string{`"GLOAS"`, `"HEZE"`}
	for name, tc := range map[string]struct {
		golden             string
		change             [2]string
		rootless, withRoot string // the errors; "" is none
	}{
		"bid":                         {"EXECUTION_PAYLOAD_BID 3 commitments", laterVersion, needsRoot, other},
		"envelope":                    {"EXECUTION_PAYLOAD_ENVELOPE 1", laterVersion, needsRoot, other},
		"bare envelope":               {"EXECUTION_PAYLOAD_ENVELOPE bare", laterVersion, needsRoot, other},
		"plain container":             {"PAYLOAD_ATTESTATION_MESSAGE", laterVersion, "", other},
		"bid by name":                 {"EXECUTION_PAYLOAD_BID 3 commitments", laterName, "execution_payload_bid." + noFork, ""},
		"envelope by name":            {"EXECUTION_PAYLOAD_ENVELOPE 1", laterName, "execution_payload_envelope." + noFork, ""},
		"payload attestation by name": {"PAYLOAD_ATTESTATION_MESSAGE", laterName, "payload_attestation_message." + noFork, ""},
		"request auth by name":        {"BUILDER_REQUEST_AUTH 20", laterName, "builder_request_auth." + noFork, ""},
	} {
		t.Run(name, func(t *testing.T) {
			body := replace(t, compact(t, tc.golden), tc.change[0], tc.change[1])
			for body, want := range map[string]string{body: tc.withRoot, replace(t, body, "signingRoot", "unread"): tc.rootless} {
				_, req, err := decode(hoodi(t), []byte(body))
				if want != "" {
					checkMalformed(t, req, err, want)
				} else if err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// TestDeepBody: nesting is refused, and does not cost a stack.
func TestDeepBody(t *testing.T) {
	for _, body := range []string{
		strings.Repeat("[", 100_000),
		strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000),
		`{"type":"ATTESTATION","attestation":` + strings.Repeat(`{"source":`, 100_000),
	} {
		_, req, err := decode(hoodi(t), []byte(body))
		checkMalformed(t, req, err, "body is not JSON")
	}
}
