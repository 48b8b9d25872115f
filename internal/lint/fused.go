package lint

import (
	"fmt"
	"go/ast"
	"go/constant"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"math"
	"os"
	"path/filepath"
)

// computing are the packages whose numbers are answers.
var computing = []string{"./data/...", "./ml/...", "./jobs/...", "./registry/...", "./internal/rng"}

// compiled is what go list says of a package and of those that it imports.
type compiled struct {
	Dir, ImportPath, Export string
	GoFiles                 []string
	DepOnly                 bool
}

// checkFused reports products that are added to something without a conversion
// around them. Compilers may round such a sum once where the processor can (Go's
// does on arm64, across assignments and into inlined functions, whatever the
// language says of these), and others twice: an explicit conversion is what keeps
// answers the same on all processors.
func checkFused(root string) ([]finding, error) {
	pkgs, err := list[compiled](root, append([]string{"-export", "-deps", "-json=Dir,ImportPath,Export,GoFiles,DepOnly"}, computing...)...)
	if err != nil {
		return nil, err
	}
	exports := map[string]string{}
	for _, p := range pkgs {
		exports[p.ImportPath] = p.Export
	}
	var found []finding
	for _, p := range pkgs {
		if p.DepOnly {
			continue
		}
		more, err := p.fused(root, exports)
		if err != nil {
			return nil, err
		}
		found = append(found, more...)
	}
	return found, nil
}

func (p compiled) fused(root string, exports map[string]string) ([]finding, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	positions := token.NewFileSet()
	var files []*ast.File
	for _, name := range p.GoFiles {
		f, err := parser.ParseFile(positions, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	lookup := func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) }
	info := &types.Info{Types: map[ast.Expr]types.TypeAndValue{}, Defs: map[*ast.Ident]types.Object{}, Uses: map[*ast.Ident]types.Object{}}
	checker := types.Config{Importer: importer.ForCompiler(positions, "gc", lookup)}
	if _, err := checker.Check(p.ImportPath, positions, files, info); err != nil {
		return nil, fmt.Errorf("types of %s: %w", p.ImportPath, err)
	}
	s := sums{info: info, products: map[types.Object]bool{}, report: func(n ast.Node, what string) finding {
		at := positions.Position(n.Pos())
		name, err := filepath.Rel(root, at.Filename)
		if err != nil {
			name = at.Filename
		}
		return finding{"fused", fmt.Sprintf("%s:%d", name, at.Line), what}
	}}
	for _, f := range files {
		ast.Inspect(f, s.learn)
	}
	for _, f := range files {
		ast.Inspect(f, s.look)
	}
	return s.found, nil
}

// sums looks for products that are added.
type sums struct {
	info     *types.Info
	products map[types.Object]bool // variables that are assigned a product
	report   func(ast.Node, string) finding
	found    []finding
}

const mend = "one processor would round it before and another would not: convert it, float64(x * y)"

// learn finds the variables that are products, and functions that return one.
func (s *sums) learn(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.AssignStmt:
		for i, left := range n.Lhs {
			id, ok := left.(*ast.Ident)
			if !ok || len(n.Lhs) != len(n.Rhs) || !s.float(left) {
				continue
			}
			plain := n.Tok == token.ASSIGN || n.Tok == token.DEFINE
			if plain && s.product(n.Rhs[i]) || n.Tok == token.MUL_ASSIGN && !s.powerOfTwo(n.Rhs[i]) {
				s.products[s.info.ObjectOf(id)] = true
			}
		}
	case *ast.ValueSpec:
		for i, v := range n.Values {
			if len(n.Names) == len(n.Values) && s.product(v) {
				s.products[s.info.ObjectOf(n.Names[i])] = true
			}
		}
	case *ast.ReturnStmt:
		for _, r := range n.Results {
			if s.product(r) {
				s.found = append(s.found, s.report(r, "a product is returned, and may be added where the function is inlined; "+mend))
			}
		}
	}
	return true
}

// look finds sums of products.
func (s *sums) look(n ast.Node) bool {
	var terms []ast.Expr
	switch n := n.(type) {
	case *ast.BinaryExpr:
		if n.Op == token.ADD || n.Op == token.SUB {
			terms = []ast.Expr{n.X, n.Y}
		}
	case *ast.AssignStmt:
		if n.Tok == token.ADD_ASSIGN || n.Tok == token.SUB_ASSIGN {
			terms = []ast.Expr{n.Lhs[0], n.Rhs[0]}
		}
	}
	for _, t := range terms {
		id, named := bare(t).(*ast.Ident)
		if s.product(t) || named && s.float(id) && s.products[s.info.ObjectOf(id)] {
			s.found = append(s.found, s.report(n, "a product is added; "+mend))
			break
		}
	}
	return true
}

// product reports whether e multiplies numbers with fractions, and may be inexact.
func (s *sums) product(e ast.Expr) bool {
	b, ok := bare(e).(*ast.BinaryExpr)
	return ok && b.Op == token.MUL && s.float(b) && !s.powerOfTwo(b.X) && !s.powerOfTwo(b.Y)
}

// float reports whether e is a float32 or float64, or may be one, that is not
// constant.
func (s *sums) float(e ast.Expr) bool {
	t := s.info.TypeOf(e)
	if t == nil || s.info.Types[e].Value != nil {
		return false
	}
	if _, ok := t.(*types.TypeParam); ok {
		return true
	}
	b, ok := t.Underlying().(*types.Basic)
	return ok && b.Info()&types.IsFloat != 0
}

// powerOfTwo reports whether e is such a constant: it rounds nothing.
func (s *sums) powerOfTwo(e ast.Expr) bool {
	v := s.info.Types[e].Value
	if v == nil {
		return false
	}
	f, _ := constant.Float64Val(constant.ToFloat(v))
	half, _ := math.Frexp(math.Abs(f))
	return half == 0.5
}

// bare takes signs and parentheses off.
func bare(e ast.Expr) ast.Expr {
	for {
		switch x := e.(type) {
		case *ast.ParenExpr:
			e = x.X
		case *ast.UnaryExpr:
			if x.Op != token.SUB {
				return e
			}
			e = x.X
		default:
			return e
		}
	}
}
