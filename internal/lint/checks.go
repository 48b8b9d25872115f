package lint

import (
	"fmt"
	"go/ast"
	"slices"
	"strings"
)

// finding is one breach of a rule.
type finding struct {
	rule string
	at   string // file:line, or the package
	what string
}

func (f finding) String() string { return f.at + ": " + f.rule + ": " + f.what }

// check is one rule over one package.
type check struct {
	name string
	run  func(p pkg) []finding
}

// checks is every rule.
func checks() []check {
	return []check{
		{"room", checkRoom},
		{"floors", checkFloors},
		{"walls", checkWalls},
		{"doors", checkDoors},
		{"pure", checkPure},
		{"package name", checkPackageName},
		{"package comment", checkPackageComment},
		{"documented", checkDocumented},
		{"file size", checkFileSize},
		{"function size", checkFunctionSize},
		{"no init", checkNoInit},
		{"bans", checkBans},
	}
}

// all runs every check over every package.
func all(pkgs []pkg) []finding {
	var found []finding
	for _, p := range pkgs {
		for _, c := range checks() {
			found = append(found, c.run(p)...)
		}
	}
	return found
}

func checkRoom(p pkg) []finding {
	if roomOf(p.path) == nil {
		return []finding{{"room", p.path, "is no room of the house: give it a line in internal/lint/house.go and in the architecture page, or put the code elsewhere"}}
	}
	return nil
}

// eachImport calls visit with every import of hand-written files. Tests are
// bound by the same arrows.
func (p pkg) eachImport(visit func(f file, at, path string)) {
	for _, f := range p.files {
		if f.generated {
			continue
		}
		for i, path := range f.imports() {
			visit(f, f.at(f.syntax.Imports[i]), path)
		}
	}
}

func checkFloors(p pkg) []finding {
	var found []finding
	from := roomOf(p.path)
	p.eachImport(func(_ file, at, path string) {
		short, ours := strings.CutPrefix(path, module+"/")
		to := roomOf(short)
		if ours && from != nil && to != nil && to.floor > from.floor {
			found = append(found, finding{"floors", at, fmt.Sprintf("%s (floor %d) imports %s (floor %d), which is above it", p.path, from.floor, short, to.floor)})
		}
	})
	return found
}

func checkWalls(p pkg) []finding {
	var found []finding
	p.eachImport(func(_ file, at, path string) {
		for _, w := range walls {
			if within(p.path, w.from) && within(path, w.to) {
				found = append(found, finding{"walls", at, fmt.Sprintf("%s imports %s: %s", p.path, path, w.why)})
			}
		}
	})
	return found
}

func checkDoors(p pkg) []finding {
	var found []finding
	p.eachImport(func(_ file, at, path string) {
		for _, d := range doors {
			if within(path, d.library+"/...") && !in(p.path, d.rooms) {
				found = append(found, finding{"doors", at, fmt.Sprintf("%s imports %s, whose door is %s", p.path, path, strings.Join(d.rooms, ", "))})
			}
		}
	})
	return found
}

func checkPure(p pkg) []finding {
	if !in(p.path, pure) || in(p.path, impure) {
		return nil
	}
	var found []finding
	p.eachImport(func(f file, at, path string) {
		if !f.test && in(path, touching) {
			found = append(found, finding{"pure", at, fmt.Sprintf("%s imports %s, and may touch nothing", p.path, path)})
		}
	})
	return found
}

func checkPackageName(p pkg) []finding {
	if slices.Contains(emptyNames, p.name) {
		return []finding{{"package name", p.path, fmt.Sprintf("%q does not say what the package holds", p.name)}}
	}
	return nil
}

func checkPackageComment(p pkg) []finding {
	comments, sources := 0, 0
	for _, f := range p.files {
		if f.test {
			continue
		}
		sources++
		text := f.syntax.Doc.Text()
		if p.name == "main" && text != "" || strings.HasPrefix(text, "Package "+p.name+" ") {
			comments++
		}
	}
	if sources > 0 && comments == 0 {
		return []finding{{"package comment", p.path, "has no comment that begins with Package " + p.name}}
	}
	return nil
}

func checkFileSize(p pkg) []finding {
	var found []finding
	for _, f := range p.files {
		if !f.generated && f.lines > maxFile {
			found = append(found, finding{"file size", f.name, fmt.Sprintf("has %d lines; %d is the most", f.lines, maxFile)})
		}
	}
	return found
}

func checkFunctionSize(p pkg) []finding {
	var found []finding
	p.eachFunction(func(f file, d *ast.FuncDecl) {
		first, last := f.positions.Position(d.Pos()).Line, f.positions.Position(d.End()).Line
		if lines := last - first + 1; lines > maxFunction {
			found = append(found, finding{"function size", f.at(d), fmt.Sprintf("%s has %d lines; %d is the most", d.Name.Name, lines, maxFunction)})
		}
	})
	return found
}

func checkNoInit(p pkg) []finding {
	var found []finding
	p.eachFunction(func(f file, d *ast.FuncDecl) {
		if d.Recv == nil && d.Name.Name == "init" {
			found = append(found, finding{"no init", f.at(d), "work at program start is hidden: call it from main"})
		}
	})
	return found
}

// eachFunction calls visit with every hand-written function.
func (p pkg) eachFunction(visit func(f file, d *ast.FuncDecl)) {
	for _, f := range p.files {
		if f.generated {
			continue
		}
		for _, decl := range f.syntax.Decls {
			if d, ok := decl.(*ast.FuncDecl); ok {
				visit(f, d)
			}
		}
	}
}

func (f file) at(n ast.Node) string {
	return fmt.Sprintf("%s:%d", f.name, f.positions.Position(n.Pos()).Line)
}

func checkBans(p pkg) []finding {
	var found []finding
	for _, f := range p.files {
		if f.generated {
			continue
		}
		for _, b := range bans {
			if !in(p.path, b.but) && (b.tests || !f.test) {
				found = append(found, f.uses(b)...)
			}
		}
	}
	return found
}

// uses finds the banned names in a file.
func (f file) uses(b ban) []finding {
	local := f.localName(b.pkg)
	if b.pkg != "" && local == "" {
		return nil
	}
	var found []finding
	report := func(n ast.Node, name string) {
		if b.matches(name) {
			found = append(found, finding{"bans", f.at(n), fmt.Sprintf("%s: %s", strings.TrimPrefix(b.pkg+"."+name, "."), b.why)})
		}
	}
	ast.Inspect(f.syntax, func(n ast.Node) bool {
		switch v := n.(type) {
		case *ast.SelectorExpr:
			if x, ok := v.X.(*ast.Ident); ok && b.pkg != "" && x.Name == local {
				report(v, v.Sel.Name)
			}
		case *ast.CallExpr:
			if x, ok := v.Fun.(*ast.Ident); ok && b.pkg == "" {
				report(v, x.Name)
			}
		}
		return true
	})
	return found
}

func (b ban) matches(name string) bool {
	return slices.ContainsFunc(b.names, func(pattern string) bool {
		stem, open := strings.CutSuffix(pattern, "*")
		return name == pattern || open && strings.HasPrefix(name, stem)
	})
}

// localName returns what a file calls an imported package, or "".
func (f file) localName(path string) string {
	for i, imported := range f.imports() {
		if imported != path {
			continue
		}
		if alias := f.syntax.Imports[i].Name; alias != nil {
			return alias.Name
		}
		parts := strings.Split(strings.TrimSuffix(path, "/v2"), "/")
		return parts[len(parts)-1]
	}
	return ""
}
