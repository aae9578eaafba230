package eif_test

import (
	"crypto/sha512"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
	"github.com/unforeseen-consequences/containment-chamber/shared/eif"
)

// The values here were computed with coreutils, where Z is `head -c 48 /dev/zero`:
// (Z; printf DATA | sha384sum | cut -c1-96 | xxd -r -p) | sha384sum for those of an image and of a certificate,
// (Z; printf DATA) | sha384sum for the others. The one of PCR3 is the example of the AWS Nitro Enclaves user guide, too.| sha384sum for the others.
const (
	pcrOfNothing  = "21b9efbc184807662e966d34f390821309eeac6802309798826296bf3e8bec7c10edb30948c90ba67310f7b964fc500a"
	pcrKernel     = "2b43554010a96bd670e51dba7274d8047bfac05cf7d321ca411fa6ed14dea238b763e65c5db087777fc1514866c4bf7e" // kernelcmdline
	pcrKernelBoot = "57550eb13fb31d195ad533ebbb9e2c6d19fa967be171fe457072caef63398106d6704e4cb9ee4a0d637264a92241bfd8" // kernelcmdlineboot
	pcrEverything = "4899abbc99388c61e0c94fc2ee49378d9bcd4f95efba9c5a7faae0daa1700d5ea5c07dfd00cfbdb6a9a543de14220d6f" // kernelcmdlinebootapp1app2
	pcrApp        = "4d75c1ad1f691c63f15aea20df0bebd07ee6ba234ace95b71ec63d6ec100475dfbb9f6327f5546737a848a58eed2e089" // app1app2
)

func pcr(t testing.TB, digits string) attestation.PCR {
	t.Helper()
	p, err := attestation.ParsePCR(digits)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestRegistersOfAnImage(t *testing.T) {
	m := section{metadata, someMetadata}
	k, c, boot := section{kernel, "kernel"}, section{cmdline, "cmdline"}, section{ramdisk, "boot"}
	for _, test := range []struct {
		name             string
		sections         []section
		pcr0, pcr1, pcr2 string
	}{
		{"three ramdisks", good().sections, pcrEverything, pcrKernelBoot, pcrApp},
		{"one ramdisk", []section{k, c, m, boot}, pcrKernelBoot, pcrKernelBoot, pcrOfNothing},
		{"no ramdisk", []section{k, c, m}, pcrKernel, pcrKernel, pcrOfNothing},
		{"metadata elsewhere", []section{m, k, c, boot, {ramdisk, "app1"}, {ramdisk, "app2"}}, pcrEverything, pcrKernelBoot, pcrApp},
		{"application in one ramdisk", []section{k, c, m, boot, {ramdisk, "app1app2"}}, pcrEverything, pcrKernelBoot, pcrApp},
		{"empty ramdisk", []section{k, c, m, boot, {ramdisk, ""}}, pcrKernelBoot, pcrKernelBoot, pcrOfNothing},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := mustParse(t, file{version: 4, sections: test.sections}.bytes()).PCRs
			want := attestation.Measurements{0: pcr(t, test.pcr0), 1: pcr(t, test.pcr1), 2: pcr(t, test.pcr2)}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestBodiesOfManyChunks holds the streaming against hashes over everything at once.
func TestBodiesOfManyChunks(t *testing.T) {
	body := func(letter string, n int) string { return strings.Repeat(letter, n) }
	k, boot, app := body("k", 256<<10), body("b", 256<<10+1), body("a", 1<<20-1)
	f := mustParse(t, file{version: 4, sections: []section{
		{kernel, k}, {cmdline, "cmdline"}, {ramdisk, boot}, {ramdisk, app}, {metadata, "{}"}, {ramdisk, app},
	}}.bytes())
	twice := func(data string) attestation.PCR {
		inner := sha512.Sum384([]byte(data))
		return sha512.Sum384(append(make([]byte, 48), inner[:]...))
	}
	want := attestation.Measurements{0: twice(k + "cmdline" + boot + app + app), 1: twice(k + "cmdline" + boot), 2: twice(app + app)}
	if diff := cmp.Diff(want, f.PCRs); diff != "" {
		t.Error(diff)
	}
}

func TestOtherRegisters(t *testing.T) {
	for _, test := range []struct {
		name string
		got  attestation.PCR
		want string
	}{
		{
			"PCR3", eif.PCR3("arn:aws:iam::123456789012:role/Webserver"),
			"78fce75db17cd4e0a3fb8dad3ad128ca5e77edbb2b2c7f75329dccd99aa5f6ef4fc1f1a452e315b9e98f9e312e6921e6",
		},
		{
			"PCR4", eif.PCR4("i-0123456789abcdef0"),
			"d6432900ac1c343cb40286898792c55e962aef0cc35c4910c0c286145b51af19e782cb21cc31a042671d7dfbd398251c",
		},
		{
			"PCR8", eif.PCR8([]byte("certificate")),
			"e2ad58e7a1a9fdb1dcd72ae5858372974416919245e567ea8f717937e8b914f644320b0f88dcfca2d7a83b5ee6c832dd",
		},
		{
			"PCR16", eif.PCR16(sha512.Sum384([]byte("configuration"))),
			"9553c780cebe05da54056bdb3f55a7a0b7eb3fc1e92c00251ed159fa9d93f5a36adcadf59e3edd48c180d21d294c2c0f",
		},
	} {
		if test.got != pcr(t, test.want) {
			t.Errorf("%s is %v, want %v", test.name, test.got, test.want)
		}
	}
}

// TestPCR4OfRealDocuments: the module id of a document begins with the id of the instance, whose register is in it too.
func TestPCR4OfRealDocuments(t *testing.T) {
	for name, millis := range map[string]int64{
		"prod-pcr8-nonce.cose": 1665651482136, "debug.cose": 1665582606081, "debug-spki-user-data.cose": 1695049410860,
	} {
		raw, err := os.ReadFile(filepath.Join("..", "attestation", "testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		doc, err := attestation.Verify(raw, attestation.Options{Now: time.UnixMilli(millis)})
		if err != nil {
			t.Fatal(err)
		}
		instance := doc.ModuleID[:strings.LastIndex(doc.ModuleID, "-enc")]
		if got := eif.PCR4(instance); got != doc.PCRs[4] {
			t.Errorf("%s, instance %s: %v, the document has %v", name, instance, got, doc.PCRs[4])
		}
	}
}
