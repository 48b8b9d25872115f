package spec

import (
	"path/filepath"
	"reflect"
	"strings"
)

// Path is a field of a spec that names files, a folder or a model.
type Path struct {
	Field string // such as input
	Value string // as written
}

// Paths returns the fields that name files, folders or models and are set, in
// the order of the kind's table.
func (s Spec) Paths() []Path {
	var out []Path
	s.eachPath(func(field string, value *string) { out = append(out, Path{field, *value}) })
	return out
}

// Resolve returns a copy in which relative paths are joined to the folder that
// the spec was read from. Absolute paths, and those that begin with a scheme
// (s3://, runs:/, models:/), stay as they are.
func (s Spec) Resolve(folder string) Spec {
	c := s.Clone()
	c.eachPath(func(_ string, value *string) {
		if local(*value) && !filepath.IsAbs(*value) {
			*value = filepath.Join(folder, *value)
		}
	})
	return c
}

// local reports whether a path is one of the file system.
func local(path string) bool {
	scheme, rest, ok := strings.Cut(path, ":")
	return !ok || !strings.HasPrefix(rest, "/") || len(scheme) < 2 || strings.ContainsAny(scheme, "./\\")
}

func (s Spec) eachPath(visit func(field string, value *string)) {
	body := s.body()
	if !body.IsValid() {
		return
	}
	for _, r := range rulesOf(body.Elem().Type()) {
		field := body.Elem().Field(r.index)
		if source, ok := field.Interface().(*FeatureSource); ok && source != nil && source.File != "" {
			visit(r.name, &source.File)
		}
		if r.isPath && field.Kind() == reflect.String && field.String() != "" {
			visit(r.name, field.Addr().Interface().(*string))
		}
	}
}

// fieldsOf returns the names of the fields of a kind, none for an unknown one.
func fieldsOf(kind Kind) []string {
	s := Spec{Kind: kind}
	body := s.body()
	if !body.IsValid() {
		return nil
	}
	names := []string{"kind", "name"}
	for _, r := range rulesOf(body.Elem().Type()) {
		names = append(names, r.name)
	}
	return names
}
