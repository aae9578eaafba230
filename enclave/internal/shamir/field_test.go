package shamir

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"testing"
)

// product multiplies as one does by hand: the polynomials' product, then its remainder by 0x11b.
func product(a, b byte) byte {
	var long uint
	for i := range 8 {
		if b>>i&1 == 1 {
			long ^= uint(a) << i
		}
	}
	for i := 15; i >= 8; i-- {
		if long>>i&1 == 1 {
			long ^= 0x11b << (i - 8)
		}
	}
	return byte(long)
}

func TestMulOfAllPairs(t *testing.T) {
	for a := range 256 {
		for b := range 256 {
			if got, want := mul(byte(a), byte(b)), product(byte(a), byte(b)); got != want {
				t.Fatalf("%#x times %#x is %#x, want %#x", a, b, got, want)
			}
		}
	}
}

// TestMulOfFIPS197 has the examples of FIPS 197, sections 4.2 and 4.2.1.
func TestMulOfFIPS197(t *testing.T) {
	for b, want := range map[byte]byte{0x83: 0xc1, 0x01: 0x57, 0x02: 0xae, 0x04: 0x47, 0x08: 0x8e, 0x10: 0x07, 0x13: 0xfe} {
		if got := mul(0x57, b); got != want {
			t.Errorf("0x57 times %#x is %#x, want %#x", b, got, want)
		}
	}
}

func TestInvOfAll(t *testing.T) {
	if inv(0) != 0 {
		t.Errorf("1/0 is %#x, want 0", inv(0))
	}
	for a := 1; a < 256; a++ {
		var want []byte
		for b := range 256 {
			if product(byte(a), byte(b)) == 1 {
				want = append(want, byte(b))
			}
		}
		if got := inv(byte(a)); !slices.Equal(want, []byte{got}) {
			t.Errorf("1/%#x is %#x, want %#x", a, got, want)
		}
	}
}

func TestSlices(t *testing.T) {
	b := make([]byte, 256)
	for i := range b {
		b[i] = byte(i)
	}
	for factor := range 256 {
		sum, horner := slices.Repeat([]byte{0xa5}, 256), slices.Repeat([]byte{0xa5}, 256)
		addScaled(sum, byte(factor), b)
		scaleAdd(horner, byte(factor), b)
		for i := range b {
			if want := 0xa5 ^ product(byte(factor), b[i]); sum[i] != want {
				t.Fatalf("0xa5 + %#x * %#x is %#x, want %#x", factor, b[i], sum[i], want)
			}
			if want := product(0xa5, byte(factor)) ^ b[i]; horner[i] != want {
				t.Fatalf("0xa5 * %#x + %#x is %#x, want %#x", factor, b[i], horner[i], want)
			}
		}
	}
}

// TestFieldIsConstantTime reads the source: time and addresses cannot depend on the bytes where nothing branches, counts or indexes by them.
func TestFieldIsConstantTime(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "field.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	if faults := dependent(file); len(faults) > 0 {
		t.Errorf("field.go has %v", faults)
	}
}

func TestDependentSeesEachForm(t *testing.T) {
	for name, body := range map[string]string{
		"if":            "if a > 0 { a = 1 }",
		"switch":        "switch a { case 0: a = 1 }",
		"type switch":   "switch any(a).(type) {}",
		"select":        "select {}",
		"for":           "for a > 0 { a-- }",
		"goto":          "again: goto again",
		"break":         "for range 8 { break }",
		"continue":      "for range 8 { continue }",
		"range of a":    "for range a {}",
		"and":           "_ = true && false",
		"or":            "_ = true || false",
		"equal":         "_ = a == 1",
		"less":          "_ = a < 1",
		"divide":        "a /= 3",
		"remainder":     "a = a % 3",
		"shift by a":    "a = 1 << a",
		"shift right":   "a = 1 >> a",
		"shift assign":  "a >>= a",
		"table":         "a = table[a]",
		"table of key":  "for i := range s { a = table[s[i]] }",
		"index changed": "for i := range s { i = int(a); _ = s[i] }",
		"slice":         "_ = s[a:]",
		"call":          "other(a)",
		"method":        "x.call(a)",
		"defer":         "defer mul(a, a)",
		"go":            "go mul(a, a)",
		"function":      "_ = func() {}",
	} {
		file, err := parser.ParseFile(token.NewFileSet(), "", "package p\nfunc f(a byte, s []byte) {\n"+body+"\n}", 0)
		if err != nil {
			t.Fatal(err)
		}
		if len(dependent(file)) == 0 {
			t.Errorf("%s passes: %s", name, body)
		}
	}
}

// dependent lists what a file has beyond loops of fixed number or over a whole slice, indices that count such a loop, arithmetic whose
// time does not depend on its operands, and calls of mul.
func dependent(file *ast.File) (faults []string) {
	counters := map[string]bool{}
	fault := func(what string) { faults = append(faults, what) }
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.IfStmt, *ast.SwitchStmt, *ast.TypeSwitchStmt, *ast.SelectStmt, *ast.ForStmt, *ast.BranchStmt, *ast.SliceExpr,
			*ast.DeferStmt, *ast.GoStmt, *ast.FuncLit, *ast.ImportSpec:
			fault("a statement that may branch")
		case *ast.RangeStmt:
			if name, ok := n.X.(*ast.Ident); ok && name.Name != "sum" && name.Name != "s" {
				fault("a range over " + name.Name)
			}
			if key, ok := n.Key.(*ast.Ident); ok {
				counters[key.Name] = true
			}
		case *ast.BinaryExpr:
			if !steady(n.Op, n.Y) {
				fault("the operator " + n.Op.String())
			}
		case *ast.AssignStmt:
			faults = append(faults, assigned(n, counters)...)
		case *ast.IndexExpr:
			if key, ok := n.Index.(*ast.Ident); !ok || !counters[key.Name] {
				fault("an index that is no counter")
			}
		case *ast.CallExpr:
			if name, ok := n.Fun.(*ast.Ident); !ok || name.Name != "mul" {
				fault("a call of another function")
			}
		}
		return true
	})
	return faults
}

// steady says whether an operator takes the same time whatever its operands: shifts do by a constant.
func steady(op token.Token, right ast.Expr) bool {
	if op == token.SHL || op == token.SHR {
		_, constant := right.(*ast.BasicLit)
		return constant
	}
	return slices.Contains([]token.Token{token.XOR, token.AND, token.OR, token.ADD, token.SUB}, op)
}

func assigned(n *ast.AssignStmt, counters map[string]bool) (faults []string) {
	for _, to := range n.Lhs {
		if name, ok := to.(*ast.Ident); ok && counters[name.Name] {
			faults = append(faults, "a counter that is changed")
		}
	}
	plain := []token.Token{token.ASSIGN, token.DEFINE, token.XOR_ASSIGN, token.AND_ASSIGN, token.OR_ASSIGN}
	shift := n.Tok == token.SHL_ASSIGN || n.Tok == token.SHR_ASSIGN
	if !slices.Contains(plain, n.Tok) && (!shift || !steady(token.SHL, n.Rhs[0])) {
		faults = append(faults, "the assignment "+n.Tok.String())
	}
	return faults
}
