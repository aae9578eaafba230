package kmstest

import (
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"time"
)

// trailSize is how many events are kept; the oldest make room.
const trailSize = 10_000

// Event is a request and what became of it, as CloudTrail has it.
type Event struct {
	ID        string    `json:"id"` // the answer's request ID
	Time      time.Time `json:"time"`
	Service   string    `json:"service"` // kms or sts
	Region    string    `json:"region,omitempty"`
	Operation string    `json:"operation"`           // such as Decrypt
	Key       string    `json:"key,omitempty"`       // ARN; empty if none was found
	Principal string    `json:"principal,omitempty"` // ARN of the session or user; empty if the signature was refused
	Attested  bool      `json:"attested"`            // whether a document came and was good
	PCR0      string    `json:"pcr0,omitempty"`      // of the document
	Allowed   bool      `json:"allowed"`             // whether the caller had the permission, whatever became of the request then
	Error     string    `json:"error,omitempty"`     // AWS's name
	Reason    string    `json:"reason"`              // the statement that allowed or denied it, or what was wrong
	Fault     string    `json:"fault,omitempty"`     // what the server did wrong on purpose
}

// String is the event in one line.
func (e Event) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s:%s", e.Time.UTC().Format(time.RFC3339), e.Service, e.Operation)
	for _, field := range []struct{ name, value string }{{"key", e.Key}, {"by", e.Principal}, {"pcr0", e.PCR0}} {
		if field.value != "" {
			fmt.Fprintf(&b, " %s=%s", field.name, field.value)
		}
	}
	switch {
	case e.Error != "":
		fmt.Fprintf(&b, ": %s: %s", e.Error, e.Reason)
	case e.Allowed:
		fmt.Fprintf(&b, ": allowed: %s", e.Reason)
	}
	if e.Fault != "" {
		fmt.Fprintf(&b, " (fault: %s)", e.Fault)
	}
	return b.String()
}

// Trail is what was asked, the oldest first, at most the last 10000 requests.
func (s *Server) Trail() []Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.trail)
}

func (s *Server) newEvent(service string) Event {
	return Event{ID: strings.ToLower(rand.Text()), Time: s.now(), Service: service}
}

func (s *Server) note(e Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.trail) == trailSize {
		s.trail = slices.Delete(s.trail, 0, trailSize/10)
	}
	s.trail = append(s.trail, e)
}
