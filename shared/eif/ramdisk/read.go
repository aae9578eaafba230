package ramdisk

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// File is one file of an archive that was read. Its body is known by its hash.
type File struct {
	Name     string // without the "./" that some tools begin it with; "." is the root itself
	Mode     Mode
	UID, GID uint32
	Modified uint32    // seconds since 1970
	Device   [2]uint32 // major and minor number, of a device
	Size     int64     // of the body, in bytes
	SHA256   [sha256.Size]byte
	Target   string // of a symlink
}

// Read reads a ramdisk as a kernel does: archives in the format newc, each plain or compressed with gzip, with zeros between them. It
// refuses whatever would be unpacked to another place than its name says, or in two ways: names that are no plain paths or stand there
// twice, files below something that is no directory, hard links, numbers that are not hexadecimal; and more than the limits of this
// package, unpacked. Bodies are hashed and not kept.
func Read(r io.Reader) ([]File, error) {
	a := &reading{seen: map[string]Mode{}}
	if err := a.stream(bufio.NewReader(r), false); err != nil {
		return nil, fmt.Errorf("read ramdisk: %w", err)
	}
	return a.files, nil
}

// reading is what has been read.
type reading struct {
	files []File
	seen  map[string]Mode
	names int   // bytes of names and targets
	read  int64 // bytes, unpacked
	buf   [32 << 10]byte
	zeros [4 << 10]byte // to compare with
}

// errCompression is a ramdisk of another kind.
var errCompression = errors.New("neither an archive of the format newc nor gzip")

// stream reads archives up to the end. What was unpacked is not unpacked a second time.
func (a *reading) stream(in *bufio.Reader, unpacked bool) error {
	for offset := int64(0); ; {
		next, err := in.Peek(1)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case next[0] == 0:
			var n int64
			n, err = a.skipZeros(in)
			offset += n
		case next[0] == '0' && offset%alignment == 0:
			var n int64
			n, err = a.archive(in)
			offset += n
		case next[0] == 0x1f && !unpacked:
			err = a.gzip(in)
			offset = 0 // what stands where in the compressed bytes means nothing to the archive that follows, which begins anew
		default:
			return fmt.Errorf("at byte %d: %w, it begins with 0x%02x", offset, errCompression, next[0])
		}
		if err == nil && a.read > maxUnpacked {
			err = fmt.Errorf("more than %d bytes", int64(maxUnpacked))
		}
		if err != nil {
			return err
		}
	}
}

// skipZeros skips zeros, of which one is there: as many as are in the buffer, since a file may be full of them.
func (a *reading) skipZeros(in *bufio.Reader) (int64, error) {
	ready, err := in.Peek(min(in.Buffered(), len(a.zeros)))
	if err != nil {
		return 0, err
	}
	n := len(ready)
	if !bytes.Equal(ready, a.zeros[:n]) {
		n = bytes.IndexFunc(ready, func(r rune) bool { return r != 0 })
	}
	n, err = in.Discard(n)
	a.read += int64(n)
	return int64(n), err
}

func (a *reading) gzip(in *bufio.Reader) error {
	z, err := gzip.NewReader(in)
	if err != nil {
		return fmt.Errorf("gzip: %w", err)
	}
	z.Multistream(false)
	return a.stream(bufio.NewReader(z), true)
}

// archive reads one archive up to its trailer.
func (a *reading) archive(in *bufio.Reader) (length int64, err error) {
	p := &positioned{in: in, a: a}
	for {
		at := p.at
		done, err := a.file(p)
		if err != nil {
			return 0, fmt.Errorf("file %d, at byte %d of its archive: %w", len(a.files), at, err)
		}
		if done {
			return p.at, nil
		}
	}
}

// file reads one file, and tells whether it was the trailer.
func (a *reading) file(p *positioned) (done bool, err error) {
	h, err := p.head()
	if err != nil {
		return false, err
	}
	f := File{Mode: Mode(h.mode), UID: h.uid, GID: h.gid, Modified: h.mtime, Device: [2]uint32{h.major, h.minor}, Size: int64(h.size)}
	if f.Name, err = p.name(h.nameSize); err != nil {
		return false, err
	}
	if f.Name == trailer {
		if h.size != 0 {
			return false, errors.New("the trailer has a body")
		}
		return true, nil
	}
	f.Name = strings.TrimPrefix(f.Name, "./")
	if err := a.place(f, h.links); err != nil {
		return false, err
	}
	if f.Mode.Type() == Symlink {
		f.Target, err = p.target(f)
	} else {
		f.SHA256, err = p.hash(f.Size)
	}
	if err != nil {
		return false, fmt.Errorf("%q: %w", f.Name, err)
	}
	a.files = append(a.files, f)
	return false, nil
}

