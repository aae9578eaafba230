package diagnostics

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/problem"
)

const (
	// MaxBundle is the most bytes of a support bundle, which is in memory while it is made.
	MaxBundle = 16 << 20
	// Folder is where all files of a support bundle are.
	Folder = "support-bundle/"
	// contents is the file that tells of the others.
	contents = "README.txt"

	// The files of a bundle are made at once, and have this long; then a file is left out. The difference is for one that says at the end of
	// its time what it has.
	makeLimit   = 2500 * time.Millisecond
	bundleLimit = 3 * time.Second

	// around is more than the bytes that the archive has for a file beside what is in it: its header, and what fills its last block.
	around = 2 << 10
)

// File is one file of the support bundle.
type File struct {
	Name  string // of small letters, digits, dots and dashes
	About string // what is in it, in a few words
	// Make makes it. It may hold what people may see who are sent the bundle, and no secret. With an error what was made is sent nevertheless.
	Make func(ctx context.Context) ([]byte, error)
}

// file is a file with what is known of it from bundle to bundle.
type file struct {
	File
	hangs *atomic.Bool // it is being made
}

// made is a file with what became of it.
type made struct {
	File
	text []byte
	err  error
}

// bundle answers with a tar archive. One is made at a time, which takes three seconds at most, whatever hangs: then the answer says what is missing.
func (a *API) bundle(w http.ResponseWriter, r *http.Request) error {
	if !a.making.TryLock() {
		return problem.New(problem.Overloaded, "another support bundle is being made")
	}
	defer a.making.Unlock()
	now := time.Now()
	archive, err := a.pack(a.collect(r.Context()), now)
	if err != nil {
		return problem.Wrap(problem.Internal, err, "the support bundle could not be packed")
	}
	h := w.Header()
	h.Set("Content-Type", "application/x-tar")
	h.Set("Content-Disposition", `attachment; filename="support-bundle.tar"`)
	_, _ = w.Write(archive) // a caller that is gone does not want it
	return nil
}

// collect has all files made. One that does not heed its context is left behind, and not made again before it has ended.
func (a *API) collect(ctx context.Context) []made {
	ctx, cancel := context.WithTimeout(ctx, makeLimit)
	defer cancel()
	late := time.NewTimer(bundleLimit)
	defer late.Stop()
	results := make([]chan made, len(a.files))
	for i, f := range a.files {
		results[i] = make(chan made, 1)
		if !f.hangs.CompareAndSwap(false, true) {
			results[i] <- made{File: f.File, err: errors.New("it hangs since an earlier bundle")}
			continue
		}
		go f.make(ctx, results[i])
	}
	all := make([]made, 0, len(a.files))
	over := late.C
	for i, f := range a.files {
		m := made{File: f.File, err: fmt.Errorf("not made within %v", bundleLimit)}
		select {
		case m = <-results[i]:
		case <-over:
			over = closed() // for all that follow
			select {
			case m = <-results[i]:
			default:
			}
		}
		all = append(all, m)
	}
	return all
}

// closed is a timer whose time is over.
func closed() <-chan time.Time {
	c := make(chan time.Time)
	close(c)
	return c
}

// make makes one file. A panic is that file's fault, and the process goes on signing.
func (f file) make(ctx context.Context, result chan<- made) {
	m := made{File: f.File}
	defer func() {
		if p := recover(); p != nil {
			m.text, m.err = nil, fmt.Errorf("panic: %v", p)
		}
		f.hangs.Store(false)
		result <- m
	}()
	m.text, m.err = f.Make(ctx)
}

// pack writes the archive, in which every file has the same room.
func (a *API) pack(files []made, now time.Time) ([]byte, error) {
	room := MaxBundle/(len(files)+2) - around
	for i, m := range files {
		files[i].text = a.fit(m.text, room)
	}
	files = append([]made{{File: File{Name: contents}, text: a.fit(list(files, now), room)}}, files...)
	var out bytes.Buffer
	archive := tar.NewWriter(&out)
	for _, m := range files {
		if m.text == nil {
			continue
		}
		header := &tar.Header{Name: Folder + m.Name, Mode: 0o600, Size: int64(len(m.text)), ModTime: now.Truncate(time.Second), Format: tar.FormatUSTAR}
		if err := archive.WriteHeader(header); err != nil {
			return nil, fmt.Errorf("pack %s: %w", m.Name, err)
		}
		if _, err := archive.Write(m.text); err != nil {
			return nil, fmt.Errorf("pack %s: %w", m.Name, err)
		}
	}
	if err := archive.Close(); err != nil {
		return nil, fmt.Errorf("pack: %w", err)
	}
	return out.Bytes(), nil
}

// fit makes a text one of the bundle. It is cut between lines before it is looked through, so that no half of a secret is left that is not
// known as one; what takes the place of a secret may be longer.
func (a *API) fit(text []byte, room int) []byte { return cut(a.mask(cut(text, room)), room) }

// cut leaves the first lines of what is too long.
func cut(text []byte, room int) []byte {
	if len(text) <= room {
		return text
	}
	note := fmt.Sprintf("(cut: it has %d bytes)\n", len(text))
	end := bytes.LastIndexByte(text[:room-len(note)], '\n') + 1
	return append(text[:end:end], note...)
}

// list says what is in a bundle, and what is missing.
func list(files []made, now time.Time) []byte {
	var out strings.Builder
	fmt.Fprintf(&out, "Support bundle of a containment chamber, made %s.\n", now.UTC().Format(time.RFC3339))
	out.WriteString("Keys, tokens and passwords are left out of it. It holds public keys, addresses, names of hosts and KMS keys, and the log.\n\n")
	for _, m := range files {
		fmt.Fprintf(&out, "%-20s %s\n", m.Name, m.About)
		if m.err != nil {
			fmt.Fprintf(&out, "%-20s INCOMPLETE: %v\n", "", m.err)
		}
	}
	return []byte(out.String())
}
