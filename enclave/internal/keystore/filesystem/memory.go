package filesystem

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
)

// assumedMemory is for systems that do not tell, which are those other than Linux.
const assumedMemory = 4 << 30

// Memory is what this process may have, in bytes: what the machine or the enclave has, or what a control group above the process
// allows if that is less.
func Memory() int64 { return memoryOf(os.DirFS("/")) }

func memoryOf(root fs.FS) int64 {
	memory, err := machineMemory(root)
	if err != nil {
		memory = assumedMemory
	}
	for _, file := range limitFiles(root) {
		if limit, err := readNumber(root, file); err == nil {
			memory = min(memory, limit)
		}
	}
	return memory
}

// limitFiles are where the limits of the process's control group stand, and of those above it, which bind as well. In a container
// the group may be named as the host sees it (cgroup_namespaces(7)); its limit then stands at the top.
func limitFiles(root fs.FS) (files []string) {
	text, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(text)) { // id:controllers:path (cgroups(7))
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) != 3 {
			continue
		}
		var top, file string
		switch {
		case fields[0] == "0":
			top, file = "sys/fs/cgroup", "memory.max"
		case slices.Contains(strings.Split(fields[1], ","), "memory"):
			top, file = "sys/fs/cgroup/memory", "memory.limit_in_bytes"
		default:
			continue
		}
		for group := path.Join("/", fields[2]); ; group = path.Dir(group) {
			files = append(files, path.Join(top, group, file))
			if group == "/" {
				break
			}
		}
	}
	return files
}

// readNumber reads a file of one number. "max", which stands for no limit, is an error like a file that is not there.
func readNumber(root fs.FS, file string) (int64, error) {
	text, err := fs.ReadFile(root, file)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(string(bytes.TrimSpace(text)), 10, 63)
	return int64(n), err
}

// machineMemory is MemTotal of /proc/meminfo, which counts in KiB (proc_meminfo(5)).
func machineMemory(root fs.FS) (int64, error) {
	text, err := fs.ReadFile(root, "proc/meminfo")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == "MemTotal:" {
			kib, err := strconv.ParseUint(fields[1], 10, 53)
			return int64(kib) << 10, err
		}
	}
	return 0, errors.New("no MemTotal in /proc/meminfo")
}
