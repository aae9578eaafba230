package diagnostics

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/problem"
)

// Level is what is logged, in the words of log.level.
type Level struct {
	Level      string    `json:"level"`          // the least severe lines that are written now
	Configured string    `json:"configured"`     // what holds afterwards
	Until      time.Time `json:"until,omitzero"` // not there while the configured level holds
}

// LevelFor asks for a level.
type LevelFor struct {
	Level   string `json:"level"`
	Seconds int64  `json:"seconds"` // from MinTime to MaxTime
}

// How long another level may hold.
const (
	MinTime     = time.Second
	MaxTime     = 24 * time.Hour
	DefaultTime = 10 * time.Minute
)

// Levels are those of log.level, the most verbose first.
func Levels() []string { return []string{"debug", "info", "warn", "error"} }

// maxRequest is far more bytes than a request has.
const maxRequest = 4 << 10

func (a *API) level(w http.ResponseWriter, _ *http.Request) error { return writeJSON(w, a.o.Level()) }

func (a *API) setLevel(w http.ResponseWriter, r *http.Request) error {
	body, err := api.ReadBody(r)
	if err != nil {
		return err
	}
	wanted, err := readLevel(body)
	if err != nil {
		return err
	}
	return writeJSON(w, a.o.SetLevel(wanted.Level, time.Duration(wanted.Seconds)*time.Second, api.Caller(r).String()))
}

func readLevel(body []byte) (LevelFor, error) {
	if len(body) > maxRequest {
		return LevelFor{}, problem.New(problem.TooLarge, "body is larger than %d bytes", maxRequest)
	}
	wanted := LevelFor{Seconds: int64(DefaultTime / time.Second)}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&wanted); err != nil {
		return LevelFor{}, problem.Wrap(problem.Malformed, err, "body: want a JSON object with level and seconds, a whole number")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return LevelFor{}, problem.New(problem.Malformed, "body: something stands after the JSON object")
	}
	if !slices.Contains(Levels(), wanted.Level) {
		return LevelFor{}, problem.New(problem.Malformed, "level: want one of %s", strings.Join(Levels(), ", "))
	}
	if wanted.Seconds < int64(MinTime/time.Second) || wanted.Seconds > int64(MaxTime/time.Second) {
		return LevelFor{}, problem.New(problem.Malformed, "seconds: want %d to %d", MinTime/time.Second, MaxTime/time.Second)
	}
	return wanted, nil
}
