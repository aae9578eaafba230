package architecture

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// home is the path that every module's path begins with.
const home = "github.com/unforeseen-consequences/containment-chamber/"

// root is the tree's root, seen from this package.
var root = filepath.Join("..", "..", "..")

// source is one Go file of the tree.
type source struct {
	path    string // from the root, with slashes
	dir     string // of path: the import path without home
	test    bool
	lines   int
	imports map[string]string // import path → the name it has in the file
	ast     *ast.File
	set     *token.FileSet
}

// position names a place in the file as compilers do.
func (s source) position(at token.Pos) string {
	return s.path + ":" + strconv.Itoa(s.set.Position(at).Line)
}

// tree reads every Go file of the three modules.
func tree(t *testing.T) []source {
	t.Helper()
	var all []source
	for _, module := range []string{"enclave", "parent", "shared"} {
		before := len(all)
		err := filepath.WalkDir(filepath.Join(root, module), func(file string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || filepath.Ext(file) != ".go" {
				return err
			}
			s, err := read(file)
			all = append(all, s)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(all) == before {
			t.Fatalf("no Go file in module %s: a rule over nothing holds nothing", module)
		}
	}
	return all
}

func read(file string) (source, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return source{}, err
	}
	rel, err := filepath.Rel(root, file)
	if err != nil {
		return source{}, err
	}
	s := source{
		path:    filepath.ToSlash(rel),
		test:    strings.HasSuffix(file, "_test.go"),
		lines:   strings.Count(string(text), "\n"),
		imports: map[string]string{},
		set:     token.NewFileSet(),
	}
	s.dir = path.Dir(s.path)
	s.ast, err = parser.ParseFile(s.set, s.path, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return source{}, err
	}
	for _, spec := range s.ast.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return source{}, err
		}
		s.imports[imported] = localName(spec, imported)
	}
	return s, nil
}

// localName is how the file calls an import: as it says, or by the last element of the path.
func localName(spec *ast.ImportSpec, imported string) string {
	if spec.Name != nil {
		return spec.Name.Name
	}
	return path.Base(imported)
}

// within reports whether a path is one of dirs (or files) or lies below one.
func within(p string, dirs ...string) bool {
	for _, dir := range dirs {
		if p == dir || strings.HasPrefix(p, dir+"/") {
			return true
		}
	}
	return false
}

// standard reports whether an import path is of the standard library: its first element has no dot.
func standard(imported string) bool {
	first, _, _ := strings.Cut(imported, "/")
	return !strings.Contains(first, ".")
}
