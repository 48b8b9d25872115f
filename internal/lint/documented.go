package lint

import (
	"fmt"
	"go/ast"
	"go/token"
)

// checkDocumented finds exported names without a comment: types, functions,
// methods of exported types, constants and variables. A group of constants or
// variables may share one.
func checkDocumented(p pkg) []finding {
	if p.name == "main" {
		return nil
	}
	var found []finding
	for _, f := range p.files {
		if f.test || f.generated {
			continue
		}
		for _, decl := range f.syntax.Decls {
			for _, name := range undocumented(decl) {
				found = append(found, finding{"documented", f.at(decl), fmt.Sprintf("%s has no comment", name)})
			}
		}
	}
	return found
}

func undocumented(decl ast.Decl) []string {
	switch d := decl.(type) {
	case *ast.FuncDecl:
		if d.Doc.Text() == "" && d.Name.IsExported() && exportedReceiver(d) {
			return []string{d.Name.Name}
		}
	case *ast.GenDecl:
		var names []string
		for _, spec := range d.Specs {
			names = append(names, undocumentedSpec(d, spec)...)
		}
		return names
	}
	return nil
}

func undocumentedSpec(d *ast.GenDecl, spec ast.Spec) []string {
	switch s := spec.(type) {
	case *ast.TypeSpec:
		if s.Name.IsExported() && s.Doc.Text() == "" && s.Comment.Text() == "" && d.Doc.Text() == "" {
			return []string{s.Name.Name}
		}
	case *ast.ValueSpec:
		if d.Tok != token.CONST && d.Tok != token.VAR || d.Doc.Text() != "" || s.Doc.Text() != "" || s.Comment.Text() != "" {
			return nil
		}
		var names []string
		for _, n := range s.Names {
			if n.IsExported() {
				names = append(names, n.Name)
			}
		}
		return names
	}
	return nil
}

// exportedReceiver reports whether a function has no receiver or one of an
// exported type: methods of others are not in the documentation.
func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil || len(d.Recv.List) == 0 {
		return true
	}
	t := d.Recv.List[0].Type
	for {
		switch v := t.(type) {
		case *ast.StarExpr:
			t = v.X
		case *ast.IndexExpr:
			t = v.X
		case *ast.IndexListExpr:
			t = v.X
		case *ast.Ident:
			return v.IsExported()
		default:
			return true
		}
	}
}
