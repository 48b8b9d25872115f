// Package query is the language in which people choose runs, experiments and
// models: comparisons joined by AND, as MLflow has them, such as
//
//	metrics.test.auc > 0.9 AND params.model.hidden = '[64,32]' AND tags.team LIKE 'fraud%'
//
// It is pure: who is asked for a field's values is an interface.
package query

import (
	"math"
	"regexp"
	"slices"
	"strings"

	"github.com/troupe-ml/troupe/internal/fault"
)

// Kind is what a field is one of.
type Kind string

// The kinds. A field without a kind before it is an attribute.
const (
	Attribute Kind = "attributes"
	Metric    Kind = "metrics"
	Param     Kind = "params"
	Tag       Kind = "tags"
	Dataset   Kind = "datasets"
)

var kinds = map[string]Kind{
	"attribute": Attribute, "attributes": Attribute, "attr": Attribute, "run": Attribute,
	"metric": Metric, "metrics": Metric,
	"param": Param, "params": Param, "parameter": Param, "parameters": Param,
	"tag": Tag, "tags": Tag,
	"dataset": Dataset, "datasets": Dataset,
}

// Field names what is compared: metrics.test.auc is the metric test.auc.
type Field struct {
	Kind Kind
	Key  string
}

// String writes the field as a filter does.
func (f Field) String() string { return string(f.Kind) + "." + f.Key }

// Subject is what a filter is about, and answers for its fields. A number is
// asked of metrics and of the grammar's Numbers, texts of the rest: none when
// it has no such field, several only of data sets.
type Subject interface {
	Number(f Field) (float64, bool)
	Texts(f Field) []string
}

// Several is a Subject of which a number may have several values, or none: a
// comparison holds if it does of one.
type Several interface {
	Subject
	Numbers(f Field) []float64
}

// Grammar says which fields there are.
type Grammar struct {
	Kinds   []Kind            // that may stand before a dot
	Numbers []string          // attributes that are numbers
	Texts   []string          // attributes that are texts
	Aliases map[string]string // other names of attributes
}

// isNumber reports whether a field's value is a number.
func (g Grammar) isNumber(f Field) bool {
	return f.Kind == Metric || f.Kind == Attribute && slices.Contains(g.Numbers, f.Key)
}

// field reads the name of a field, whose quotes have been taken off.
func (g Grammar) field(t token) (Field, error) {
	prefix, key, dotted := strings.Cut(t.text, ".")
	if t.quotedAt == 0 || !dotted {
		prefix, key = "attributes", t.text
	}
	kind, ok := kinds[strings.ToLower(prefix)]
	if !ok || !slices.Contains(g.Kinds, kind) {
		return Field{}, t.wrong("%q is not something that a field can be of; it can be of %s", prefix, g.kindsText())
	}
	if key == "" {
		return Field{}, t.wrong("the name after %q is missing", prefix+".")
	}
	if kind == Attribute {
		if other, ok := g.Aliases[key]; ok {
			key = other
		}
		if !slices.Contains(g.Numbers, key) && !slices.Contains(g.Texts, key) {
			return Field{}, t.wrong("there is no attribute %q; there are %s", key, strings.Join(slices.Sorted(slices.Values(append(slices.Clone(g.Numbers), g.Texts...))), ", "))
		}
	}
	if kind == Dataset && !slices.Contains([]string{"name", "digest", "context"}, key) {
		return Field{}, t.wrong("a data set has no %q; it has context, digest and name", key)
	}
	return Field{kind, key}, nil
}

func (g Grammar) kindsText() string {
	var names []string
	for _, k := range g.Kinds {
		names = append(names, string(k))
	}
	return strings.Join(names, ", ")
}

// Filter is comparisons that must all hold; the zero value lets all pass.
type Filter struct{ terms []term }

type term struct {
	field  Field
	op     string // in capital letters
	number float64
	texts  []string
	like   *regexp.Regexp
	isNum  bool
}

// Match reports whether every comparison holds. One of a field that the subject
// does not have holds for IS NULL alone.
func (f Filter) Match(s Subject) bool {
	for i := range f.terms {
		if !f.terms[i].match(s) {
			return false
		}
	}
	return true
}

func (t *term) match(s Subject) bool {
	if t.isNum {
		if several, ok := s.(Several); ok {
			return slices.ContainsFunc(several.Numbers(t.field), t.compare)
		}
		v, ok := s.Number(t.field)
		return ok && t.compare(v)
	}
	values := s.Texts(t.field)
	switch t.op {
	case "IS NULL":
		return len(values) == 0
	case "IS NOT NULL":
		return len(values) > 0
	}
	return slices.ContainsFunc(values, t.holds)
}

