package eif_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"strings"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/shared/eif"
)

// The types of sections, as numbers, so that the files here are written without the package that is tested.
const (
	kernel uint16 = iota + 1
	cmdline
	ramdisk
	signature
	metadata
)

type section struct {
	kind uint16
	body string
}

// file is an image file before it is written.
type file struct {
	version, flags uint16
	sections       []section
}

const someMetadata = `{"ImageName":"chamber","ImageVersion":"1","BuildMetadata":{"BuildTime":"1970-01-01T00:00:01Z","BuildTool":"make",` +
	`"BuildToolVersion":"4","OperatingSystem":"Linux","KernelVersion":"6.12"},"DockerInfo":null,"CustomMetadata":null}`

// good is a file in the order that AWS's builder writes.
func good() file {
	return file{version: 4, sections: []section{
		{kernel, "kernel"}, {cmdline, "cmdline"}, {metadata, someMetadata}, {ramdisk, "boot"}, {ramdisk, "app1"}, {ramdisk, "app2"},
	}}
}

// bytes writes the file, byte for byte as the format has it.
func (f file) bytes() []byte {
	be := binary.BigEndian
	head := []byte(".eif")
	head = be.AppendUint16(head, f.version)
	head = be.AppendUint16(head, f.flags)
	head = be.AppendUint64(head, 1<<30)
	head = be.AppendUint64(head, 2)
	head = be.AppendUint16(head, 0)
	head = be.AppendUint16(head, uint16(len(f.sections)))
	head = append(head, make([]byte, 548-len(head))...)
	var body []byte
	for i, s := range f.sections {
		if i < 32 {
			be.PutUint64(head[0x1c+8*i:], uint64(548+len(body)))
			be.PutUint64(head[0x11c+8*i:], uint64(len(s.body)))
		}
		body = be.AppendUint16(body, s.kind)
		body = be.AppendUint16(body, 0)
		body = be.AppendUint64(body, uint64(len(s.body)))
		body = append(body, s.body...)
	}
	return checksummed(append(head, body...))
}

// checksummed puts the right checksum into a file.
func checksummed(raw []byte) []byte {
	if len(raw) >= 548 {
		sum := crc32.Update(crc32.ChecksumIEEE(raw[:544]), crc32.IEEETable, raw[548:])
		binary.BigEndian.PutUint32(raw[544:], sum)
	}
	return raw
}

func parse(raw []byte) (*eif.File, error) { return eif.Parse(bytes.NewReader(raw), int64(len(raw))) }

func mustParse(t testing.TB, raw []byte) *eif.File {
	t.Helper()
	f, err := parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// refused fails unless err is an *eif.Error of this field and offset whose text contains words, and there is no file.
func refused(t *testing.T, f *eif.File, err error, field string, offset int64, words string) {
	t.Helper()
	e, ok := errors.AsType[*eif.Error](err)
	if !ok || f != nil || e.Field != field || e.Offset != offset || !strings.Contains(e.Error(), words) {
		t.Errorf("got file %v, error %v; want no file, and %s at byte %d with %q", f != nil, err, field, offset, words)
	}
}