// place checks where a file goes.
func (a *reading) place(f File, links uint32) error {
	if f.Name != "." {
		if err := CheckName(f.Name); err != nil {
			return err
		}
	}
	switch _, twice := a.seen[f.Name]; {
	case twice:
		return fmt.Errorf("%q stands there a second time", f.Name)
	case links > 1 && f.Mode.Type() != Directory:
		return fmt.Errorf("%q has %d links; hard links are not read", f.Name, links)
	case f.Mode.Type() != Regular && f.Mode.Type() != Symlink && f.Size > 0:
		return fmt.Errorf("%q: %v with a body", f.Name, f.Mode)
	case len(a.files) == MaxFiles:
		return fmt.Errorf("%q: more than %d files", f.Name, MaxFiles)
	}
	for i, c := range f.Name {
		if c != '/' {
			continue
		}
		if mode, ok := a.seen[f.Name[:i]]; ok && mode.Type() != Directory {
			return fmt.Errorf("%q: %q above it is no directory but a %v", f.Name, f.Name[:i], mode)
		}
	}
	a.seen[f.Name] = f.Mode
	return nil
}

// positioned reads one archive and knows where it is.
type positioned struct {
	in *bufio.Reader
	a  *reading
	at int64
}

// head is the numbers of a file's head that mean something to a kernel.
type head struct{ mode, uid, gid, links, mtime, size, major, minor, nameSize uint32 }

func (p *positioned) head() (head, error) {
	raw, err := p.take(headSize)
	if err != nil {
		return head{}, err
	}
	if got := string(raw[:len(magic)]); got != magic {
		return head{}, fmt.Errorf("magic number %q, want %s", got, magic)
	}
	var n [fields]uint32
	for i := range n {
		digits := string(raw[len(magic)+8*i:][:8])
		value, err := strconv.ParseUint(digits, 16, 32)
		if err != nil || strings.ContainsAny(digits, "+-_") {
			return head{}, fmt.Errorf("number %d is %q, want eight hexadecimal digits", i, digits)
		}
		n[i] = uint32(value)
	}
	return head{mode: n[1], uid: n[2], gid: n[3], links: n[4], mtime: n[5], size: n[6], major: n[9], minor: n[10], nameSize: n[11]}, nil
}

// name reads a name with its zero byte.
func (p *positioned) name(size uint32) (string, error) {
	if size < 2 || size > maxName {
		return "", fmt.Errorf("name of %d bytes, want 2 to %d", size, maxName)
	}
	raw, err := p.take(int(size))
	if err != nil {
		return "", err
	}
	name := string(raw[:size-1])
	if raw[size-1] != 0 || strings.ContainsRune(name, 0) {
		return "", fmt.Errorf("name %.80q does not end with its one zero byte", raw)
	}
	if p.a.names += len(name); p.a.names > maxNames {
		return "", fmt.Errorf("all names together have more than %d bytes", maxNames)
	}
	return name, p.align()
}

func (p *positioned) target(f File) (string, error) {
	if f.Size >= maxName {
		return "", fmt.Errorf("symlink to a name of %d bytes, at most %d are allowed", f.Size, maxName-1)
	}
	raw, err := p.take(int(f.Size))
	if err != nil {
		return "", err
	}
	target := string(raw)
	if p.a.names += len(target); p.a.names > maxNames {
		return "", fmt.Errorf("all names together have more than %d bytes", maxNames)
	}
	if target == "" || strings.ContainsRune(target, 0) {
		return "", fmt.Errorf("symlink to %.80q", target)
	}
	return target, p.align()
}

// hash reads a body.
func (p *positioned) hash(size int64) (sum [sha256.Size]byte, err error) {
	h := sha256.New()
	for left := size; left > 0; {
		part, err := p.take(int(min(left, int64(len(p.a.buf)))))
		if err != nil {
			return sum, err
		}
		h.Write(part)
		left -= int64(len(part))
	}
	h.Sum(sum[:0])
	return sum, p.align()
}

// align skips the zeros up to the next multiple of four.
func (p *positioned) align() error {
	rest, err := p.take(int(padding(p.at, alignment)))
	if err != nil {
		return err
	}
	if strings.Trim(string(rest), "\x00") != "" {
		return fmt.Errorf("byte %d: filled up with %x, want zeros", p.at, rest)
	}
	return nil
}

// take reads n bytes, which are good until the next call; n is at most the size of the buffer.
func (p *positioned) take(n int) ([]byte, error) {
	part := p.a.buf[:n]
	got, err := io.ReadFull(p.in, part)
	p.at += int64(got)
	if p.a.read += int64(got); p.a.read > maxUnpacked {
		return nil, fmt.Errorf("more than %d bytes", int64(maxUnpacked))
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return part, err
}
