package main

import (
	"errors"
	"strings"
	"testing"
)

// report is what pgbench 15 prints.
const pgbenchReport = `pgbench (15.18 (Debian 15.18-0+deb12u1))
transaction type: -
scaling factor: 1
query mode: prepared
number of clients: 64
number of threads: 2
maximum number of tries: 1
number of transactions per client: 20
number of transactions actually processed: 1280/1280
number of failed transactions: 0 (0.000%)
latency average = 20.380 ms
initial connection time = 1293.931 ms
tps = 3140.264322 (without initial connection time)
`

func TestParsePgbench(t *testing.T) {
	older := strings.NewReplacer("(without initial connection time)", "(excluding connections establishing)",
		"latency average", "tps = 99.5 (including connections establishing)\nlatency average").Replace(pgbenchReport)
	for _, test := range []struct {
		name, report string
		commits      int64
		perSecond    float64
		fails        bool
	}{
		{"15", pgbenchReport, 1280, 3140.264322, false},
		{"13", older, 1280, 3140.264322, false},
		{"empty", "", 0, 0, true},
		{"no speed", strings.Replace(pgbenchReport, "tps", "spt", 1), 0, 0, true},
		{"not a number", strings.Replace(pgbenchReport, "3140.264322", "3.1.4", 1), 0, 0, true},
		{"nothing done", strings.Replace(pgbenchReport, "1280/1280", "0/1280", 1), 0, 0, true},
		{"no time passed", strings.Replace(pgbenchReport, "3140.264322", "0.000000", 1), 0, 0, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			commits, perSecond, err := parsePgbench(test.report)
			if test.fails != errors.Is(err, errPgbench) || commits != test.commits || perSecond != test.perSecond {
				t.Errorf("%d commits, %v a second, error %v", commits, perSecond, err)
			}
		})
	}
}
