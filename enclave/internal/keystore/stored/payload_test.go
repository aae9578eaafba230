package stored

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
)

func payloadOf(t testing.TB, key Key) (payload []byte) {
	t.Helper()
	err := withPayload(key, func(b []byte) error {
		payload = bytes.Clone(b)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return payload
}

func TestPayload(t *testing.T) {
	scalar := bytes.Repeat([]byte{7}, bls.SecretKeySize)
	key, err := bls.NewSecretKey(bytes.Clone(scalar))
	if err != nil {
		t.Fatal(err)
	}
	plain, backed := payloadOf(t, Key{Secret: key}), payloadOf(t, Key{Secret: key, Backup: []byte("backup")})
	want := slices.Concat([]byte{1}, scalar, []byte{0, 6}, []byte("backup"))
	if !bytes.Equal(backed, want) || !bytes.Equal(plain, slices.Concat(want[:33], []byte{0, 0})) {
		t.Errorf("payloads %x and %x", plain, backed)
	}
	canary := payloadOf(t, Key{Secret: key, Backup: []byte("backup"), Canary: true})
	if !bytes.Equal(canary, append([]byte{2}, want[1:]...)) {
		t.Errorf("payload %x of a canary", canary)
	}
	largest := payloadOf(t, Key{Secret: key, Backup: make([]byte, MaxBackup)})
	for name, tc := range map[string]struct {
		payload []byte
		backup  int
		want    error
	}{
		"plain":                    {plain, 0, nil},
		"with a backup":            {backed, 6, nil},
		"with the largest backup":  {largest, MaxBackup, nil},
		"nothing":                  {nil, 0, errPayload},
		"a key alone":              {scalar, 0, errNewer},
		"format 0":                 {append([]byte{0}, plain[1:]...), 0, errPayload},
		"a canary":                 {canary, 6, nil},
		"format 3":                 {append([]byte{3}, plain[1:]...), 0, errNewer},
		"a byte short":             {backed[:len(backed)-1], 0, errPayload},
		"a byte long":              {append(bytes.Clone(backed), 0), 0, errPayload},
		"without a length":         {plain[:33], 0, errPayload},
		"a backup that is too big": {slices.Concat(plain[:33], []byte{0x20, 0x01}, make([]byte, MaxBackup+1)), 0, errPayload},
	} {
		got, backup, err := parsePayload(tc.payload)
		if !errors.Is(err, tc.want) || len(backup) != tc.backup || (tc.want == nil) != bytes.Equal(got, scalar) {
			t.Errorf("%s: %x, a backup of %d bytes, %v, want %v", name, got, len(backup), err, tc.want)
		}
	}
	if err := withPayload(Key{Secret: key, Backup: make([]byte, MaxBackup+1)}, func([]byte) error { return nil }); err == nil {
		t.Error("a backup of more than MaxBackup is taken")
	}
	key.Wipe()
	if err := withPayload(Key{Secret: key}, func([]byte) error { return nil }); err == nil {
		t.Error("a wiped key is taken")
	}
}

// FuzzParsePayload: what is accepted is the payload of the key and the backup that it gives.
func FuzzParsePayload(f *testing.F) {
	for _, backup := range []int{0, 1, 300} {
		f.Add(slices.Concat([]byte{1}, make([]byte, 32), []byte{byte(backup >> 8), byte(backup)}, make([]byte, backup)))
	}
	f.Add([]byte{3})
	f.Fuzz(func(t *testing.T, payload []byte) {
		scalar, backup, err := parsePayload(payload)
		if err != nil {
			if scalar != nil || backup != nil {
				t.Error("parts with an error")
			}
			return
		}
		if again := slices.Concat(payload[:1], scalar, []byte{byte(len(backup) >> 8), byte(len(backup))}, backup); !bytes.Equal(again, payload) {
			t.Errorf("%x comes back as %x", payload, again)
		}
	})
}
