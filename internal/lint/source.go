package lint

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// pkg is a package of the house as the checks see it.
type pkg struct {
	path  string // below the module, such as ml/drift
	name  string
	files []file
}

// file is one source file.
type file struct {
	name      string // below the module
	test      bool
	generated bool
	lines     int
	syntax    *ast.File
	positions *token.FileSet
}

// imports returns the import paths of a file.
func (f file) imports() []string {
	var paths []string
	for _, spec := range f.syntax.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		if err == nil {
			paths = append(paths, path)
		}
	}
	return paths
}

// parse reads one file. Its imports and its syntax are all that is looked at,
// so files for other machines are checked as well.
func parse(name string, text []byte) (file, error) {
	positions := token.NewFileSet()
	syntax, err := parser.ParseFile(positions, name, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return file{}, err
	}
	return file{
		name: name, test: strings.HasSuffix(name, "_test.go"), generated: ast.IsGenerated(syntax),
		lines: bytes.Count(text, []byte("\n")), syntax: syntax, positions: positions,
	}, nil
}

// listed is what go list says of a package.
type listed struct {
	Dir, ImportPath, Name                              string
	GoFiles, IgnoredGoFiles, TestGoFiles, XTestGoFiles []string
}

// load reads every package of the module in root, with its tests. Folders
// called testdata are not part of it.
func load(root string) ([]pkg, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	all, err := list[listed](root, "-e", "-json=Dir,ImportPath,Name,GoFiles,IgnoredGoFiles,TestGoFiles,XTestGoFiles", "./...")
	if err != nil {
		return nil, err
	}
	var pkgs []pkg
	for _, l := range all {
		p, err := l.read(root)
		if err != nil {
			return nil, err
		}
		pkgs = append(pkgs, p)
	}
	return pkgs, nil
}

// list returns what go list says, in JSON, of the packages that its arguments name.
func list[T any](root string, args ...string) (all []T, err error) {
	command := exec.Command("go", append([]string{"list"}, args...)...)
	command.Dir = root
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w: %s", err, stderr.String())
	}
	for stream := json.NewDecoder(bytes.NewReader(out)); ; {
		var of T
		if err := stream.Decode(&of); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, fmt.Errorf("go list: %w", err)
		}
		all = append(all, of)
	}
}

func (l listed) read(root string) (pkg, error) {
	p := pkg{path: strings.TrimPrefix(strings.TrimPrefix(l.ImportPath, module), "/"), name: l.Name}
	for _, names := range [][]string{l.GoFiles, l.IgnoredGoFiles, l.TestGoFiles, l.XTestGoFiles} {
		for _, name := range names {
			full := filepath.Join(l.Dir, name)
			text, err := os.ReadFile(full)
			if err != nil {
				return p, err
			}
			short, err := filepath.Rel(root, full)
			if err != nil {
				return p, err
			}
			f, err := parse(filepath.ToSlash(short), text)
			if err != nil {
				return p, err
			}
			p.files = append(p.files, f)
		}
	}
	return p, nil
}

// within reports whether a path is the pattern's, which may end in "/...".
func within(path, pattern string) bool {
	stem, below := strings.CutSuffix(pattern, "/...")
	return path == stem || below && strings.HasPrefix(path, stem+"/")
}

// in reports whether a path is one of the patterns'.
func in(path string, patterns []string) bool {
	for _, p := range patterns {
		if within(path, p) {
			return true
		}
	}
	return false
}

// roomOf returns the room of a package, the most exact one, or nil.
func roomOf(path string) *room {
	var best *room
	for i := range rooms {
		if r := &rooms[i]; within(path, r.path) && (best == nil || len(r.path) > len(best.path)) {
			best = r
		}
	}
	return best
}
