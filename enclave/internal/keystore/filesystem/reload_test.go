package filesystem_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keystore"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keystore/filesystem"
)

// rig is a directory of keys with the keystore that they are loaded into.
type rig struct {
	t      *testing.T
	dir    string
	keys   *keystore.Keystore
	loader *filesystem.Loader
}

func newRig(t *testing.T) *rig {
	r := &rig{t: t, dir: t.TempDir(), keys: keystore.New()}
	r.loader = filesystem.NewLoader(filesystem.Options{Paths: []string{r.dir}, KeystoreConcurrency: 2, RawConcurrency: 2, Memory: filesystem.NewKDFMemory(100, 1<<30)},
		func(public bls.PublicKey) (*keystore.Key, bool) { return r.keys.Held(keystore.Filesystem, public) })
	return r
}

func (r *rig) path(name string) string { return filepath.Join(r.dir, name) }

// load is what a reload does; it returns the failures too.
func (r *rig) load() (keystore.Change, []filesystem.FileError) {
	r.t.Helper()
	keys, failures, err := r.loader.Load(r.t.Context())
	must(r.t, err)
	return r.keys.Replace(keystore.Filesystem, keys), failures
}

// unchanged fails the test if a load finds anything to do.
func (r *rig) unchanged() {
	r.t.Helper()
	change, failures := r.load()
	if diff := cmp.Diff(keystore.Change{}, change); diff != "" || len(failures) > 0 {
		r.t.Errorf("failures %v, change (-want +got):\n%s", failures, diff)
	}
}

func (r *rig) key(key *bls.SecretKey) *keystore.Key {
	r.t.Helper()
	found, err := r.keys.Find(key.PublicKey())
	must(r.t, err)
	return found
}

// TestAReloadIsADifference: what is new comes, what is gone goes, what is as it was stays the very same key.
func TestAReloadIsADifference(t *testing.T) {
	r := newRig(t)
	a, b, c := newKey(t, 1), newKey(t, 2), newKey(t, 3)
	must(t, filesystem.WriteKeystore(r.dir, a, []byte("password"), filesystem.LightRounds))
	must(t, filesystem.WriteRaw(r.dir, b))
	r.load()
	before := r.key(a)
	r.unchanged()

	must(t, os.Remove(r.path(fileName(b)+".yaml")))
	must(t, filesystem.WriteRaw(r.dir, c))
	change, failures := r.load()
	want := keystore.Change{Added: []bls.PublicKey{c.PublicKey()}, Removed: []bls.PublicKey{b.PublicKey()}}
	if diff := cmp.Diff(want, change); diff != "" || len(failures) != 0 {
		t.Errorf("failures %v, change (-want +got):\n%s", failures, diff)
	}
	if r.key(a) != before {
		t.Error("an unchanged key was replaced")
	}

	// The same file with another key in it.
	must(t, os.Rename(r.path(fileName(c)+".yaml"), r.path("old")))
	must(t, filesystem.WriteRaw(r.dir, b))
	must(t, os.Rename(r.path(fileName(b)+".yaml"), r.path(fileName(c)+".yaml")))
	change, _ = r.load()
	want = keystore.Change{Added: []bls.PublicKey{b.PublicKey()}, Removed: []bls.PublicKey{c.PublicKey()}}
	if diff := cmp.Diff(want, change); diff != "" {
		t.Errorf("change (-want +got):\n%s", diff)
	}
}

// TestUnchangedKeystoresAreNotDecryptedAgain: whether a file was decrypted shows in the key that a Load returns, which is the one
// that is held, and no other with the same public key.
func TestUnchangedKeystoresAreNotDecryptedAgain(t *testing.T) {
	r := newRig(t)
	key := newKey(t, 1)
	must(t, filesystem.WriteKeystore(r.dir, key, []byte("password"), filesystem.LightRounds))
	loaded := func() *keystore.Key {
		keys, failures, err := r.loader.Load(t.Context())
		if err != nil || len(keys) != 1 || len(failures) != 0 {
			t.Fatalf("%d keys, %v, %v", len(keys), failures, err)
		}
		r.keys.Replace(keystore.Filesystem, keys)
		return keys[0]
	}
	first := loaded()
	if loaded() != first {
		t.Error("unchanged files were decrypted again")
	}
	base := r.path(fileName(key))
	write(t, base+".password", "password") // without the newline: another content, the same password
	if loaded() == first {
		t.Error("a changed password file was not read")
	}
	if loaded() != first {
		t.Error("the changed password file was decrypted twice")
	}
	r.keys.Replace(keystore.Filesystem, nil)
	if again := loaded(); again == first {
		t.Error("a key that was dropped since came back wiped")
	}
}

