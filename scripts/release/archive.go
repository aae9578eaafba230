package main

import (
	"archive/tar"
	"bytes"
	"cmp"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// member is one file of an archive.
type member struct {
	name string
	mode int64 // 0644 or 0755
	data []byte
}

// maxMember bounds what is read of one file of a chart, in bytes.
const maxMember = 16 << 20

// writeArchive puts files under the prefix, and folders with the files in them.
func writeArchive(job job, w io.Writer) error {
	var members []member
	for _, name := range job.files {
		top := filepath.Dir(name)
		err := filepath.WalkDir(name, func(file string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			info, err := os.Stat(file)
			if err != nil {
				return err
			}
			data, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			below, err := filepath.Rel(top, file)
			members = append(members, member{path.Join(job.prefix, filepath.ToSlash(below)), plainMode(info.Mode().Perm()), data})
			return err
		})
		if err != nil {
			return err
		}
	}
	return job.pack(w, members)
}

// writeChart writes the package that helm made, in which stand the times of its files or of the moment.
func writeChart(job job, w io.Writer) error {
	if len(job.files) != 1 {
		return fmt.Errorf("%w: chart takes one package", errUsage)
	}
	data, err := os.ReadFile(job.files[0])
	if err != nil {
		return err
	}
	members, err := unpack(bytes.NewReader(data))
	if err != nil {
		return fmt.Errorf("read %s: %w", job.files[0], err)
	}
	return job.pack(w, members)
}

// plainMode keeps of a mode what a umask cannot change: whether the owner runs the file.
func plainMode(mode os.FileMode) int64 {
	if mode&0o100 != 0 {
		return 0o755
	}
	return 0o644
}

// pack writes members in the order of their names, all of one time and of nobody in particular. The same members make the same bytes
// wherever the same Go compiled this program: gzip's output is not the same with every implementation.
func (j job) pack(w io.Writer, members []member) error {
	members = slices.SortedFunc(slices.Values(members), func(a, b member) int { return cmp.Compare(a.name, b.name) })
	zipped, err := gzip.NewWriterLevel(w, gzip.BestCompression) // its header has no name and no time
	if err != nil {
		return err
	}
	archive := tar.NewWriter(zipped)
	for i, m := range members {
		if i > 0 && members[i-1].name == m.name {
			return fmt.Errorf("%s stands in the archive twice", m.name)
		}
		header := &tar.Header{Typeflag: tar.TypeReg, Name: m.name, Mode: m.mode, Size: int64(len(m.data)), ModTime: j.time, Format: tar.FormatUSTAR}
		if err := archive.WriteHeader(header); err != nil {
			return fmt.Errorf("archive %s: %w", m.name, err)
		}
		if _, err := archive.Write(m.data); err != nil {
			return fmt.Errorf("archive %s: %w", m.name, err)
		}
	}
	return errors.Join(archive.Close(), zipped.Close())
}

// unpack reads the files of a tar.gz.
func unpack(r io.Reader) ([]member, error) {
	zipped, err := gzip.NewReader(r)
	if err != nil {
		return nil, err
	}
	archive := tar.NewReader(zipped)
	var members []member
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if header.Typeflag == tar.TypeDir {
			continue
		}
		if header.Typeflag != tar.TypeReg || !filepath.IsLocal(header.Name) || strings.Contains(header.Name, `\`) {
			return nil, fmt.Errorf("%q is not a plain file below the archive's root", header.Name)
		}
		if header.Size > maxMember {
			return nil, fmt.Errorf("%s has %d bytes, more than %d", header.Name, header.Size, maxMember)
		}
		data, err := io.ReadAll(archive)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", header.Name, err)
		}
		members = append(members, member{path.Clean(header.Name), plainMode(header.FileInfo().Mode().Perm()), data})
	}
	if len(members) == 0 {
		return nil, errors.New("no files in the archive")
	}
	return members, nil
}
