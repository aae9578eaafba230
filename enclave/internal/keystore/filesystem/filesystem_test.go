package filesystem_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keystore"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keystore/filesystem"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newKey(t *testing.T, n byte) *bls.SecretKey {
	t.Helper()
	seed := make([]byte, 32)
	seed[0] = n
	key, err := bls.SecretKeyFromSeed(seed)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// digits is a secret key in hexadecimal.
func digits(t *testing.T, key *bls.SecretKey) (s string) {
	t.Helper()
	must(t, key.Use(func(b []byte) error { s = fmt.Sprintf("%x", b); return nil }))
	return s
}

// loader reads for the first time: nothing is held.
func loader(dirs ...string) *filesystem.Loader {
	return filesystem.NewLoader(filesystem.Options{Paths: dirs, KeystoreConcurrency: 4, RawConcurrency: 4, Memory: filesystem.NewKDFMemory(100, 1<<30)},
		func(bls.PublicKey) (*keystore.Key, bool) { return nil, false })
}

func load(t *testing.T, dirs ...string) ([]*keystore.Key, []filesystem.FileError) {
	t.Helper()
	keys, failures, err := loader(dirs...).Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return keys, failures
}

func TestWriteAndLoad(t *testing.T) {
	first, second := t.TempDir(), t.TempDir()
	a, b, c := newKey(t, 1), newKey(t, 2), newKey(t, 3)
	must(t, filesystem.WriteKeystore(first, a, []byte("päss word"), filesystem.LightRounds))
	must(t, filesystem.WriteRaw(first, b))
	must(t, filesystem.WriteRaw(second, c))
	write(t, filepath.Join(first, ".hidden.yaml"), "not read")
	write(t, filepath.Join(first, "notes.txt"), "not read")
	must(t, os.Mkdir(filepath.Join(first, "dir.yaml"), 0o700))

	// As Kubernetes mounts them: links, with another extension.
	must(t, os.Rename(filepath.Join(second, fileName(c)+".yaml"), filepath.Join(second, "..data")))
	must(t, os.Symlink("..data", filepath.Join(second, "c.yml")))

	keys, failures := load(t, first, second, first+"/.")
	if len(failures) > 0 {
		t.Errorf("failures: %v", failures)
	}
	got := map[string]bool{}
	for _, key := range keys {
		got[key.PublicKey().String()] = true
	}
	want := map[string]bool{a.PublicKey().String(): true, b.PublicKey().String(): true, c.PublicKey().String(): true}
	if len(keys) != 3 || !cmp.Equal(got, want) {
		t.Errorf("%d keys: %s", len(keys), cmp.Diff(want, got))
	}

	entries, err := os.ReadDir(first)
	must(t, err)
	for _, e := range entries {
		if info, err := e.Info(); err != nil || !e.IsDir() && info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v, %v", e.Name(), info.Mode(), err)
		}
	}
	if err := filesystem.WriteRaw(first, a); !errors.Is(err, os.ErrExist) {
		t.Errorf("writing over a key: %v", err)
	}
	if err := filesystem.WriteKeystore(first, a, nil, 1); !errors.Is(err, os.ErrExist) {
		t.Errorf("writing over a keystore: %v", err)
	}
	if err := filesystem.WriteKeystore(second, a, nil, 0); err == nil || !strings.Contains(err.Error(), "0 rounds") {
		t.Errorf("no rounds: %v", err)
	}
}

func fileName(key *bls.SecretKey) string {
	return strings.TrimPrefix(key.PublicKey().String(), "0x")
}

