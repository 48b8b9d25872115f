package spec

import (
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
)

// decoder fills the structs of kinds.go from nodes, as their tags say:
//
//	json:"name"             the field's name in files and in the canonical form
//	doc:"..."               what it is, for messages and the JSON Schema
//	spec:"..."              rules, comma-separated: required; path (a place of
//	                        files); where= and explode= (the fields that take its
//	                        options when it is given as {path, where, explode}); min=, max= (inclusive) and above=, below=
//	                        (exclusive) bounds of a number or of each of a list;
//	                        least=, most= bounds of a list's length; enum=a|b|c;
//	                        name (letters, digits, - and _); effort (cannot
//	                        change the result)
//	default:"..."           YAML of the value that stands when the field is
//	                        absent
//
// The struct is the one table of a kind: decoding, defaults, the JSON Schema,
// the path fields and the digest are all read off it.
type decoder struct {
	faults  Faults
	current string // the spec being decoded, for Fault.Context
}

// custom is a type that decodes itself, because a file may write it in more
// than one way.
type custom interface {
	decode(d *decoder, n *node, path string)
}

// rule is one field of a struct, read off its tags.
type rule struct {
	index         int
	name, doc     string
	where         string // the field of a path's condition
	explode       string // and of its list that becomes rows
	typ           reflect.Type
	required      bool
	isPath        bool
	isName        bool
	effort        bool
	enum          []string
	fallback      string // YAML, "" for none
	min, max      float64
	openLo, openR bool // the bounds themselves are excluded
	least, most   int  // of a list; most 0 is no bound
}

// rulesOf reads the tags of a struct type. A malformed tag is a bug, which the
// tests of this package find.
func rulesOf(t reflect.Type) []rule {
	var rules []rule
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" || name == "-" {
			continue
		}
		r := rule{index: i, name: name, doc: f.Tag.Get("doc"), typ: f.Type, fallback: f.Tag.Get("default"),
			min: math.Inf(-1), max: math.Inf(1)}
		for option := range strings.SplitSeq(f.Tag.Get("spec"), ",") {
			r.option(option)
		}
		rules = append(rules, r)
	}
	return rules
}

func (r *rule) option(option string) {
	key, value, _ := strings.Cut(option, "=")
	bound, _ := strconv.ParseFloat(value, 64)
	switch key {
	case "required":
		r.required = true
	case "path":
		r.isPath = true
	case "where":
		r.where = value
	case "explode":
		r.explode = value
	case "name":
		r.isName = true
	case "effort":
		r.effort = true
	case "enum":
		r.enum = strings.Split(value, "|")
	case "min":
		r.min = bound
	case "max":
		r.max = bound
	case "above":
		r.min, r.openLo = bound, true
	case "below":
		r.max, r.openR = bound, true
	case "least":
		r.least = int(bound)
	case "most":
		r.most = int(bound)
	case "":
	default:
		panic("spec: unknown tag option " + option)
	}
}

func (d *decoder) fault(at place, path, message, hint string) {
	d.faults = append(d.faults, Fault{at.file, at.line, at.column, path, message, hint, d.current})
}

// object fills the struct v from a mapping: every key must be a field, every
// required field a key. Keys in also are known, and somebody else reads them.
func (d *decoder) object(v reflect.Value, n *node, path string, also ...string) {
	if n.shape != shapeMap {
		d.fault(n.at, path, fmt.Sprintf("expected a mapping of fields, found %v", n), "")
		return
	}
	rules := rulesOf(v.Type())
	for _, r := range rules {
		n = d.lift(n, &r, path)
	}
	known := append([]string(nil), also...)
	for _, r := range rules {
		known = append(known, r.name)
	}
	for _, e := range n.entries {
		if !contains(known, e.key) {
			d.fault(e.at, join(path, e.key), "unknown field", suggest(e.key, known))
		}
	}
	for _, r := range rules {
		d.field(v.Field(r.index), &r, n, path)
	}
}

