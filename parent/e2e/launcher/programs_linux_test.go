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
	held, _ := os.Readlink("/proc/self/fd/9") // there may be none
	err := h.record(program + " " + strings.Join(os.Args[1:], " "))
	if strings.HasSuffix(held, ".lock") {
		err = errors.Join(err, h.record("HOLDS THE LOCK"))
	}
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

// failure is how nitro-cli complains: its code stands amid advice.
func failure(code int, text string) error {
	return fmt.Errorf("[ E%d ] %s. Such error appears when it appears.\n\n"+
		"For more details, please visit https://docs.aws.amazon.com/enclaves/latest/user/cli-errors.html#E%[1]d\n\n"+
		"If you open a support ticket, please provide the error log found at \"/var/log/nitro_enclaves/err2026.log\"", code, text)
}

// appear has the next look find nothing and the one after it this enclave, if that is asked for.
func (h host) appear(e enclave) error {
	if !h.once(runAppears) {
		return nil
	}
	if err := os.WriteFile(h.path(describeMisses), nil, 0o600); err != nil {
		return err
	}
	e.EnclaveID, e.State = lateID, "RUNNING"
	return h.change(func(all []enclave) []enclave { return append(all, e) })
}

// hang returns when it is let go on, or is asked to end.
func (h host) hang(e enclave) error {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	for late := time.After(patience); h.is(runWaits); {
		select {
		case <-time.After(tick):
		case <-stop:
			return errors.Join(errors.New("ended"), h.record("end of run-enclave"), h.appear(e))
		case <-late:
			return errors.New("nobody let run-enclave go on")
		}
	}
	return nil
}

func (h host) run(e enclave) error {
	_, _ = io.WriteString(os.Stderr, "Start allocating memory...\n")
	if err := h.record("RUST_LOG=" + os.Getenv("RUST_LOG")); err != nil {
		return err
	}
	if err := h.hang(e); err != nil {
		return err
	}
	if h.is(runFails) {
		return failure(36, "Enclave boot failure")
	}
	e.State, e.ProcessID = "RUNNING", os.Getpid()
	e.EnclaveID = fmt.Sprintf("i-0123456789abcdef0-enc%012x", os.Getpid())
	var two error
	if err := h.change(func(all []enclave) []enclave {
		for _, other := range all {
			if other.EnclaveName == e.EnclaveName {
				two = h.record("TWO ENCLAVES")
				e.EnclaveName += "_1"
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
		return failure(39, "Enclave process connection failure")
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
		return failure(39, "Enclave process connection failure")
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
