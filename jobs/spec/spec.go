// Package spec reads the files in which people write jobs: YAML, one document
// for each job, of a kind, a name and the fields of that kind. It fills in the
// defaults, reports everything that is wrong with a file at once and by place,
// and gives every spec a canonical form and a digest, so that equal jobs are
// recognised however they were written.
//
// It works on text alone. Who reads files, expands globs and resolves models
// is the caller.
package spec

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/troupe-ml/troupe/internal/fault"
)

// Kind is a kind of job.
type Kind string

// The kinds.
const (
	KindFeatures Kind = "features"
	KindTrain    Kind = "train"
	KindPredict  Kind = "predict"
	KindDrift    Kind = "drift"
)

// Kinds returns every kind, in the order in which jobs of them usually run.
func Kinds() []Kind { return []Kind{KindFeatures, KindTrain, KindPredict, KindDrift} }

func kindNames() []string {
	var names []string
	for _, k := range Kinds() {
		names = append(names, string(k))
	}
	return names
}

// Spec is one job as somebody wants it. Exactly the pointer of its kind is set,
// and all defaults are filled in. Do not change a Spec that Parse has returned;
// Clone it first.
type Spec struct {
	Kind     Kind
	Name     string // letters, digits, - and _
	Features *Features
	Train    *Train
	Predict  *Predict
	Drift    *Drift
}

// header is the fields that all kinds have.
type header struct {
	Kind string `json:"kind" spec:"required,enum=features|train|predict|drift" doc:"the kind of job: features, train, predict or drift"`
	Name string `json:"name" spec:"required,name" doc:"what the job is called"`
}

// Parse reads the jobs of a file called name, in order, after the overrides in
// sets. Documents with nothing in them are passed over; a file without any job
// is an error.
//
// The error, of kind Invalid, holds Faults with everything that is wrong. A
// fault of the YAML syntax is reported alone, since it hides the rest.
func Parse(name string, text []byte, sets ...Set) ([]Spec, error) {
	r := &reader{file: name}
	docs := r.documents(text)
	d := &decoder{faults: r.faults}
	if len(r.faults) == 0 || len(docs) > 0 {
		docs = d.override(docs, sets)
	}
	var specs []Spec
	for _, doc := range docs {
		if doc != nil {
			specs = append(specs, d.spec(doc))
		}
	}
	if len(specs) == 0 && len(d.faults) == 0 {
		d.fault(place{file: name}, "", "there is no job in it", "write at least kind, name and the fields of that kind")
	}
	if err := d.faults.err(); err != nil {
		return nil, err
	}
	return specs, nil
}

// body returns a pointer to the struct of s's kind, which is made if absent,
// or an invalid value when there is no such kind.
func (s *Spec) body() reflect.Value {
	switch s.Kind {
	case KindFeatures:
		return filled(&s.Features)
	case KindTrain:
		return filled(&s.Train)
	case KindPredict:
		return filled(&s.Predict)
	case KindDrift:
		return filled(&s.Drift)
	}
	return reflect.Value{}
}

func filled[T any](p **T) reflect.Value {
	if *p == nil {
		*p = new(T)
	}
	return reflect.ValueOf(*p)
}

// spec decodes and checks one document.
func (d *decoder) spec(n *node) Spec {
	if n.shape != shapeMap {
		d.current = ""
		d.fault(n.at, "", fmt.Sprintf("expected a mapping of fields, found %v", n), "write at least kind, name and the fields of that kind")
		return Spec{}
	}
	s := Spec{Kind: kindOf(n)}
	d.current = describe(n)
	body := s.body()
	if !body.IsValid() { // without a kind, nothing else can be judged
		d.object(reflect.ValueOf(new(header)).Elem(), n.only("kind", "name"), "")
		return Spec{}
	}
	before := len(d.faults)
	var h header
	d.object(reflect.ValueOf(&h).Elem(), n.only("kind", "name"), "")
	d.object(body.Elem(), n, "", "kind", "name")
	s.Name = h.Name
	d.fill(&s, n)
	if len(d.faults) == before { // a check of two fields needs both
		d.check(&s, n)
	}
	return s
}

// kindOf returns the kind that a document names, known or not.
func kindOf(n *node) Kind {
	if k := n.lookup("kind"); k != nil && k.shape == shapeText {
		return Kind(k.text)
	}
	return ""
}

// describe names a document for people.
func describe(n *node) string {
	kind, name := kindOf(n), n.lookup("name")
	if name == nil || name.shape != shapeText {
		return string(kind)
	}
	return strings.TrimSpace(fmt.Sprintf("%s %q", kind, clip(name.text)))
}

// only returns a mapping with those of n's keys that are given.
func (n *node) only(keys ...string) *node {
	out := &node{at: n.at, shape: shapeMap}
	for _, e := range n.entries {
		if contains(keys, e.key) {
			out.entries = append(out.entries, e)
		}
	}
	return out
}

// One returns the only job of a list, or an error of kind Invalid that says
// how many there are.
func One(specs []Spec) (Spec, error) {
	if len(specs) != 1 {
		return Spec{}, fault.New(fault.Invalid, "the file has %d jobs, where one is expected", len(specs))
	}
	return specs[0], nil
}