// TestABrokenFileDoesNotTakeItsKeyAway, however often it is found broken; only its absence does.
func TestABrokenFileDoesNotTakeItsKeyAway(t *testing.T) {
	for name, ext := range map[string]string{"descriptor": ".yaml", "keystore": ".json", "password": ".password"} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			key := newKey(t, 1)
			must(t, filesystem.WriteKeystore(r.dir, key, []byte("password"), filesystem.LightRounds))
			r.load()
			before, path := r.key(key), r.path(fileName(key)+ext)
			whole, err := os.ReadFile(path)
			must(t, err)
			for range 2 {
				write(t, path, string(whole[:len(whole)/2]))
				change, failures := r.load()
				if len(failures) != 1 || failures[0].Kept != key.PublicKey() || len(change.Removed) != 0 || r.key(key) != before {
					t.Fatalf("failures %+v, change %+v", failures, change)
				}
			}
			write(t, path, string(whole))
			r.unchanged()
			must(t, os.Remove(r.path(fileName(key)+".yaml")))
			if change, _ := r.load(); !slices.Equal(change.Removed, []bls.PublicKey{key.PublicKey()}) {
				t.Errorf("removed: %+v", change)
			}
		})
	}
}

// TestABrokenFileOfAKeyThatIsElsewhere keeps nothing: the other file stands for the key.
func TestABrokenFileOfAKeyThatIsElsewhere(t *testing.T) {
	r := newRig(t)
	key := newKey(t, 1)
	must(t, filesystem.WriteRaw(r.dir, key))
	text, err := os.ReadFile(r.path(fileName(key) + ".yaml"))
	must(t, err)
	r.load()
	write(t, r.path("z.yaml"), string(text))
	if _, failures := r.load(); len(failures) != 1 || !errors.Is(failures[0], keystore.ErrDuplicate) {
		t.Fatalf("two files: %v", failures)
	}
	write(t, r.path(fileName(key)+".yaml"), "type: file-raw")
	change, failures := r.load()
	if diff := cmp.Diff(keystore.Change{}, change); diff != "" || len(failures) != 1 || failures[0].Kept != (bls.PublicKey{}) {
		t.Errorf("failures %+v, change (-want +got):\n%s", failures, diff)
	}
}

// TestAReloadThatFailsChangesNothing, and what it decrypted is forgotten: the next one finds everything.
func TestAReloadThatFailsChangesNothing(t *testing.T) {
	r := newRig(t)
	a, b := newKey(t, 1), newKey(t, 2)
	must(t, filesystem.WriteRaw(r.dir, a))
	r.load()
	must(t, filesystem.WriteRaw(r.dir, b))
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if keys, _, err := r.loader.Load(ended); !errors.Is(err, context.Canceled) || keys != nil {
		t.Errorf("%d keys, %v", len(keys), err)
	}
	must(t, os.Rename(r.dir, r.dir+"-away"))
	if keys, _, err := r.loader.Load(t.Context()); err == nil || keys != nil {
		t.Errorf("%d keys without a directory, %v", len(keys), err)
	}
	must(t, os.Rename(r.dir+"-away", r.dir))
	change, _ := r.load()
	if diff := cmp.Diff(keystore.Change{Added: []bls.PublicKey{b.PublicKey()}}, change); diff != "" {
		t.Errorf("change (-want +got):\n%s", diff)
	}
}

// TestAReloadFollowsASwappedSecret as Kubernetes swaps it: names are links through ..data, which is replaced in one step, and a link
// whose file is gone is taken away a moment later. A reload in between keeps its key.
func TestAReloadFollowsASwappedSecret(t *testing.T) {
	r := newRig(t)
	a, b, c := newKey(t, 1), newKey(t, 2), newKey(t, 3)
	version := func(name string, first, second *bls.SecretKey) {
		t.Helper()
		dir := r.path(name)
		must(t, os.Mkdir(dir, 0o700))
		for file, key := range map[string]*bls.SecretKey{"first.yaml": first, "second.yaml": second} {
			if key != nil {
				must(t, filesystem.WriteRaw(dir, key))
				must(t, os.Rename(filepath.Join(dir, fileName(key)+".yaml"), filepath.Join(dir, file)))
			}
		}
		must(t, os.Symlink(name, r.path("..new")))
		must(t, os.Rename(r.path("..new"), r.path("..data")))
	}
	version("..1", a, b)
	for _, file := range []string{"first.yaml", "second.yaml"} {
		must(t, os.Symlink(filepath.Join("..data", file), r.path(file)))
	}
	if change, failures := r.load(); len(change.Added) != 2 || len(failures) != 0 {
		t.Fatalf("%+v, %v", change, failures)
	}
	before := r.key(b)

	version("..2", c, nil)
	must(t, os.RemoveAll(r.path("..1")))
	change, failures := r.load()
	want := keystore.Change{Added: []bls.PublicKey{c.PublicKey()}, Removed: []bls.PublicKey{a.PublicKey()}}
	if diff := cmp.Diff(want, change); diff != "" || len(failures) != 1 || failures[0].Kept != b.PublicKey() || r.key(b) != before {
		t.Errorf("failures %+v, change (-want +got):\n%s", failures, diff)
	}
	must(t, os.Remove(r.path("second.yaml")))
	if change, failures = r.load(); !slices.Equal(change.Removed, []bls.PublicKey{b.PublicKey()}) || len(failures) != 0 {
		t.Errorf("failures %+v, change %+v", failures, change)
	}
}