func (t *term) compare(v float64) bool {
	switch t.op {
	case "=":
		return v == t.number
	case "!=":
		return v != t.number
	case ">":
		return v > t.number
	case ">=":
		return v >= t.number
	case "<":
		return v < t.number
	default:
		return v <= t.number
	}
}

func (t *term) holds(v string) bool {
	switch t.op {
	case "=":
		return v == t.texts[0]
	case "!=":
		return v != t.texts[0]
	case "IN":
		return slices.Contains(t.texts, v)
	case "NOT IN":
		return !slices.Contains(t.texts, v)
	default:
		return t.like.MatchString(v)
	}
}

// Parse reads a filter; empty text lets all pass. The error is of kind Invalid
// and says where the text goes wrong.
func (g Grammar) Parse(text string) (Filter, error) {
	p, err := newParser("filter", text)
	if err != nil || p.done() {
		return Filter{}, err
	}
	var f Filter
	for {
		t, err := p.term(g)
		if err != nil {
			return Filter{}, err
		}
		f.terms = append(f.terms, t)
		if p.done() {
			return f, nil
		}
		if and := p.next(); !and.isWord("AND") {
			return Filter{}, and.wrong("expected AND or the end, found %q; OR and brackets are not known", and.text)
		}
	}
}

// Order is by what to sort, most important first; the zero value changes nothing.
type Order struct{ keys []orderKey }

type orderKey struct {
	field Field
	isNum bool
	down  bool
}

// ParseOrder reads clauses such as "metrics.loss DESC" or "start_time". The
// error is of kind Invalid.
func (g Grammar) ParseOrder(clauses ...string) (Order, error) {
	var o Order
	for _, clause := range clauses {
		p, err := newParser("order", clause)
		if err != nil {
			return o, err
		}
		name := p.next()
		if name.kind != word {
			return o, name.wrong("expected a field, found %q", name.text)
		}
		f, err := g.field(name)
		if err != nil {
			return o, err
		}
		key := orderKey{field: f, isNum: g.isNumber(f)}
		if way := p.next(); way.isWord("DESC") {
			key.down = true
		} else if !way.isWord("ASC") && way.kind != end {
			return o, way.wrong("expected ASC or DESC, found %q", way.text)
		}
		if !p.done() {
			return o, p.next().wrong("expected the end of the clause")
		}
		o.keys = append(o.keys, key)
	}
	return o, nil
}

// Sort sorts stably. Whatever the direction, subjects whose value is not a
// number come after those that have one, and those without a value last.
func Sort[S Subject](o Order, all []S) {
	if len(o.keys) == 0 {
		return
	}
	rows := make([]sortRow[S], len(all))
	for i, s := range all {
		rows[i] = sortRow[S]{s, make([]sortValue, len(o.keys))}
		for k, key := range o.keys {
			rows[i].values[k] = key.of(s)
		}
	}
	slices.SortStableFunc(rows, func(a, b sortRow[S]) int {
		for k, key := range o.keys {
			if c := key.compare(a.values[k], b.values[k]); c != 0 {
				return c
			}
		}
		return 0
	})
	for i := range rows {
		all[i] = rows[i].subject
	}
}

type sortRow[S any] struct {
	subject S
	values  []sortValue
}

// sortValue is a value and whether there is one: 0 yes, 1 not a number, 2 none.
type sortValue struct {
	lacks  int
	number float64
	text   string
}

func (k orderKey) of(s Subject) sortValue {
	if k.isNum {
		v, ok := s.Number(k.field)
		switch {
		case !ok:
			return sortValue{lacks: 2}
		case math.IsNaN(v):
			return sortValue{lacks: 1}
		}
		return sortValue{number: v}
	}
	texts := s.Texts(k.field)
	if len(texts) == 0 {
		return sortValue{lacks: 2}
	}
	return sortValue{text: texts[0]}
}

func (k orderKey) compare(a, b sortValue) int {
	if a.lacks != b.lacks {
		return a.lacks - b.lacks
	}
	c := strings.Compare(a.text, b.text)
	if k.isNum {
		switch {
		case a.number < b.number:
			c = -1
		case a.number > b.number:
			c = 1
		}
	}
	if k.down {
		return -c
	}
	return c
}

// wrong is an error at a place of a text.
func wrong(what, text string, at int, format string, args ...any) error {
	return fault.New(fault.Invalid, "%s %q, at character %d: "+format, append([]any{what, text, at + 1}, args...)...)
}