// TestTwoFilesForOneKey: the first path counts, both are named, and the neighbour loads.
func TestTwoFilesForOneKey(t *testing.T) {
	dir := t.TempDir()
	key, other := newKey(t, 1), newKey(t, 2)
	for name, k := range map[string]*bls.SecretKey{"b.yaml": key, "a.yml": key, "c.yaml": other} {
		write(t, filepath.Join(dir, name), fmt.Sprintf("type: file-raw\nkeyType: BLS\nprivateKey: %s\n", digits(t, k)))
	}
	keys, failures := load(t, dir)
	if len(keys) != 2 || len(failures) != 1 {
		t.Fatalf("%d keys, %v", len(keys), failures)
	}
	want := filepath.Join(dir, "b.yaml") + ": the key is loaded already: " + key.PublicKey().String() + " is in " + filepath.Join(dir, "a.yml") + " too, which counts"
	if got := failures[0].Error(); got != want || !errors.Is(failures[0], keystore.ErrDuplicate) {
		t.Errorf("error %q\nwant  %q", got, want)
	}
}

// TestNoKeyType: BLS is what is meant.
func TestNoKeyType(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a.yaml"), fmt.Sprintf("type: file-raw\nprivateKey: %s\n", digits(t, newKey(t, 1))))
	if keys, failures := load(t, dir); len(keys) != 1 || len(failures) != 0 {
		t.Errorf("%d keys, %v", len(keys), failures)
	}
}