func (d *decoder) field(v reflect.Value, r *rule, n *node, path string) {
	at := join(path, r.name)
	value := n.lookup(r.name)
	switch {
	case value != nil:
		d.value(v, r, value, at)
	case r.required:
		d.fault(n.at, at, "missing", "it is "+r.doc)
	case r.fallback != "":
		d.value(v, r, valueNode(r.fallback), at)
	case v.Kind() == reflect.Struct && !v.Addr().Type().Implements(customType):
		d.object(v, &node{at: n.at, shape: shapeMap}, at)
	}
}

var customType = reflect.TypeFor[custom]()

// value fills v, of any type that the kinds use, from n.
func (d *decoder) value(v reflect.Value, r *rule, n *node, path string) {
	if c, ok := v.Addr().Interface().(custom); ok {
		c.decode(d, n, path)
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.value(v.Elem(), r, n, path)
	case reflect.Struct:
		d.object(v, n, path)
	case reflect.String:
		d.text(v, r, n, path)
	case reflect.Bool:
		if n.shape != shapeBool {
			d.fault(n.at, path, fmt.Sprintf("expected true or false, found %v", n), "")
			return
		}
		v.SetBool(n.truth)
	case reflect.Int:
		if i, ok := d.integer(r, n, path); ok {
			v.SetInt(i)
		}
	case reflect.Uint64:
		d.unsigned(v, n, path)
	case reflect.Float64:
		if f, ok := d.float(r, n, path); ok {
			v.SetFloat(f)
		}
	case reflect.Slice:
		d.list(v, r, n, path)
	case reflect.Map:
		d.table(v, r, n, path)
	default:
		panic("spec: a field of type " + v.Type().String())
	}
}

func (d *decoder) text(v reflect.Value, r *rule, n *node, path string) {
	if n.shape != shapeText {
		hint := ""
		switch scalar := n.plain && n.shape != shapeNull; {
		case scalar && len(r.enum) > 0:
			d.fault(n.at, path, fmt.Sprintf("expected one of %s, found %v", strings.Join(r.enum, ", "), n), "")
			return
		case scalar:
			hint = "put quotes around it"
		}
		d.fault(n.at, path, fmt.Sprintf("expected text, found %v", n), hint)
		return
	}
	switch {
	case len(r.enum) > 0 && !contains(r.enum, n.text):
		d.fault(n.at, path, fmt.Sprintf("%q is not one of %s", clip(n.text), strings.Join(r.enum, ", ")), suggestOnly(n.text, r.enum))
		return
	case n.text == "":
		d.fault(n.at, path, "must not be empty", "")
		return
	case strings.ContainsRune(n.text, 0):
		d.fault(n.at, path, "must not hold a NUL character", "")
		return
	case r.isName && !wellNamed(n.text):
		d.fault(n.at, path, fmt.Sprintf("%q is not a name", clip(n.text)), "use up to 100 letters, digits, - and _, the first a letter or digit")
		return
	}
	v.SetString(n.text)
}

// wellNamed reports whether s can be part of a name in the store, a subject
// and a file name at once.
func wellNamed(s string) bool {
	for i, c := range s {
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !letter && (i == 0 || c != '-' && c != '_') {
			return false
		}
	}
	return s != "" && len(s) <= 100
}

func (d *decoder) integer(r *rule, n *node, path string) (int64, bool) {
	if n.shape != shapeInt {
		d.fault(n.at, path, fmt.Sprintf("expected a whole number, found %v", n), unquote(n))
		return 0, false
	}
	i, err := strconv.ParseInt(strings.TrimPrefix(n.text, "+"), 10, 64)
	if err != nil || int64(int(i)) != i {
		d.fault(n.at, path, fmt.Sprintf("%s does not fit into 64 bits", clip(n.text)), "")
		return 0, false
	}
	return i, d.inRange(r, float64(i), n, path)
}

