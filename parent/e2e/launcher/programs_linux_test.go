package launcher

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// sink is the program that takes the enclave's log.
const sink = "containment-chamber-enclave-proxy"

// TestMain makes the test's binary the programs that the launcher calls, under whose names it is linked.
func TestMain(m *testing.M) {
	program := filepath.Base(os.Args[0])
	if program != "nitro-cli" && program != sink {
		os.Exit(m.Run())
	}
	h := host(os.Getenv(hostVariable))
	err := h.record(program + " " + strings.Join(os.Args[1:], " "))
	switch {
	case err != nil:
	case program == sink:
		err = h.serveLogs()
	default:
		err = h.nitroCLI(os.Args[1], os.Args[2:])
	}
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
		os.Exit(33)
	}
	os.Exit(0)
}

// serveLogs runs until SIGTERM.
func (h host) serveLogs() error {
	if h.once(sinkEnds) {
		return errors.New("another parent runs on this node (port 7000)")
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	<-stop
	return h.record("end of " + sink)
}

func (h host) nitroCLI(command string, args []string) error {
	flags := flag.NewFlagSet(command, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	var e enclave
	var eif string
	var debug bool
	var cid uint
	flags.StringVar(&e.EnclaveName, "enclave-name", "", "")
	flags.StringVar(&e.EnclaveID, "enclave-id", "", "")
	flags.StringVar(&eif, "eif-path", "", "")
	flags.IntVar(&e.MemoryMiB, "memory", 0, "")
	flags.IntVar(&e.NumberOfCPUs, "cpu-count", 0, "")
	flags.UintVar(&cid, "enclave-cid", 0, "")
	flags.BoolVar(&debug, "debug-mode", false, "")
	if err := flags.Parse(args); err != nil {
		return err
	}
	e.EnclaveCID = uint32(cid)
	switch command {
	case "run-enclave":
		return h.run(e)
	case "describe-enclaves":
		return h.describe()
	case "terminate-enclave":
		return h.terminate(e.EnclaveID)
	case "console":
		return h.console()
	}
	return fmt.Errorf("unknown command %s", command)
}

func (h host) run(e enclave) error {
	for late := time.After(patience); h.is(runWaits); {
		select {
		case <-time.After(tick):
		case <-late:
			return errors.New("nobody let run-enclave go on")
		}
	}
	if h.is(runFails) {
		return errors.New("[ E36 ] Enclave boot failure")
	}
	e.State, e.ProcessID = "RUNNING", os.Getpid()
	e.EnclaveID = fmt.Sprintf("i-0123456789abcdef0-enc%012x", os.Getpid())
	var two error
	if err := h.change(func(all []enclave) []enclave {
		for _, other := range all {
			if other.EnclaveName == e.EnclaveName {
				two = errors.Join(fmt.Errorf("%s runs already", other.EnclaveID), h.record("TWO ENCLAVES"))
			}
		}
		return append(all, e)
	}); err != nil {
		return err
	}
	return errors.Join(two, json.NewEncoder(os.Stdout).Encode(e))
}

func (h host) describe() error {
	switch {
	case h.is(describeFails):
		return errors.New("[ E39 ] Enclave process connection failure")
	case h.is(describeBabbles):
		_, err := io.WriteString(os.Stdout, "Segmentation fault\n")
		return err
	case h.once(describeMisses):
		_, err := io.WriteString(os.Stdout, "[]\n")
		return err
	}
	all := []enclave{}
	if err := h.change(func(a []enclave) []enclave {
		all = append(all, a...)
		return a
	}); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(all)
}

func (h host) terminate(id string) error {
	if h.is(terminateFails) {
		return errors.New("[ E39 ] Enclave process connection failure")
	}
	return h.change(func(all []enclave) []enclave {
		return slices.DeleteFunc(all, func(e enclave) bool { return e.EnclaveID == id })
	})
}

// console prints until it is ended.
func (h host) console() error {
	_, _ = io.WriteString(os.Stdout, "[    0.000000] Linux version 6.12\n")
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	<-stop
	return h.record("end of console")
}
