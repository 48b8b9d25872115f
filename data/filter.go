package data

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/troupe-ml/troupe/internal/fault"
)

// Filter is a predicate whose columns and literals have been held against a
// schema. It is immutable and may be used by many at once.
type Filter struct {
	predicate *Predicate
	schema    Schema
	root      *node
}

// node is a predicate whose literals are of the column's own kind. Comparisons
// of whole numbers with fractions are turned into such with whole numbers.
type node struct {
	op     Op // Lt to OpNot; Eq and Ne have become OpIn
	of     []*node
	column string
	typ    Type
	ints   []int64 // of OpIn ascending, else one; Bool as 0 or 1
	floats []float64
	texts  []string
}

// Bind checks that the columns exist and can be compared with the literals:
// numbers with numbers, strings with strings, truth values for = != and in, and
// timestamps and dates with texts that ParseTimestamp and ParseDate read. A
// number compared with a float column is first rounded to the column's
// precision, as its values were; whole numbers are compared exactly. All faults
// are reported at once, as fault.Invalid.
func (p *Predicate) Bind(s Schema) (*Filter, error) {
	b := binder{schema: s}
	root := b.bind(p)
	if len(b.faults) > 0 {
		return nil, fault.New(fault.Invalid, "where: %w", errors.Join(b.faults...))
	}
	return &Filter{predicate: p, schema: s, root: root}, nil
}

// Predicate returns what Bind was called on.
func (f *Filter) Predicate() *Predicate { return f.predicate }

// Columns returns the columns that Eval needs.
func (f *Filter) Columns() []string { return f.predicate.Columns() }

// Conditions returns the filters that must all be true for f to be: the members
// of a conjunction in their order, or f itself.
func (f *Filter) Conditions() []*Filter {
	if f.predicate.Op != OpAnd {
		return []*Filter{f}
	}
	var out []*Filter
	for i, p := range f.predicate.Of {
		one := &Filter{predicate: p, schema: f.schema, root: f.root.of[i]}
		out = append(out, one.Conditions()...)
	}
	return out
}

// Type returns the type that a column of the predicate had when it was bound.
func (f *Filter) Type(column string) Type { return f.schema.Fields[f.schema.Index(column)].Type }

// binder collects the faults of a predicate.
type binder struct {
	schema Schema
	faults []error
}

func (b *binder) fail(format string, args ...any) *node {
	b.faults = append(b.faults, fmt.Errorf(format, args...))
	return &node{}
}

func (b *binder) bind(p *Predicate) *node {
	switch p.Op {
	case OpAnd, OpOr, OpNot:
		if p.Op == OpNot && len(p.Of) != 1 {
			return b.fail("not of %d conditions, one expected", len(p.Of))
		}
		n := &node{op: p.Op}
		for _, q := range p.Of {
			n.of = append(n.of, b.bind(q))
		}
		return n
	}
	i := b.schema.Index(p.Column)
	if i < 0 {
		return b.fail("no column %q; there are %s", p.Column, someNames(b.schema.Names()))
	}
	n := &node{op: p.Op, column: p.Column, typ: b.schema.Fields[i].Type}
	switch {
	case p.Op == OpIsNull:
		return n
	case p.Op > OpIsNull:
		return b.fail("operator %d is unknown", p.Op)
	case p.Op != OpIn && len(p.Values) != 1:
		return b.fail("column %q: %v takes one value, not %d", p.Column, p.Op, len(p.Values))
	}
	if err := n.literals(b.schema.Fields[i], p.Values); err != nil {
		return b.fail("column %q: %w", p.Column, err)
	}
	return n.normal()
}

func someNames(names []string) string {
	more := ""
	if len(names) > 20 {
		names, more = names[:20], ", ..."
	}
	return strings.Join(names, ", ") + more
}

// literals turns the values into the column's own kind.
func (n *node) literals(f Field, values []Value) error {
	for _, v := range values {
		var err error
		switch f.Type {
		case Bool:
			err = n.boolLiteral(v)
		case Int32, Int64:
			err = n.intLiteral(v)
		case Float32, Float64:
			err = n.floatLiteral(v)
		case String:
			if v.kind != StringLiteral {
				err = fmt.Errorf("it holds strings, %v is none: write %s", v, StringValue(v.String()))
			}
			n.texts = append(n.texts, v.s)
		case Timestamp, Date:
			err = n.timeLiteral(f, v)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (n *node) boolLiteral(v Value) error {
	if v.kind != BoolLiteral {
		return fmt.Errorf("it holds truth values, %v is none: write true or false", v)
	}
	if n.op >= Lt && n.op <= Ge {
		return fmt.Errorf("truth values have no order: use = or !=, not %v", n.op)
	}
	n.ints = append(n.ints, v.i)
	return nil
}

// intLiteral replaces fractions and numbers beyond int64 by whole numbers that
// compare alike; an equality that cannot hold has no value.
func (n *node) intLiteral(v Value) error {
	switch {
	case v.kind == IntLiteral:
		n.ints = append(n.ints, v.i)
		return nil
	case v.kind != FloatLiteral || math.IsNaN(v.f):
		return fmt.Errorf("it holds numbers, %v is none", v)
	}
	low, beyond := floorInt(v.f)
	whole := beyond == 0 && float64(low) == v.f
	switch {
	case n.op == Lt && !whole: // x < 1.5 is x <= 1
		n.op = Le
	case n.op == Ge && !whole:
		n.op = Gt
	case n.op == Eq && !whole, n.op == Ne && !whole, n.op == OpIn && !whole:
		return nil
	}
	if beyond < 0 && n.op == Le { // less than everything
		n.op = Lt
	}
	if beyond < 0 && n.op == Gt {
		n.op = Ge
	}
	n.ints = append(n.ints, low)
	return nil
}

func (n *node) floatLiteral(v Value) error {
	if v.kind != FloatLiteral && v.kind != IntLiteral || math.IsNaN(v.f) {
		return fmt.Errorf("it holds numbers, %v is none; for NaN write is null", v)
	}
	f := v.Float()
	if n.typ == Float32 {
		f = Shorten(f)
	}
	n.floats = append(n.floats, f)
	return nil
}

// Shorten rounds a number to the precision of a float32, as the values of a column
// of that type were, which it is compared with. One beyond all of them stays as it
// is: it is not infinity.
func Shorten(f float64) float64 {
	if short := float64(float32(f)); !math.IsInf(short, 0) {
		return short
	}
	return f
}

func (n *node) timeLiteral(f Field, v Value) error {
	if v.kind != StringLiteral {
		return fmt.Errorf("it holds a %v, %v is none: write '2006-01-02'", f.Type, v)
	}
	if f.Type == Date {
		d, err := ParseDate(v.s)
		n.ints = append(n.ints, int64(d))
		return err
	}
	t, err := ParseTimestamp(v.s, f.UTC)
	n.ints = append(n.ints, t)
	return err
}

// normal turns Eq and Ne into OpIn, and sorts what OpIn looks for.
func (n *node) normal() *node {
	switch n.op {
	case Eq, Ne, OpIn:
		negate := n.op == Ne
		n.op = OpIn
		slices.Sort(n.ints)
		slices.Sort(n.floats)
		slices.Sort(n.texts)
		if negate {
			return &node{op: OpNot, of: []*node{n}}
		}
	}
	return n
}
