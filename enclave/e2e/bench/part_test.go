package main

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// scripted is a part that writes down what it is asked.
type scripted struct {
	preparing, repeating error
	asked                []string
}

func (s *scripted) prepare(context.Context) error {
	s.asked = append(s.asked, "prepare")
	return s.preparing
}

func (s *scripted) repeat(context.Context, time.Duration) error {
	s.asked = append(s.asked, "repeat")
	return s.repeating
}

func (s *scripted) report(t table) { t.note("measured") }

func (s *scripted) stop() error {
	s.asked = append(s.asked, "stop")
	return nil
}

func TestMeasureParts(t *testing.T) {
	for _, test := range []struct {
		name             string
		part             scripted
		asked            []string
		failure, printed string
	}{
		{"measured", scripted{}, []string{"prepare", "repeat", "repeat", "stop"}, "", "measured"},
		{"missing", scripted{preparing: missingError{errors.New("no initdb")}}, []string{"prepare", "stop"}, "", "store: not measured: no initdb"},
		{"failed", scripted{preparing: errors.New("broken")}, []string{"prepare", "stop"}, "store: broken", ""},
		{"failed later", scripted{repeating: errors.New("broken")}, []string{"prepare", "repeat", "stop"}, "store: broken", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := &plan{options: options{repeats: 2}, progress: io.Discard, sections: []*section{{name: "store", part: &test.part}}}
			expect(t, "measurement", p.measureParts(t.Context()), test.failure)
			if diff := cmp.Diff(test.asked, test.part.asked); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if test.failure != "" {
				return
			}
			var b strings.Builder
			p.sections[0].report(table{&b})
			if got := strings.TrimSpace(b.String()); got != test.printed {
				t.Errorf("printed %q, want %q", got, test.printed)
			}
		})
	}
}

func TestPlanParts(t *testing.T) {
	for _, test := range []struct {
		figures string
		want    []string
	}{
		{"plain", nil},
		{"dynamodb,postgres", []string{"postgres", "dynamodb"}},
		{allFigures, []string{"handshake", "rotation", "flood", "postgres", "distant", "dynamodb"}},
	} {
		p := &plan{options: options{figures: test.figures}}
		p.planParts("", nil)
		var got []string
		for _, s := range p.sections {
			got = append(got, s.name)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.figures, diff)
		}
	}
}
