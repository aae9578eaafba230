package storetest_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestModel(t *testing.T) {
	storetest.RunState(t, func(*testing.T) func() store.State {
		s := new(storetest.State)
		return func() store.State { return s }
	})
	storetest.RunKeys(t, func(*testing.T) func() store.Keys {
		k := new(storetest.Keys)
		return func() store.Keys { return k }
	})
}
