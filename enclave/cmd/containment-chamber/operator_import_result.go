package main

import (
	"encoding/json"
	"fmt"
	"sync"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/chamber"
)

// importResults collects what becomes of files. It is safe for concurrent use.
type importResults struct {
	files []string
	mu    sync.Mutex     // held while the field below is used
	of    []importResult // a file; without a status as long as it is not tried
}

// importResult is what became of one file.
type importResult struct {
	File    string `json:"file"`
	Status  string `json:"status"` // imported, duplicate or error
	Pubkey  string `json:"pubkey,omitempty"`
	Message string `json:"message,omitempty"`
}

func newImportResults(files []string) *importResults {
	return &importResults{files: files, of: make([]importResult, len(files))}
}

// set is called once for each file that was tried.
func (r *importResults) set(n int, status, pubkey, message string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.of[n] = importResult{r.files[n], status, pubkey, message}
}

func (r *importResults) fail(n int, err error) { r.set(n, chamber.Failed, "", err.Error()) }

// imported is what became of keystores, all in all.
type imported struct {
	Imported   int            `json:"imported"`
	Duplicates int            `json:"duplicates"` // stored before
	Left       int            `json:"left"`       // not tried, because the import ended before
	Errors     []failedImport `json:"errors"`
	Results    []importResult `json:"results"` // of the files that were tried, in their order
}

type failedImport struct {
	File    string `json:"file"`
	Message string `json:"message"`
}

func (r *importResults) sum() *imported {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := &imported{Errors: []failedImport{}, Results: []importResult{}}
	for _, one := range r.of {
		switch one.Status {
		case "":
			i.Left++
			continue
		case chamber.Imported:
			i.Imported++
		case chamber.Duplicate:
			i.Duplicates++
		default:
			i.Errors = append(i.Errors, failedImport{one.File, one.Message})
		}
		i.Results = append(i.Results, one)
	}
	return i
}

func (i *imported) print(flags *operatorFlags) error {
	text, err := json.Marshal(i)
	if err != nil {
		return err
	}
	return flags.show(text, &imported{}, func(row rows) {
		for _, e := range i.Errors {
			row(shown(e.File), "%s", shown(e.Message))
		}
		row("imported", "%d", i.Imported)
		row("stored before", "%d%s", i.Duplicates, i.idle())
		row("failed", "%d", len(i.Errors))
		if i.Left > 0 {
			row("not tried", "%d", i.Left)
		}
	})
}

// idle tells of keys that were stored before, and that the signer says do not sign.
func (i *imported) idle() string {
	var such importResult
	n := 0
	for _, r := range i.Results {
		if r.Status == chamber.Duplicate && r.Message != "" {
			such = r
			n++
		}
	}
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("; %d of them do not sign here now, such as %s: %s", n, shown(such.Pubkey), shown(such.Message))
}

func (i *imported) failed() error {
	if len(i.Errors) == 0 {
		return nil
	}
	return fmt.Errorf("%d keystores were not imported", len(i.Errors))
}
