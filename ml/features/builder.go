package features

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/troupe-ml/troupe/data"
)

// operationDef is one row of the table of operations.
type operationDef struct {
	minOf, maxOf int // columns it reads
	takes        func(t data.Type) bool
	wants        string // what takes accepts, in words
	build        func(b *builder) operation
}

const anyNumber = math.MaxInt

func (d operationDef) arity() string {
	switch {
	case d.minOf == d.maxOf && d.minOf == 1:
		return "one"
	case d.minOf == d.maxOf:
		return strconv.Itoa(d.minOf)
	case d.maxOf == anyNumber:
		return fmt.Sprintf("at least %d", d.minOf)
	}
	return fmt.Sprintf("%d to %d", d.minOf, d.maxOf)
}

// Operations returns the names of all operations, in order.
func Operations() []string { return slices.Sorted(maps.Keys(operations())) }

// builder hands an operation its parameters, and gathers what is wrong with
// them. What it returns for a wrong parameter is of no use.
type builder struct {
	step    Step
	in      []data.Field
	cfg     Config      // with the parts that columns play
	input   data.Schema // all columns that may be asked for by name
	loading bool        // what the operation carries will be read, too
	faults  []error
}

func (b *builder) fault(format string, args ...any) {
	b.faults = append(b.faults, fmt.Errorf(format, args...))
}

func (b *builder) checkTypes(def operationDef) {
	for i, f := range b.in {
		if !def.takes(f.Type) {
			b.fault("of: %q is %v, expected %s", b.step.Of[i], f.Type, def.wants)
		}
	}
}

// checkParams reports parameters that the operation does not have.
func (b *builder) checkParams() {
	known := Parameters(b.step.Op)
	for _, name := range slices.Sorted(maps.Keys(b.step.Params)) {
		if !slices.Contains(known, name) {
			hint := didYouMean(name, known)
			if len(known) == 0 {
				hint = "; it has none"
			}
			b.fault("there is no parameter %q%s", name, hint)
		}
	}
}

func (b *builder) lookup(name string) (any, bool) {
	if !slices.Contains(Parameters(b.step.Op), name) {
		b.fault("%s: a parameter that Parameters does not name: this is a bug", name)
	}
	v, ok := b.step.Params[name]
	return v, ok && v != nil
}

// toNumber reads a number as YAML, JSON or Go may have written it. Infinities,
// which JSON has none of, may be texts.
func toNumber(v any) (float64, bool) {
	switch n := v.(type) {
	case float64:
		return n, !math.IsNaN(n)
	case int:
		return float64(n), true
	case int64:
		return float64(n), true
	case json.Number:
		f, err := n.Float64()
		return f, err == nil
	case string:
		switch strings.ToLower(n) {
		case ".inf", "+.inf":
			return math.Inf(1), true
		case "-.inf":
			return math.Inf(-1), true
		}
	}
	return 0, false
}

// number returns a number; fallback when it is absent.
func (b *builder) number(name string, fallback float64) float64 {
	v, ok := b.lookup(name)
	if !ok {
		return fallback
	}
	n, ok := toNumber(v)
	if !ok {
		b.fault("%s: expected a number, found %v", name, v)
	}
	return n
}

// count returns a whole number from least on; fallback when it is absent.
func (b *builder) count(name string, fallback, least int) int {
	n := b.number(name, float64(fallback))
	if n != math.Trunc(n) || n < float64(least) || n > 1<<31 {
		b.fault("%s: expected a whole number of at least %d, found %v", name, least, n)
		return fallback
	}
	return int(n)
}

// numbers returns a list of numbers; nil when it is absent.
func (b *builder) numbers(name string) []float64 {
	v, ok := b.lookup(name)
	if !ok {
		return nil
	}
	var out []float64
	list, ok := toList(v)
	for _, item := range list {
		n, isNumber := toNumber(item)
		ok = ok && isNumber
		out = append(out, n)
	}
	if !ok || len(out) == 0 {
		b.fault("%s: expected a list of numbers, found %v", name, v)
	}
	return out
}

// toList reads a list as YAML, JSON or Go may have written it.
func toList(v any) ([]any, bool) {
	switch l := v.(type) {
	case []any:
		return l, true
	case []string:
		return boxed(l), true
	case []float64:
		return boxed(l), true
	case []int:
		return boxed(l), true
	}
	return nil, false
}

func boxed[T any](list []T) []any {
	out := make([]any, len(list))
	for i, v := range list {
		out[i] = v
	}
	return out
}

// texts returns a list of texts, no two the same; nil when it is absent.
// Numbers and truths count as the text they are written as.
func (b *builder) texts(name string) []string {
	v, ok := b.lookup(name)
	if !ok {
		return nil
	}
	list, ok := toList(v)
	if !ok {
		b.fault("%s: expected a list, found %v", name, v)
	}
	var out []string
	for _, item := range list {
		text, ok := toText(item)
		if !ok {
			b.fault("%s: expected a list of texts, found %v in it", name, item)
		}
		if slices.Contains(out, text) {
			b.fault("%s: %q is given twice", name, text)
		}
		out = append(out, text)
	}
	return out
}

func toText(v any) (string, bool) {
	switch x := v.(type) {
	case string:
		return x, true
	case bool:
		return strconv.FormatBool(x), true
	}
	if n, ok := toNumber(v); ok {
		return FormatFloat(n, 64), true
	}
	return "", false
}

// choice returns one of the words given; the first when it is absent.
func (b *builder) choice(name string, words ...string) string {
	v, ok := b.lookup(name)
	if !ok {
		return words[0]
	}
	text, _ := v.(string)
	if !slices.Contains(words, text) {
		b.fault("%s: there is no %v; known are %s", name, v, strings.Join(words, ", "))
	}
	return text
}

// text returns a text; fallback when it is absent.
func (b *builder) text(name, fallback string) string {
	v, ok := b.lookup(name)
	if !ok {
		return fallback
	}
	text, ok := v.(string)
	if !ok {
		b.fault("%s: expected a text, found %v", name, v)
	}
	return text
}

// flag returns a truth; fallback when it is absent.
func (b *builder) flag(name string, fallback bool) bool {
	v, ok := b.lookup(name)
	if !ok {
		return fallback
	}
	truth, ok := v.(bool)
	if !ok {
		b.fault("%s: expected true or false, found %v", name, v)
	}
	return truth
}

// field is an output called like the step.
func (b *builder) field(t data.Type) data.Field {
	return data.Field{Name: b.step.Name, Type: t, Nullable: true}
}
