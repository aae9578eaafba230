package boot

import (
	"context"
	"crypto/sha512"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// module is a security module that can lie.
type module struct {
	value  [48]byte
	locked bool

	extendsTo  *[48]byte // what ExtendPCR says and does, if not the truth
	ignoreLock bool
	fails      string // the call that fails
	reads      int    // number of the DescribePCR that fails
	after      func(m *module)
	calls      []string
}

var errModule = errors.New("module is gone")

func (m *module) call(op string, i uint16) error {
	if i != 16 {
		return errors.New("wrong register")
	}
	m.calls = append(m.calls, op)
	if m.fails == op {
		return errModule
	}
	return nil
}

func (m *module) DescribePCR(_ context.Context, i uint16) (value [48]byte, locked bool, err error) {
	m.reads--
	if m.reads == 0 {
		return value, false, errModule
	}
	return m.value, m.locked, m.call("describe", i)
}

func (m *module) ExtendPCR(_ context.Context, i uint16, data []byte) ([48]byte, error) {
	if m.locked {
		return [48]byte{}, errors.New("ReadOnlyIndex")
	}
	m.value = sha512.Sum384(append(m.value[:], data...))
	if m.extendsTo != nil {
		m.value = *m.extendsTo
	}
	return m.value, m.call("extend", i)
}

func (m *module) LockPCR(_ context.Context, i uint16) error {
	m.locked = !m.ignoreLock
	if m.after != nil {
		m.after(m)
	}
	return m.call("lock", i)
}

func TestMeasureConfiguration(t *testing.T) {
	digest := [48]byte{1, 2, 3}
	m := &module{}
	if err := MeasureConfiguration(t.Context(), m, digest); err != nil {
		t.Fatal(err)
	}
	want := sha512.Sum384(append(make([]byte, 48), digest[:]...))
	if m.value != want || !m.locked {
		t.Errorf("register is %x, locked %t", m.value, m.locked)
	}
	if diff := cmp.Diff([]string{"describe", "extend", "lock", "describe"}, m.calls); diff != "" {
		t.Error(diff)
	}
}

func TestMeasureConfigurationRefuses(t *testing.T) {
	wrong := [48]byte{9}
	for _, tc := range []struct {
		name, want string
		is         error
		module     *module
		calls      int
	}{
		{"extended before", "PCR16 is not as a fresh enclave has it: value 0900000000000000…, locked false", ErrMeasured, &module{value: wrong}, 1},
		{"locked before", "PCR16 is not as a fresh enclave has it: value 0000000000000000…, locked true", ErrMeasured, &module{locked: true}, 1},
		{"extended to something else", "PCR16 was extended to 0900000000000000… instead of ", nil, &module{extendsTo: &wrong}, 2},
		{"not locked", ", locked false, instead of ", nil, &module{ignoreLock: true}, 4},
		{"changed at last", "PCR16 reads back as 0900000000000000…, locked true", nil, &module{after: func(m *module) { m.value = wrong }}, 4},
		{"gone at first", "read PCR16: module is gone", errModule, &module{reads: 1}, 0},
		{"gone at extend", "extend PCR16: module is gone", errModule, &module{fails: "extend"}, 2},
		{"gone at lock", "lock PCR16: module is gone", errModule, &module{fails: "lock"}, 3},
		{"gone at last", "read PCR16 back: module is gone", errModule, &module{reads: 2}, 3},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := MeasureConfiguration(t.Context(), tc.module, [48]byte{1})
			if err == nil || !strings.Contains(err.Error(), tc.want) || tc.is != nil && !errors.Is(err, tc.is) {
				t.Errorf("got %v, want %s", err, tc.want)
			}
			if len(tc.module.calls) != tc.calls {
				t.Errorf("called %v", tc.module.calls)
			}
		})
	}
}