// TestBadFiles: each is named with its reason, and none keeps the good key back. No error shows what may be a key.
func TestBadFiles(t *testing.T) {
	const hex64 = "47b8192d77bf871b62e87859d653922725724a5c031afeabc60bcef5ff665138"
	keystoreOf := func(t *testing.T, dir string) string {
		key := newKey(t, 7)
		must(t, filesystem.WriteKeystore(dir, key, []byte("right"), 1))
		must(t, os.Rename(filepath.Join(dir, fileName(key)+".yaml"), filepath.Join(dir, "bad.yaml")))
		return filepath.Join(dir, fileName(key))
	}
	text := func(s string) func(*testing.T, string) {
		return func(t *testing.T, dir string) { write(t, filepath.Join(dir, "bad.yaml"), s) }
	}
	for _, tc := range []struct {
		name  string
		setup func(t *testing.T, dir string)
		words string
	}{
		{"empty", text(""), "the file is empty"},
		{"comment", text("# nothing\n"), "the file is empty"},
		{"not YAML", text("type: [" + hex64), "not valid YAML: see line 1"},
		{"bare key", text(hex64), "not a YAML mapping"},
		{"list", text("- " + hex64), "not a YAML mapping"},
		{"key without space", text("privateKey:" + hex64), "not a YAML mapping"},
		{"unknown alias", text("privateKey: *x" + hex64), "not valid YAML"},
		{"key as field", text(hex64 + ": x"), "unknown field in line 1"},
		{"two documents", text("type: file-raw\n---\nprivateKey: " + hex64), "more than one YAML document"},
		{"no type", text("keyType: BLS\nprivateKey: " + hex64), "field type is missing"},
		{"unknown type", text("type: hashicorp\nkeyType: BLS"), "unknown type: it is neither file-raw nor file-keystore"},
		{"type is a list", text("type: [file-raw]"), "field type is not a string"},
		{"empty key type", text("type: file-raw\nkeyType:\nprivateKey: " + hex64), "field keyType is not BLS"},
		{"another key type", text("type: file-raw\nkeyType: SECP256K1\nprivateKey: " + hex64), "field keyType is not BLS"},
		{"canary that is neither", text("type: file-raw\ncanary: yes\nprivateKey: " + hex64), "field canary is neither true nor false"},
		{"unknown field", text("type: file-raw\nkeyType: BLS\nprivatKey: " + hex64), "unknown field privatKey"},
		{"field twice", text("type: file-raw\ntype: file-raw\nprivateKey: " + hex64), "field type occurs twice"},
		{"no key", text("type: file-raw\nkeyType: BLS"), "field privateKey is missing"},
		{"no keystore", text("type: file-keystore\nkeyType: BLS\nkeystorePasswordFile: p"), "field keystoreFile is missing"},
		{"no password file", text("type: file-keystore\nkeyType: BLS\nkeystoreFile: p"), "field keystorePasswordFile is missing"},
		{"field of the other type", text("type: file-raw\nkeyType: BLS\nprivateKey: " + hex64 + "\nkeystoreFile: x"), "has only privateKey beside type, keyType and canary"},
		{"short key", text("type: file-raw\nkeyType: BLS\nprivateKey: " + hex64[2:]), "field privateKey is not 64 hexadecimal digits"},
		{"no digits", text("type: file-raw\nkeyType: BLS\nprivateKey: zz" + hex64[2:]), "field privateKey is not 64 hexadecimal digits"},
		{"zero key", text("type: file-raw\nkeyType: BLS\nprivateKey: " + strings.Repeat("0", 64)), "field privateKey: secret key is not 32 bytes, or is zero"},
		{"too large", text(strings.Repeat("# fill\n", 10_000)), "larger than 65536 bytes"},
		{"dangling link", func(t *testing.T, dir string) {
			must(t, os.Symlink("nowhere", filepath.Join(dir, "bad.yaml")))
		}, "no such file or directory"},
		{"named pipe", func(t *testing.T, dir string) {
			must(t, syscall.Mkfifo(filepath.Join(dir, "bad.yaml"), 0o600))
		}, "not a regular file"},
		{"keystore missing", text("type: file-keystore\nkeyType: BLS\nkeystoreFile: gone.json\nkeystorePasswordFile: p"), "gone.json: no such file or directory"},
		{"password missing", func(t *testing.T, dir string) {
			must(t, os.Remove(keystoreOf(t, dir)+".password"))
		}, ".password: no such file or directory"},
		{"wrong password", func(t *testing.T, dir string) {
			write(t, keystoreOf(t, dir)+".password", "wrong")
		}, ".json: wrong password in " + string(filepath.Separator)},
		{"keystore is not JSON", func(t *testing.T, dir string) {
			write(t, keystoreOf(t, dir)+".json", "{\"crypto\"")
		}, ".json: not valid JSON at byte 9"},
		{"keystore is a key", func(t *testing.T, dir string) {
			write(t, keystoreOf(t, dir)+".json", hex64)
		}, ".json: not valid JSON at byte"},
		{"keystore of another key", func(t *testing.T, dir string) {
			base := keystoreOf(t, dir)
			b, err := os.ReadFile(base + ".json")
			must(t, err)
			write(t, base+".json", strings.Replace(string(b), filepath.Base(base), strings.Repeat("ab", 48), 1))
		}, "field pubkey names 0xabab"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			must(t, filesystem.WriteRaw(dir, newKey(t, 1)))
			tc.setup(t, dir)
			keys, failures := load(t, dir)
			if len(keys) != 1 || len(failures) != 1 {
				t.Fatalf("%d keys, failures %v; want 1 and 1", len(keys), failures)
			}
			got := failures[0].Error()
			if !strings.HasPrefix(got, filepath.Join(dir, "bad.yaml")+": ") || !strings.Contains(got, tc.words) {
				t.Errorf("error %q, want the path and %q", got, tc.words)
			}
			for i := range len(hex64) - 8 {
				if strings.Contains(got, hex64[i:i+8]) {
					t.Fatalf("the error shows the key: %q", got)
				}
			}
		})
	}
}

func TestTrailingNewlineOfThePassword(t *testing.T) {
	dir := t.TempDir()
	key := newKey(t, 1)
	must(t, filesystem.WriteKeystore(dir, key, []byte("secret"), 1))
	for _, text := range []string{"secret", "secret\n", "secret\r\n"} {
		write(t, filepath.Join(dir, fileName(key)+".password"), text)
		if keys, failures := load(t, dir); len(keys) != 1 || len(failures) != 0 {
			t.Errorf("%q: %d keys, %v", text, len(keys), failures)
		}
	}
}

