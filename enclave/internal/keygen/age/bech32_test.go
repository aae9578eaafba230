package age

import (
	"encoding/hex"
	"strings"
	"testing"
)

// TestDecodeBech32: the first three texts are valid examples of BIP-173, the Bech32m text one of BIP-350.
func TestDecodeBech32(t *testing.T) {
	for name, tc := range map[string]struct{ human, data, want, fault string }{
		"no bytes":            {"a", "2uel5l", "", ""},
		"twenty bytes":        {"abcdef", "qpzry9x8gf2tvdw0s3jn54khce6mua7lmqqqxw", "00443214c74254b635cf84653a56d7c675be77df", ""},
		"thirty bytes":        {"split", "checkupstagehandshakeupstreamerranterredcaperred2y9e3w", "c5f38b70305f519bf66d85fb6cf03058f3dde463ecd7918f2dc743918f2d", ""},
		"one byte":            {"a", "qqqd87cq", "00", ""},
		"another byte":        {"a", "qs4v0xdn", "04", ""},
		"Bech32m":             {"split", "checkupstagehandshakeupstreamerranterredcaperredlc445v", "", "checksum"},
		"another human part":  {"b", "2uel5l", "", "checksum"},
		"upper case":          {"a", "2UEL5L", "", "'U'"},
		"no checksum":         {"a", "", "", "checksum"},
		"half a byte":         {"a", "q3g6mn3", "", "beyond its last byte"},
		"a byte and a half":   {"a", "qqqd87cpp", "", "beyond its last byte"},
		"a one beyond":        {"a", "qpamnt9j", "", "beyond its last byte"},
		"not a letter":        {"a", "2ueé5l", "", "does not have"},
		"a separator in data": {"a", "12uel5l", "", "'1'"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := decodeBech32(tc.human, tc.data)
			if tc.fault != "" {
				if err == nil || got != nil || !strings.Contains(err.Error(), tc.fault) {
					t.Errorf("%x, %v, want %q", got, err, tc.fault)
				}
				return
			}
			if err != nil || hex.EncodeToString(got) != tc.want {
				t.Errorf("%x, %v, want %s", got, err, tc.want)
			}
		})
	}
}
