package main

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/moby/profiles/seccomp"
)

// profile is what a kubelet hands to the runtime for a profile of type Localhost: the form of the OCI runtime specification,
// which knows no conditions on capabilities or kernels.
type profile struct {
	DefaultAction   string   `json:"defaultAction"`
	DefaultErrnoRet uint     `json:"defaultErrnoRet"`
	Architectures   []string `json:"architectures"`
	Syscalls        []rule   `json:"syscalls"`
}

type rule struct {
	Names    []string   `json:"names"`
	Action   string     `json:"action"`
	ErrnoRet *uint      `json:"errnoRet,omitempty"`
	Args     []argument `json:"args,omitempty"`
}

type argument struct {
	Index    uint   `json:"index"`
	Value    uint64 `json:"value"`
	ValueTwo uint64 `json:"valueTwo,omitempty"`
	Op       string `json:"op"`
}

// families are the address families that signer, parent and nitro-cli open sockets of: unix, IPv4, IPv6, netlink, which the C
// library reads the host's addresses from, and vsock, which the default profile refuses.
var families = []uint64{1, 2, 10, 16, 40}

// seccompProfile compares the chart's profile with the default of the container runtimes as it is for a container without
// capabilities, on 64-bit machines alone, with sockets of the families above and of no others.
func seccompProfile(h house, update bool) error {
	p := profile{DefaultAction: "SCMP_ACT_ERRNO", DefaultErrnoRet: 1, Architectures: []string{"SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"}}
	sockets := 0
	for _, s := range seccomp.DefaultProfile().Syscalls {
		if s.Includes != nil && len(s.Includes.Caps) > 0 || !fits(s.Includes) || excluded(s.Excludes) {
			continue
		}
		if slices.Contains(s.Names, "socket") {
			if len(s.Names) != 1 || len(s.Args) != 1 {
				return fmt.Errorf("the default profile has another rule for socket than it had: %v", s.Names)
			}
			sockets++
			continue
		}
		r := rule{Names: slices.Sorted(slices.Values(s.Names)), Action: string(s.Action), ErrnoRet: s.ErrnoRet}
		for _, a := range s.Args {
			r.Args = append(r.Args, argument{a.Index, a.Value, a.ValueTwo, string(a.Op)})
		}
		p.Syscalls = append(p.Syscalls, r)
	}
	if sockets == 0 {
		return fmt.Errorf("the default profile has no rule for socket that could be replaced")
	}
	for _, family := range families {
		p.Syscalls = append(p.Syscalls, rule{Names: []string{"socket"}, Action: "SCMP_ACT_ALLOW", Args: []argument{{Value: family, Op: "SCMP_CMP_EQ"}}})
	}
	text, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return err
	}
	return h.same(chart+"files/seccomp.json", append(text, '\n'), update)
}

// fits says whether a rule is for one of the machines that enclaves run on.
func fits(f *seccomp.Filter) bool {
	return f == nil || len(f.Arches) == 0 || slices.Contains(f.Arches, "amd64") || slices.Contains(f.Arches, "arm64")
}

// excluded says whether a rule is not for these machines. Rules that capabilities exclude are for who has none.
func excluded(f *seccomp.Filter) bool {
	return f != nil && (slices.Contains(f.Arches, "amd64") || slices.Contains(f.Arches, "arm64"))
}
