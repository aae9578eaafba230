package admin

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// ReportWriter writes the answer to what changes records: {"keys": [change, …], "summary": {…}}. It holds none of it, because there
// may be 100,000 keys.
type ReportWriter struct {
	w     *bufio.Writer
	begun bool
}

// NewReportWriter makes one that writes nothing yet.
func NewReportWriter(w io.Writer) *ReportWriter { return &ReportWriter{w: bufio.NewWriter(w)} }

// Tell writes one change. It is a Tell.
func (r *ReportWriter) Tell(c Change) error {
	separator := ",\n"
	if !r.begun {
		separator = `{"keys": [` + "\n"
		r.begun = true
	}
	return r.write(separator, c)
}

// End writes the summary, and all that was not written yet.
func (r *ReportWriter) End(s Summary) error {
	separator := "\n], \"summary\": "
	if !r.begun {
		separator = `{"keys": [], "summary": `
	}
	if err := r.write(separator, s); err != nil {
		return err
	}
	if _, err := r.w.WriteString("}\n"); err != nil {
		return err
	}
	return r.w.Flush()
}

func (r *ReportWriter) write(before string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if _, err := r.w.WriteString(before); err != nil {
		return err
	}
	_, err = r.w.Write(text)
	return err
}

// errReport is something that no ReportWriter has written.
var errReport = errors.New("it is not a report")

// readReport reads what a ReportWriter has written.
func readReport(r io.Reader, s *Summary, tell Tell) error {
	d := json.NewDecoder(r)
	if err := expect(d, json.Delim('{'), "keys", json.Delim('[')); err != nil {
		return err
	}
	for d.More() {
		var c Change
		if err := d.Decode(&c); err != nil {
			return err
		}
		if err := tell(c); err != nil {
			return err
		}
	}
	if err := expect(d, json.Delim(']'), "summary"); err != nil {
		return err
	}
	if err := d.Decode(s); err != nil {
		return err
	}
	return expect(d, json.Delim('}'))
}

func expect(d *json.Decoder, tokens ...json.Token) error {
	for _, want := range tokens {
		switch got, err := d.Token(); {
		case err != nil:
			return err
		case got != want:
			return fmt.Errorf("%w: %v where %v is due", errReport, got, want)
		}
	}
	return nil
}