func TestUnreadableDirectoryFailsTheLoad(t *testing.T) {
	dir := t.TempDir()
	must(t, filesystem.WriteRaw(dir, newKey(t, 1)))
	missing, file := filepath.Join(dir, "missing"), filepath.Join(dir, fileName(newKey(t, 1))+".yaml")
	for path, words := range map[string]string{missing: "no such file or directory", file: "not a directory"} {
		keys, failures, err := loader(dir, path).Load(t.Context())
		if err == nil || err.Error() != "key directory "+path+": "+words {
			t.Errorf("error %v, want %s named as %q", err, path, words)
		}
		if keys != nil || failures != nil {
			t.Errorf("an error with %d keys and %v", len(keys), failures)
		}
	}
}

func TestLoadEndsWithItsContext(t *testing.T) {
	dir := t.TempDir()
	for n := range byte(8) {
		must(t, filesystem.WriteRaw(dir, newKey(t, n)))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	keys, _, err := loader(dir).Load(ctx)
	if !errors.Is(err, context.Canceled) || keys != nil {
		t.Errorf("%d keys, %v", len(keys), err)
	}
}

// TestProgressOfALoad counts every descriptor once, whatever becomes of it, and begins anew with each Load.
func TestProgressOfALoad(t *testing.T) {
	dir := t.TempDir()
	must(t, filesystem.WriteRaw(dir, newKey(t, 1)))
	must(t, filesystem.WriteKeystore(dir, newKey(t, 2), []byte("password"), filesystem.LightRounds))
	must(t, filesystem.WriteKeystore(dir, newKey(t, 3), []byte("password"), filesystem.LightRounds))
	write(t, filepath.Join(dir, fileName(newKey(t, 3))+".password"), "another")
	write(t, filepath.Join(dir, "bad.yaml"), "type: file-raw")
	l := loader(dir)
	for range 2 {
		if _, _, err := l.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(filesystem.Progress{Total: 4, Done: 4, Failed: 2}, l.Progress()); diff != "" {
			t.Errorf("progress (-want +got):\n%s", diff)
		}
	}
}

// TestAKeystoreThatNeedsTooMuch memory is refused by its name, and its neighbours load.
func TestAKeystoreThatNeedsTooMuch(t *testing.T) {
	dir := t.TempDir()
	must(t, filesystem.WriteKeystore(dir, newKey(t, 1), []byte("password"), filesystem.LightRounds))
	text, err := os.ReadFile(filepath.Join("testdata", "eip2335-scrypt.json"))
	must(t, err)
	write(t, filepath.Join(dir, "large.json"), string(text))
	write(t, filepath.Join(dir, "large.password"), "password")
	write(t, filepath.Join(dir, "large.yaml"), "type: file-keystore\nkeyType: BLS\nkeystoreFile: large.json\nkeystorePasswordFile: large.password\n")
	l := filesystem.NewLoader(filesystem.Options{
		Paths: []string{dir}, KeystoreConcurrency: 2, RawConcurrency: 2, Memory: filesystem.NewKDFMemory(25, 512<<20),
	}, func(bls.PublicKey) (*keystore.Key, bool) { return nil, false })
	keys, failures, err := l.Load(t.Context())
	must(t, err)
	if len(keys) != 1 || len(failures) != 1 {
		t.Fatalf("%d keys, failures %v", len(keys), failures)
	}
	want := filepath.Join(dir, "large.yaml") + ": keystore " + filepath.Join(dir, "large.json") + ": its key derivation needs 256 MiB of memory, " +
		"and all together may take 128 MiB: that is key_sources.filesystem.kdf_memory_percent (25) of 512 MiB"
	if got := failures[0].Error(); got != want {
		t.Errorf("error %q\nwant  %q", got, want)
	}
}

func TestNoDirectoriesNoKeys(t *testing.T) {
	if keys, failures := load(t); len(keys) != 0 || len(failures) != 0 {
		t.Errorf("%d keys, %v", len(keys), failures)
	}
}
