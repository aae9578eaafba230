package slashing

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// refused checks that an answer is a refusal in the form of every other, and that the log has its line.
func (d *desk) refused(w *httptest.ResponseRecorder, code int, want string) {
	d.t.Helper()
	var got struct {
		Code           int
		Message, Error string
	}
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != code || got.Code != code || got.Message != got.Error || !strings.Contains(got.Message, want) {
		d.t.Errorf("%d %s (%v), want %d with %q", w.Code, w.Body, err, code, want)
	}
	if lines := d.lines.TakeAll(); code != http.StatusNotFound && (len(lines) != 1 || lines[0].ContextMap()["status"] != int64(code)) {
		d.t.Errorf("%d %q: lines %v", code, want, lines)
	}
}

func TestBadInput(t *testing.T) {
	d := newDesk(t)
	d.api.most = 4 << 10
	before := d.file(history(1, `{"slot": 5}`, `{"source_epoch": 3, "target_epoch": 4}`))
	d.json("POST", "/api/v1/slashing/import", before)
	d.lines.TakeAll()
	exported := d.ask("GET", "/api/v1/slashing/export", "").Body.String()
	d.lines.TakeAll()

	const imported, raise, begin, high = "POST /api/v1/slashing/import", "POST /api/v1/slashing/raise", "POST /api/v1/slashing/init", "PUT /api/v1/slashing/high-watermark"
	const remove = "DELETE /api/v1/slashing/high-watermark"
	huge := "9223372036854775808"
	whole := d.file(history(1, `{"slot": 99}`, ``))
	tooMuch := strings.Repeat(" ", maxBody) + "{}"
	for _, test := range []struct {
		call, body string
		code       int
		want       string
	}{
		{imported, "", 400, "the file ends in the middle"},
		{imported, "garbage", 400, "not JSON near byte"},
		{imported, whole[:len(whole)-20], 400, "the file ends in the middle"},
		{imported, whole + "{}", 400, "something follows the end of the object"},
		{imported, strings.Replace(whole, d.root, "0x"+strings.Repeat("ab", 32), 1), 403, "metadata.genesis_validators_root: the file is for another network"},
		{imported, strings.Replace(whole, `"5"`, `"4"`, 1), 400, `version "4"; only version 5`},
		{imported, d.file(history(1, `{"slot": 99}`, ``), history(2, `{"slot": -1}`, ``)), 400, `data[1].signed_blocks[0].slot: not a usable EIP-3076 interchange file: "-1" is negative; nothing was imported`},
		{imported, d.file(history(1, `{"slot": "`+huge+`"}`, ``)), 400, "is above 9223372036854775807"},
		{imported, d.file(history(1, `{"slot": 99, "slot": 1}`, ``)), 400, "slot: not a usable EIP-3076 interchange file: it is there twice"},
		{imported, whole + strings.Repeat(" ", 4<<10), 413, "the file is larger than 4096 bytes; nothing was imported"},
		{imported + "?dry_run=yes", whole, 400, "dry_run: want true or false"},
		{imported + "?dry_run=", whole, 400, "dry_run: is empty"},
		{imported + "?dry_run=true&dry_run=true", whole, 400, "dry_run: is given twice"},
		{imported + "?dryrun=true", whole, 400, `unknown parameter "dryrun"`},
		{imported + "?%zz", whole, 400, "the parameters in the URL cannot be read"},

		{raise, "", 400, "want slot, or source_epoch and target_epoch"},
		{raise, "x", 400, "body is not JSON"},
		{raise, `{"slot": "1"`, 400, "body is not JSON"},
		{raise, `{"slot": "1"} {}`, 400, "body is not JSON"},
		{raise, `["1"]`, 400, "body is not a JSON object"},
		{raise, `{"slot": 1}`, 400, "slot: want decimal digits in a string"},
		{raise, `{"slot": null}`, 400, "slot: want decimal digits in a string"},
		{raise, `{"slot": "-1"}`, 400, `slot: "-1" is negative`},
		{raise, `{"slot": "+1"}`, 400, `slot: "+1" is not a whole decimal number`},
		{raise, `{"slot": "0x1"}`, 400, `slot: "0x1" is not a whole decimal number`},
		{raise, `{"slot": "1.0"}`, 400, `slot: "1.0" is not a whole decimal number`},
		{raise, `{"slot": ""}`, 400, `slot: "" is not a whole decimal number`},
		{raise, `{"slot": "` + huge + `"}`, 400, "slot: \"" + huge + `" is above 9223372036854775807`},
		{raise, `{"slot": "` + strings.Repeat("9", 500) + `"}`, 400, "999\" is above"},
		{raise, `{"slot": "1", "slot": "2"}`, 400, "slot: is given twice"},
		{raise, `{"slot": "1", "sl\u006ft": "2"}`, 400, "slot: is given twice"},
		{raise, `{"Slot": "1"}`, 400, `unknown field "Slot", want keys, slot, source_epoch, target_epoch`},
		{raise, `{"slot": "1", "key": "` + public(1) + `"}`, 400, `unknown field "key"`},
		{raise, `{"slot": "1", "keys": []}`, 400, "keys: is empty"},
		{raise, `{"slot": "1", "keys": null}`, 400, "keys: want an array of public keys"},
		{raise, `{"slot": "1", "keys": [1]}`, 400, "keys[0]: want a public key in a string"},
		{raise, `{"slot": "1", "keys": ["` + public(1) + `", null]}`, 400, "keys[1]: want a public key in a string"},
		{raise, `{"slot": "1", "keys": ["0x12"]}`, 400, "keys[0]: public key is not 96 hexadecimal digits"},
		{raise, `{"slot": "1", "keys": ["` + public(1) + `", "` + strings.ToUpper(public(1)[2:]) + `"]}`, 400, "keys[1]: is given twice"},
		{raise, `{"target_epoch": "1"}`, 400, "want slot, or source_epoch and target_epoch"},
		{raise, `{"source_epoch": "9", "target_epoch": "8"}`, 400, "source_epoch 9 is above target_epoch 8"},
		{raise + "?dry_run=1", `{"slot": "9"}`, 400, "dry_run: want true or false"},
		{raise, `{"slot": 1e999}`, 400, "slot: want decimal digits in a string"},
		{raise, `{"slot": "9",}`, 400, "body is not JSON"},
		{raise, `{"keys": ["` + public(1) + `",], "slot": "9"}`, 400, "body is not JSON"},
		{raise, `{"keys": ["` + public(1) + `"`, 400, "body is not JSON"},
		{raise, " ", 400, "body is not JSON"},
		{raise, tooMuch, 413, "body is larger than 16777216 bytes"},
		{begin, tooMuch, 413, "body is larger than"},
		{high, tooMuch, 413, "body is larger than"},
		{remove, tooMuch, 413, "body is larger than"},
		{raise, `{"slot": "9"}` + tooMuch, 413, "body is larger than"},

		{begin, "", 400, "keys: is missing"},
		{begin, "{}", 400, "keys: is missing"},
		{begin, `{"keys": []}`, 400, "keys: is empty"},
		{begin, `{"keys": ["` + public(1) + `"], "slot": "5"}`, 400, `unknown field "slot", want keys`},

		{high, "", 400, "want slot, or epoch, or both"},
		{high, `{"keys": ["` + public(1) + `"]}`, 400, "want slot, or epoch, or both"},
		{high, `{"epoch": 5}`, 400, "epoch: want decimal digits in a string"},
		{high, `{"target_epoch": "5"}`, 400, `unknown field "target_epoch", want epoch, keys, slot`},
		{high + "?dry_run=true", `{"epoch": "5"}`, 400, `unknown parameter "dry_run"`},
		{remove, `{"slot": "5"}`, 400, `unknown field "slot", want keys`},
		{remove, `{"keys": []}`, 400, "keys: is empty"},
		{remove + "?key=" + public(1), "", 400, `unknown parameter "key"`},

		{"GET /api/v1/slashing/status?x=1", "", 400, `unknown parameter "x"`},
		{"GET /api/v1/slashing/export?key=1", "", 400, `unknown parameter "key"`},
		{"GET /api/v1/slashing/high-watermark?x", "", 400, `unknown parameter "x"`},
		{"GET /api/v1/slashing/", "", 404, "no such path"},
	} {
		method, path, _ := strings.Cut(test.call, " ")
		d.refused(d.ask(method, path, test.body), test.code, test.want)
	}
	if got := d.ask("GET", "/api/v1/slashing/export", "").Body.String(); got != exported {
		t.Errorf("a refused call changed the record: %s", got)
	}
	d.same(d.json("GET", "/api/v1/slashing/high-watermark", ""), `{"all": {}, "keys": []}`)
}
