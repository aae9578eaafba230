package keymanager_test

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestBodiesAsClientsSendThem: the form of what known callers send, each of which differs from the others in its details.
func TestBodiesAsClientsSendThem(t *testing.T) {
	quoted := func(text string) string { return encode(text) }
	compact := func(n int) string { // as a program that made the keystore itself sends it, with 0x, for one key
		var doc map[string]any
		if err := json.Unmarshal([]byte(keystoreOf(n)), &doc); err != nil {
			t.Fatal(err)
		}
		doc["pubkey"], doc["path"] = publicKey(n).String(), "m/12381/3600/0/0/0"
		return encode(doc)
	}
	for name, tc := range map[string]struct {
		method, body, want string
		also               func(*testing.T, *desk, answer)
	}{
		"SSV imports a share": {
			"POST", `{"keystores":[` + quoted(compact(1)) + `],"passwords":["` + password + `"]}`, "imported", func(t *testing.T, d *desk, _ answer) {
				t.Helper()
				if got, want := strings.Join(d.listed(d.caller), ""), line(1, "m/12381/3600/0/0/0", false); got != want {
					t.Errorf("%s, want %s", got, want)
				}
			},
		},
		"SSV deletes a share": {"DELETE", `{"pubkeys":["` + publicKey(9).String() + `"]}`, "deleted", nil},
		"a page sends files as they are": {
			"POST", `{"keystores":[` + quoted(keystoreOf(1)+"\n") + `,` + quoted("\r\n"+keystoreOf(2)) + `],"passwords":["` + password + `","` + password + `"],"slashing_protection":` +
				quoted(strings.ReplaceAll(votes(map[int]uint64{1: 10, 2: 11}), ",", ",\r\n\t")) + `}`, "imported imported", func(t *testing.T, d *desk, _ answer) {
				t.Helper()
				if n := strings.Count(d.onRecord(), ":1"); n != 2 {
					t.Errorf("on record: %s", d.onRecord())
				}
			},
		},
		"a script in Python": {
			"POST", `{"keystores": [` + quoted(keystoreOf(1)) + `], "passwords": ["` + password + `"], "slashing_protection": null}`, "imported", nil,
		},
		"escapes that nobody needs": {
			"POST", `{"passwords":["\u0063orrect horse battery stapl\u0065"],"keystores":[` + strings.ReplaceAll(quoted(keystoreOf(1)), "c", `\u0063`) + `]}`, "imported", nil,
		},
		"a password with control characters": { // which EIP-2335 drops
			"POST", `{"keystores":[` + quoted(keystoreOf(1)) + `],"passwords":["correct\u0000 horse\u007f battery staple\n"]}`, "imported", nil,
		},
		"keys without 0x, and in capitals": {
			"DELETE", `{"pubkeys":["` + publicKey(9).String()[2:] + `","0x` + strings.ToUpper(publicKey(8).String()[2:]) + `"]}`, "deleted deleted", nil,
		},
		"nothing to import": {"POST", `{"keystores":[],"passwords":[]}`, "", nil},
		"nothing to delete": {"DELETE", `{"pubkeys":[]}`, "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t, nil)
			if tc.method == "DELETE" {
				d.did("POST", importBody(nil, 8, 9), "imported imported")
			}
			a := d.did(tc.method, tc.body, tc.want)
			if tc.also != nil {
				tc.also(t, d, a)
			}
		})
	}
}