func (d *decoder) unsigned(v reflect.Value, n *node, path string) {
	if n.shape != shapeInt {
		d.fault(n.at, path, fmt.Sprintf("expected a whole number, found %v", n), unquote(n))
		return
	}
	u, err := strconv.ParseUint(strings.TrimPrefix(n.text, "+"), 10, 64)
	if err != nil {
		d.fault(n.at, path, fmt.Sprintf("must be from 0 to 18446744073709551615, found %s", clip(n.text)), "")
		return
	}
	v.SetUint(u)
}

func (d *decoder) float(r *rule, n *node, path string) (float64, bool) {
	switch {
	case n.shape != shapeInt && n.shape != shapeFloat:
		d.fault(n.at, path, fmt.Sprintf("expected a number, found %v", n), unquote(n))
	case math.IsNaN(n.number):
		d.fault(n.at, path, "expected a number, found NaN", "")
	case math.IsInf(n.number, 0):
		d.fault(n.at, path, fmt.Sprintf("expected a finite number, found %s", clip(n.text)), "")
	default:
		return n.number + 0, d.inRange(r, n.number, n, path) // + 0 turns -0 into 0
	}
	return 0, false
}

// unquote is the hint for a number that was written as text.
func unquote(n *node) string {
	as := new(node)
	plainScalar(as, n.text)
	if n.shape == shapeText && !n.plain && (as.shape == shapeInt || as.shape == shapeFloat) {
		return "take the quotes away"
	}
	return ""
}

func (d *decoder) inRange(r *rule, x float64, n *node, path string) bool {
	low := x < r.min || r.openLo && x == r.min
	high := x > r.max || r.openR && x == r.max
	if low || high {
		d.fault(n.at, path, fmt.Sprintf("must be %s, found %s", r.bounds(), clip(n.text)), "")
	}
	return !low && !high
}

// bounds describes the range of a number.
func (r *rule) bounds() string {
	lo, hi := "at least "+short(r.min), "at most "+short(r.max)
	if r.openLo {
		lo = "above " + short(r.min)
	}
	if r.openR {
		hi = "below " + short(r.max)
	}
	switch {
	case math.IsInf(r.max, 1):
		return lo
	case math.IsInf(r.min, -1):
		return hi
	default:
		return lo + " and " + hi
	}
}

func short(x float64) string {
	if math.Abs(x) > 1e15 {
		return strconv.FormatFloat(x, 'g', 3, 64)
	}
	return strconv.FormatFloat(x, 'f', -1, 64)
}

func (d *decoder) list(v reflect.Value, r *rule, n *node, path string) {
	if n.shape != shapeList {
		d.fault(n.at, path, fmt.Sprintf("expected a list, found %v", n), "write it as [a, b] or as lines that begin with -")
		return
	}
	switch {
	case r.most > 0 && len(n.items) > r.most:
		d.fault(n.at, path, fmt.Sprintf("has %d items; at most %d are allowed", len(n.items), r.most), "")
		return
	case len(n.items) < r.least:
		d.fault(n.at, path, fmt.Sprintf("has %d items; at least %d must be given", len(n.items), r.least), "")
		return
	}
	out := reflect.MakeSlice(v.Type(), len(n.items), len(n.items))
	for i, item := range n.items {
		d.value(out.Index(i), r, item, fmt.Sprintf("%s[%d]", path, i))
	}
	v.Set(out)
}

// table fills a map from column names to values of one kind.
func (d *decoder) table(v reflect.Value, r *rule, n *node, path string) {
	if n.shape != shapeMap {
		d.fault(n.at, path, fmt.Sprintf("expected a mapping, found %v", n), "")
		return
	}
	if len(n.entries) == 0 {
		return
	}
	v.Set(reflect.MakeMap(v.Type()))
	for _, e := range n.entries {
		value := reflect.New(v.Type().Elem()).Elem()
		d.value(value, r, e.value, join(path, e.key))
		v.SetMapIndex(reflect.ValueOf(e.key), value)
	}
}
