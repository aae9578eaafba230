package main

import (
	"os"
	"testing"
)

func TestCPUTime(t *testing.T) {
	before, err := cpuTime(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := signedWork(); err != nil {
		t.Fatal(err)
	}
	after, err := cpuTime(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if after <= before {
		t.Errorf("%v of CPU time after %v and a signature", after, before)
	}
	if _, err := cpuTime(1 << 22); err == nil { // above the highest number of a process
		t.Error("a process that does not exist has CPU time")
	}
}

func signedWork() ([96]byte, error) {
	key, err := seedKey(1)
	if err != nil {
		return [96]byte{}, err
	}
	return key.Sign([32]byte{1})
}

func TestResidentMemory(t *testing.T) {
	got, err := residentMemory(os.Getpid())
	if err != nil || got < 1<<20 || got > 1<<40 {
		t.Errorf("%d bytes, %v", got, err)
	}
}

func TestMachineTime(t *testing.T) {
	own, err := cpuTime(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	all, err := machineTime()
	if err != nil {
		t.Fatal(err)
	}
	if all <= own {
		t.Errorf("%v for the machine, %v of it for this process alone", all, own)
	}
}
