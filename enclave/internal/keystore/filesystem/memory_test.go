package filesystem

import (
	"testing"
	"testing/fstest"
)

func TestMemory(t *testing.T) {
	const meminfo = "MemTotal:        8388608 kB\nMemFree:          123456 kB\n"
	for _, tc := range []struct {
		name  string
		files map[string]string // but for those of the machine
		want  int64
	}{
		{"no control groups, as in an enclave", nil, 8 << 30},
		{"v2, no limit", map[string]string{"proc/self/cgroup": "0::/a.slice/b\n", "sys/fs/cgroup/a.slice/b/memory.max": "max\n"}, 8 << 30},
		{"v2, the group", map[string]string{"proc/self/cgroup": "0::/a.slice/b\n", "sys/fs/cgroup/a.slice/b/memory.max": "1073741824\n"}, 1 << 30},
		{"v2, a group above", map[string]string{
			"proc/self/cgroup":                   "0::/a.slice/b\n",
			"sys/fs/cgroup/a.slice/memory.max":   "536870912\n",
			"sys/fs/cgroup/a.slice/b/memory.max": "1073741824\n",
		}, 512 << 20},
		{"v2, another group", map[string]string{"proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/b/memory.max": "1073741824\n"}, 8 << 30},
		{"v2, in a container", map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "2147483648\n"}, 2 << 30},
		{"v1, named as the host sees it", map[string]string{
			"proc/self/cgroup":                           "5:cpu,cpuacct:/docker/1\n4:memory:/docker/1\n0::/docker/1\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "3221225472\n",
		}, 3 << 30},
		{"v1, with others, no limit", map[string]string{
			"proc/self/cgroup": "4:hugetlb,memory:/a\n", "sys/fs/cgroup/memory/a/memory.limit_in_bytes": "9223372036854771712\n",
		}, 8 << 30},
		{"v1, a path with a colon", map[string]string{
			"proc/self/cgroup": "4:memory:/a:b\n", "sys/fs/cgroup/memory/a:b/memory.limit_in_bytes": "1073741824\n",
		}, 1 << 30},
		{"nonsense", map[string]string{"proc/self/cgroup": "\n0\n0::../../..\n", "sys/fs/cgroup/memory.max": "-1\n"}, 8 << 30},
		{"more than the machine", map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "1099511627776\n"}, 8 << 30},
	} {
		t.Run(tc.name, func(t *testing.T) {
			root := fstest.MapFS{"proc/meminfo": {Data: []byte(meminfo)}}
			for name, text := range tc.files {
				root[name] = &fstest.MapFile{Data: []byte(text)}
			}
			if got := memoryOf(root); got != tc.want {
				t.Errorf("%d bytes, want %d", got, tc.want)
			}
		})
	}
	for name, text := range map[string]string{"no MemTotal": "MemFree: 1 kB\n", "MemTotal is no number": "MemTotal: much kB\n"} {
		root := fstest.MapFS{"proc/meminfo": {Data: []byte(text)}}
		if got := memoryOf(root); got != assumedMemory {
			t.Errorf("%s: %d bytes, want %d", name, got, assumedMemory)
		}
	}
	if got := memoryOf(fstest.MapFS{}); got != assumedMemory {
		t.Errorf("of nothing: %d bytes, want %d", got, assumedMemory)
	}
	if here := Memory(); here < 64<<20 || here > 1<<50 {
		t.Errorf("of this process: %d bytes", here)
	}
}
